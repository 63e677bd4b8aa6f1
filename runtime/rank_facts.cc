#include "runtime/rank_facts.h"

#include <sched.h>
#include <unistd.h>

#include <array>

namespace flux {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

int usable_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  return sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

}  // namespace

RankFacts rank_facts(DeviceChoice) { return {host_name(), getpid(), usable_cores(), {}}; }

}  // namespace flux
