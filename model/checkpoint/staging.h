#pragma once

#include <ATen/ATen.h>
#include <c10/core/Event.h>

#include <array>
#include <cstddef>
#include <optional>

namespace flux {

/// Host memory through which blocks go to a card: pinned, and several, so that the next block is read while those
/// before it travel. For one thread.
class Staging {
 public:
  static constexpr int64_t block_bytes = 16 << 20;

  /// Memory for a block of at most block_bytes, once what it held has arrived.
  at::Tensor next(at::ScalarType dtype, at::IntArrayRef shape);

  /// What lies in the memory given last was queued to go to `device`, on the current stream.
  void sent(at::Device device);

 private:
  struct Block {
    at::Tensor bytes;
    std::optional<c10::Event> arrived;
  };

  std::array<Block, 4> blocks_;
  size_t last_ = 0;
};

}  // namespace flux
