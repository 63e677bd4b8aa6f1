#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "model/checkpoint/weights.h"

namespace flux {

/// Layers that take turns in two places on a device, always in the same memory there, and wait in pinned memory of the
/// host. For one thread and ATen's current stream of it.
class LayerStream {
 public:
  /// `bytes`: of each layer, on the device.
  LayerStream(const Weights& weights, const std::vector<int64_t>& bytes);
  ~LayerStream();

  /// What a layer is to be built of, one after the other from the first; and once it is, that it is.
  Weights layer(int64_t index) const;
  void built(int64_t index);

  /// Calls `use` for each layer in order, when it is in its place. While one is used, the next one arrives.
  void for_each(const std::function<void(int64_t index)>& use);

 private:
  struct Place;

  Place& place_of(int64_t index) const { return *places_[static_cast<size_t>(index) % places_.size()]; }
  at::Tensor on_host(int64_t index) const;
  void fetch(int64_t index);

  Weights weights_;
  std::vector<int64_t> bytes_;
  std::vector<int64_t> begins_;  // in host memory
  at::Tensor host_;              // [bytes] uint8
  std::vector<std::unique_ptr<Place>> places_;
};

}  // namespace flux
