#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/checkpoint/layer_stream.h"
#include "model/checkpoint/weights.h"

namespace flux {

/// A component's layers, which are used one after the other from the first to the last: on the device for good, or
/// streamed, as the weights' placing says.
template <typename Layer>
class Layers {
 public:
  /// `build(weights, index)` makes a layer.
  template <typename Build>
  Layers(const Weights& weights, int64_t count, const Build& build) {
    std::vector<int64_t> bytes;
    for (int64_t index = 0; index < count && weights.placing().residency == Residency::streamed; ++index) {
      const Weights shapes = weights.of_shapes();
      build(shapes, index);
      bytes.push_back(shapes.kept());
    }
    if (!bytes.empty()) stream_ = std::make_unique<LayerStream>(weights, bytes);
    layers_.reserve(static_cast<size_t>(count));
    for (int64_t index = 0; index < count; ++index) {
      layers_.push_back(build(stream_ ? stream_->layer(index) : weights, index));
      if (stream_ && !weights.placing().device.is_meta()) stream_->built(index);
    }
  }

  /// Calls `use(layer)` for each, in order.
  template <typename Use>
  void for_each(const Use& use) const {
    if (stream_) return stream_->for_each([&](int64_t index) { use(layers_[static_cast<size_t>(index)]); });
    for (const Layer& layer : layers_) use(layer);
  }

  const Layer& front() const { return layers_.front(); }

 private:
  std::unique_ptr<LayerStream> stream_;  // none where all are resident
  std::vector<Layer> layers_;
};

}  // namespace flux
