#include "runtime/peak_memory.h"

#include <sys/resource.h>

#include "runtime/device_memory.h"

namespace flux {

int64_t peak_memory(at::Device device) {
  if (!device.is_cpu()) return DeviceMemory::reserved(device);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} << 10;
}

}  // namespace flux
