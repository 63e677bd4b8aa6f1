#include "model/replay.h"

#include "built_with.h"

#if FLUX_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace flux {

#if FLUX_CUDA
struct Replay::Recording {
  explicit Recording(const std::function<void()>& work) {
    // Other threads load, encode and decode meanwhile.
    graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    work();
    graph.capture_end();
  }

  void launch() { graph.replay(); }

  at::cuda::CUDAGraph graph;
};

namespace {

bool can_record() { return c10::cuda::getCurrentCUDAStream() != c10::cuda::getDefaultCUDAStream(); }

}  // namespace
#else
struct Replay::Recording {
  explicit Recording(const std::function<void()>&) {}
  void launch() {}
};

namespace {

bool can_record() { return false; }

}  // namespace
#endif

Replay::Replay(bool recordable) : recordable_(recordable) {}

Replay::~Replay() = default;

void Replay::operator()(const std::function<void()>& work) {
  if (!recordable_ || !ran_ || !can_record()) {
    ran_ = true;
    return work();
  }
  if (!recording_) recording_ = std::make_unique<Recording>(work);
  recording_->launch();
}

}  // namespace flux
