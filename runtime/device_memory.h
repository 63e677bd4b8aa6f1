#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace flux {

/// Bytes of a card's memory that ATen hands out, from the object's making on; nothing on a CPU.
class DeviceMemory {
 public:
  explicit DeviceMemory(at::Device device);

  int64_t at_first() const { return at_first_; }
  int64_t peak() const;  // at any time since

  /// What ATen took from the driver for it, at most since the latest object was made.
  static int64_t reserved(at::Device device);

  /// How often ATen took memory from the driver.
  static int64_t taken_from_driver(at::Device device);

  /// ATen takes no more than so many bytes.
  static void limit(at::Device device, int64_t bytes);

  /// Before anything else is done on a card. A card keeps the stacks of all threads that it can run at a time, of
  /// CUDA's 1 KiB each where nobody says less, and gives kernels that need more what they need: 0.19 GiB less on an
  /// H200.
  static void keep_stacks_small(at::Device device);

  /// What ATen holds and nobody uses goes back to the driver.
  void give_back() const;

 private:
  at::Device device_;
  int64_t at_first_ = 0;
};

}  // namespace flux
