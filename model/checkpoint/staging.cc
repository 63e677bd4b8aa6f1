#include "model/checkpoint/staging.h"

#include <c10/core/impl/VirtualGuardImpl.h>

namespace flux {

at::Tensor Staging::next(at::ScalarType dtype, at::IntArrayRef shape) {
  last_ = (last_ + 1) % blocks_.size();
  Block& block = blocks_[last_];
  if (!block.bytes.defined()) block.bytes = at::empty({block_bytes}, at::TensorOptions(at::kByte).pinned_memory(true));
  if (block.arrived) block.arrived->synchronize();
  const int64_t bytes = c10::multiply_integers(shape) * static_cast<int64_t>(c10::elementSize(dtype));
  return block.bytes.narrow(0, 0, bytes).view(dtype).view(shape);
}

void Staging::sent(at::Device device) {
  Block& block = blocks_[last_];
  block.arrived.emplace(device.type());
  block.arrived->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
}

}  // namespace flux
