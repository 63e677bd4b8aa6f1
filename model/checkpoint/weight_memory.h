#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>

namespace flux {

/// Memory for what modules keep, and the one book of how much that is. For one thread.
class WeightMemory {
 public:
  /// New memory for each tensor.
  explicit WeightMemory(at::Device device) : device_(device) {}

  /// Cut from this piece ([bytes] uint8) from its beginning on.
  explicit WeightMemory(const at::Tensor& piece) : device_(piece.device()), piece_(piece) {}

  /// So many bytes of this memory, to cut from; what is taken of the host stands in this book too.
  WeightMemory piece(int64_t bytes);

  at::Tensor take(at::IntArrayRef shape, at::ScalarType dtype);

  /// Of the host, pinned where the device is a card.
  at::Tensor take_host(int64_t bytes);

  // Bytes, each tensor's rounded up to where the next one may begin.
  int64_t taken() const { return taken_; }
  int64_t taken_of_host() const { return *taken_of_host_; }

 private:
  at::Device device_;
  at::Tensor piece_;
  int64_t taken_ = 0;
  std::shared_ptr<int64_t> taken_of_host_ = std::make_shared<int64_t>(0);
};

}  // namespace flux
