#include "model/replay.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "built_with.h"

#if FLUX_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace flux {

#if FLUX_CUDA
struct Replay::Recording {
  /// `other`: one whose memory for intermediate results may be used, for they never run at once; or nullptr.
  Recording(const std::function<void()>& work, const Recording* other) {
    // Other threads load, encode and decode meanwhile.
    if (other != nullptr) pool = other->pool;
    try {
      graph.capture_begin(pool, cudaStreamCaptureModeThreadLocal);
      work();
      graph.capture_end();
    } catch (const c10::CUDAError& error) {
      throw std::runtime_error(std::string("a step cannot be recorded as a CUDA graph: ") +
                               error.what_without_backtrace());
    }
    pool = graph.pool();
  }

  void launch() { graph.replay(); }

  at::cuda::CUDAGraph graph;
  at::cuda::MempoolId_t pool{0, 0};
};

namespace {

bool can_record() { return c10::cuda::getCurrentCUDAStream() != c10::cuda::getDefaultCUDAStream(); }

}  // namespace
#else
struct Replay::Recording {
  Recording(const std::function<void()>&, const Recording*) {}
  void launch() {}
};

namespace {

bool can_record() { return false; }

}  // namespace
#endif

Replay::Replay(bool recordable) : recordable_(recordable) {}

Replay::~Replay() = default;

void Replay::operator()(const Shape& shape, const std::function<void()>& work) {
  if (!recordable_ || !can_record() || ran_.insert(shape).second) return work();
  auto found = std::find_if(recordings_.begin(), recordings_.end(), [&](auto& known) { return known.first == shape; });
  if (found == recordings_.end()) {
    const Recording* other = recordings_.empty() ? nullptr : recordings_.front().second.get();
    recordings_.emplace_front(shape, std::make_shared<Recording>(work, other));
    if (recordings_.size() > kept) recordings_.pop_back();
  } else {
    recordings_.splice(recordings_.begin(), recordings_, found);
  }
  recordings_.front().second->launch();
  ++launches_;
}

}  // namespace flux
