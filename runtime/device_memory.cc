#include "runtime/device_memory.h"

#include <c10/core/CachingDeviceAllocator.h>

namespace flux {
namespace {

c10::DeviceAllocator& allocator(at::Device device) { return *c10::getDeviceAllocator(device.type()); }

auto stats(at::Device device) { return allocator(device).getDeviceStats(device.index()); }

}  // namespace

DeviceMemory::DeviceMemory(at::Device device) : device_(device) {
  if (device.is_cpu()) return;
  allocator(device).resetPeakStats(device.index());
  at_first_ = stats(device).allocated_bytes[0].current;
}

int64_t DeviceMemory::peak() const { return device_.is_cpu() ? 0 : stats(device_).allocated_bytes[0].peak; }

int64_t DeviceMemory::reserved() const { return device_.is_cpu() ? 0 : stats(device_).reserved_bytes[0].peak; }

void DeviceMemory::give_back() const {
  if (!device_.is_cpu()) allocator(device_).emptyCache();
}

}  // namespace flux
