#include "parallel/rank/thread_name.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace flux {

void name_this_thread(const char* name) { pthread_setname_np(pthread_self(), name); }

std::string this_thread() {
  if (syscall(SYS_gettid) == getpid()) return "the main thread";
  std::array<char, 16> name{};
  pthread_getname_np(pthread_self(), name.data(), name.size());
  return std::string("thread ") + name.data();
}

}  // namespace flux
