#include "runtime/device_memory.h"

#include <c10/core/CachingDeviceAllocator.h>

namespace flux {
namespace {

auto allocated(at::Device device) {
  return c10::getDeviceAllocator(device.type())->getDeviceStats(device.index()).allocated_bytes[0];
}

}  // namespace

DeviceMemory::DeviceMemory(at::Device device) : device_(device) {
  if (device.is_cpu()) return;
  c10::getDeviceAllocator(device.type())->resetPeakStats(device.index());
  at_first_ = allocated(device).current;
}

int64_t DeviceMemory::peak() const { return device_.is_cpu() ? 0 : allocated(device_).peak; }

}  // namespace flux
