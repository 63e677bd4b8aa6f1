#include "parallel/rank/thread_name.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace flux {

std::thread start_thread(const char* name, std::function<void()> body) {
  try {
    return std::thread([name, body = std::move(body)] {
      name_this_thread(name);
      body();
    });
  } catch (const std::system_error& error) {
    throw std::runtime_error(fmt::format("thread {} cannot start: {} (limits of processes: ulimit -u, containers)",
                                         name, error.code().message()));
  }
}

void name_this_thread(const char* name) { pthread_setname_np(pthread_self(), name); }

std::string this_thread() {
  if (syscall(SYS_gettid) == getpid()) return "the main thread";
  std::array<char, 16> name{};
  pthread_getname_np(pthread_self(), name.data(), name.size());
  return std::string("thread ") + name.data();
}

}  // namespace flux
