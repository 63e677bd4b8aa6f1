#include "model/checkpoint/weight_memory.h"

#include "model/checkpoint/pinned_memory.h"

namespace flux {
namespace {

constexpr int64_t kAlignment = 256;  // bytes, as the allocators of cards have it

int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

WeightMemory WeightMemory::piece(int64_t bytes) {
  WeightMemory memory(take({bytes}, at::kByte));
  memory.taken_of_host_ = taken_of_host_;
  return memory;
}

at::Tensor WeightMemory::take(at::IntArrayRef shape, at::ScalarType dtype) {
  const int64_t bytes = c10::multiply_integers(shape) * static_cast<int64_t>(c10::elementSize(dtype));
  const int64_t begin = taken_;
  taken_ += aligned(bytes);
  if (!piece_.defined()) return at::empty(shape, at::TensorOptions().dtype(dtype).device(device_));
  TORCH_CHECK(taken_ <= piece_.size(0), "modules ask for more memory than they did of shapes alone");
  return piece_.narrow(0, begin, bytes).view(dtype).view(shape);
}

at::Tensor WeightMemory::take_host(int64_t bytes) {
  *taken_of_host_ += bytes;
  if (device_.is_meta()) return at::empty({bytes}, at::TensorOptions(at::kByte).device(at::kMeta));
  return device_.is_cpu() ? at::empty({bytes}, at::kByte) : pinned_memory(bytes);
}

}  // namespace flux
