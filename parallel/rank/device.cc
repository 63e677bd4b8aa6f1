#include "parallel/rank/device.h"

#include <sched.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "built_with.h"

namespace flux {

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

std::string boot_of_this_host() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  file >> id;
  return id;
}

int usable_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  return sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

#if !FLUX_CUDA
std::vector<Card> visible_cards() { return {}; }
#endif

}  // namespace flux
