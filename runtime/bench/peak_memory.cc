#include "runtime/bench/peak_memory.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <sys/resource.h>

namespace flux {

int64_t peak_memory(at::Device device) {
  if (!device.is_cpu())
    return c10::getDeviceAllocator(device.type())->getDeviceStats(device.index()).reserved_bytes[0].peak;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} << 10;
}

}  // namespace flux
