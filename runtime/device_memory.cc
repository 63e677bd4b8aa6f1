#include "runtime/device_memory.h"

#include <c10/core/CachingDeviceAllocator.h>

#include "built_with.h"

#if FLUX_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include <algorithm>
#endif

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

int64_t DeviceMemory::reserved(at::Device device) {
  return device.is_cpu() || !allocator(device).initialized() ? 0 : stats(device).reserved_bytes[0].peak;
}

int64_t DeviceMemory::taken_from_driver(at::Device device) {
  return device.is_cpu() ? 0 : stats(device).num_device_alloc;
}

#if FLUX_CUDA
void DeviceMemory::limit(at::Device device, int64_t bytes) {
  at::globalContext().lazyInitDevice(device.type());
  const auto total = static_cast<double>(at::cuda::getDeviceProperties(device.index())->totalGlobalMem);
  c10::cuda::CUDACachingAllocator::setMemoryFraction(std::min(1.0, static_cast<double>(bytes) / total), device.index());
}

void DeviceMemory::keep_stacks_small(at::Device device) {
  if (device.is_cpu()) return;
  constexpr size_t bytes = 256;  // of a thread
  const c10::cuda::CUDAGuard current(device);
  C10_CUDA_CHECK(cudaDeviceSetLimit(cudaLimitStackSize, bytes));
}
#else
void DeviceMemory::limit(at::Device, int64_t) {}
void DeviceMemory::keep_stacks_small(at::Device) {}
#endif

void DeviceMemory::give_back() const {
  if (!device_.is_cpu()) allocator(device_).emptyCache();
}

}  // namespace flux
