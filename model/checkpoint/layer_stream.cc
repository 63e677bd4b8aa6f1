#include "model/checkpoint/layer_stream.h"

#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <numeric>
#include <optional>

namespace flux {
namespace {

constexpr size_t kPlaces = 2;

/// A point in a stream's work. On a CPU everything is done when it is queued.
class Point {
 public:
  explicit Point(at::Device device) : device_(device) {
    if (!device.is_cpu()) event_.emplace(device.type());
  }

  void record() {
    if (event_) event_->record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  }
  void block() {  // the current stream, until it is reached
    if (event_) event_->block(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  }

 private:
  at::Device device_;
  std::optional<c10::Event> event_;
};

}  // namespace

struct LayerStream::Place {
  Place(const at::Tensor& bytes, c10::Stream copies)
      : memory(bytes), copying(copies), arrived(bytes.device()), left(bytes.device()) {}

  at::Tensor memory;    // [bytes] uint8
  c10::Stream copying;  // that what arrives here comes on
  Point arrived, left;  // a layer is there; who used it is done
};

LayerStream::LayerStream(const Weights& weights, const std::vector<int64_t>& bytes)
    : weights_(weights), bytes_(bytes), begins_(bytes.size()) {
  std::exclusive_scan(bytes.begin(), bytes.end(), begins_.begin(), int64_t{0});
  host_ = weights.host_memory(std::accumulate(bytes.begin(), bytes.end(), int64_t{0}));
  const at::Device device = weights.placing().device;
  const c10::impl::VirtualGuardImpl streams(device.type());
  for (size_t i = 0; i < std::min(kPlaces, bytes.size()); ++i) {
    const at::Tensor memory = weights.memory({*std::max_element(bytes.begin(), bytes.end())}, at::kByte);
    const c10::Stream copying =
        device.is_cuda() ? streams.getStreamFromGlobalPool(device) : c10::Stream(c10::Stream::DEFAULT, device);
    places_.push_back(std::make_unique<Place>(memory, copying));
  }
}

LayerStream::~LayerStream() = default;

at::Tensor LayerStream::on_host(int64_t index) const { return host_.narrow(0, begins_[index], bytes_[index]); }

Weights LayerStream::layer(int64_t index) const { return weights_.within(WeightMemory(place_of(index).memory)); }

void LayerStream::built(int64_t index) {
  on_host(index).copy_(place_of(index).memory.narrow(0, 0, bytes_[index]), /*non_blocking=*/true);
  place_of(index).left.record();
}

void LayerStream::fetch(int64_t index) {
  Place& place = place_of(index);
  const c10::StreamGuard queued_on(place.copying);
  place.left.block();
  place.memory.narrow(0, 0, bytes_[index]).copy_(on_host(index), /*non_blocking=*/true);
  place.arrived.record();
}

void LayerStream::for_each(const std::function<void(int64_t)>& use) {
  const auto layers = static_cast<int64_t>(bytes_.size());
  if (layers > 0) fetch(0);
  for (int64_t index = 0; index < layers; ++index) {
    if (index + 1 < layers) fetch(index + 1);
    place_of(index).arrived.block();
    use(index);
    place_of(index).left.record();
  }
}

}  // namespace flux
