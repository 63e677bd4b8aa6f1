#include "parallel/nccl/memory.h"

#include <c10/cuda/CUDAGuard.h>

#include <algorithm>
#include <utility>

namespace flux {
namespace {

constexpr size_t kPage = 4096;  // bytes: what a window's size is a multiple of

/// A range of a card's memory and its registration.
class Window {
 public:
  Window(std::shared_ptr<NcclHandle> nccl, size_t bytes, at::Device device) : nccl_(std::move(nccl)), device_(device) {
    const c10::cuda::CUDAGuard guard(device_);
    bytes = std::max<size_t>(1, (bytes + kPage - 1) / kPage) * kPage;
    nccl_->queue("buffer", [&](ncclComm_t) {
      void* data = nullptr;
      const ncclResult_t result = ncclMemAlloc(&data, bytes);
      data_.reset(data);
      return result;
    });
    // Where cards do not reach each other, NCCL may succeed and leave the window as it was.
    nccl_->queue("buffer", [&](ncclComm_t comm) {
      return ncclCommWindowRegister(comm, data_.get(), bytes, &window_, NCCL_WIN_COLL_SYMMETRIC);
    });
  }

  ~Window() {
    const c10::cuda::CUDAGuard guard(device_);
    if (window_ != nullptr) nccl_->unless_aborted([&](ncclComm_t comm) { ncclCommWindowDeregister(comm, window_); });
    data_.reset();
  }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

  void* data() const { return data_.get(); }

 private:
  std::shared_ptr<NcclHandle> nccl_;
  at::Device device_;
  std::unique_ptr<void, decltype(&ncclMemFree)> data_{nullptr, ncclMemFree};
  ncclWindow_t window_ = nullptr;
};

}  // namespace

at::Tensor nccl_memory(std::shared_ptr<NcclHandle> nccl, at::IntArrayRef sizes, at::TensorOptions options) {
  const size_t bytes = static_cast<size_t>(c10::multiply_integers(sizes)) * options.dtype().itemsize();
  auto window = std::make_shared<Window>(std::move(nccl), bytes, options.device());
  void* data = window->data();
  return at::from_blob(data, sizes, [window = std::move(window)](void*) mutable { window.reset(); }, options);
}

}  // namespace flux
