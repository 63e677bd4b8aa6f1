#include "model/kernels/cudnn_attention.h"

#include "built_with.h"

#if FLUX_CUDA
// Before its header: no JSON, and libcudnn as libtorch has loaded it, which a checker holds against the header.
#define CUDNN_FRONTEND_SKIP_JSON_LIB
#ifndef __clang_analyzer__
#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#endif
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cudnn/Handle.h>
#include <c10/cuda/CUDAGuard.h>
#include <cudnn_frontend.h>
#include <dlfcn.h>

#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <unordered_map>

namespace cudnn_frontend {
void* cudnn_dlhandle = ::dlopen("libcudnn.so.9", RTLD_NOW | RTLD_GLOBAL);  // which the header declares and uses
}

namespace flux {
namespace {

namespace fe = cudnn_frontend;

enum Uid : int64_t { queries = 1, keys, values, attended };

void check(const fe::error_t& error) { TORCH_CHECK(error.is_good(), "cuDNN: attention: ", error.err_msg); }

/// [rows, heads, head_dim] as cuDNN names dimensions: batch, heads, rows, head_dim.
fe::graph::Tensor_attributes described(const at::Tensor& x, Uid uid) {
  return fe::graph::Tensor_attributes()
      .set_uid(uid)
      .set_dim({1, x.size(1), x.size(0), x.size(2)})
      .set_stride({x.size(0) * x.stride(0), x.stride(1), x.stride(0), x.stride(2)});
}

/// A kernel that is chosen and built.
class Plan {
 public:
  Plan(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out, cudnnHandle_t handle) {
    graph_.set_io_data_type(q.scalar_type() == at::kHalf ? fe::DataType_t::HALF : fe::DataType_t::BFLOAT16)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
    const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(q.size(2))));
    const auto [result, unused] = graph_.sdpa(
        graph_.tensor(described(q, queries)), graph_.tensor(described(k, keys)), graph_.tensor(described(v, values)),
        fe::graph::SDPA_attributes().set_name("attention").set_generate_stats(false).set_attn_scale(scale));
    const fe::graph::Tensor_attributes as = described(out, attended);
    result->set_output(true).set_uid(attended).set_dim(as.get_dim()).set_stride(as.get_stride());
    check(graph_.build(handle, {fe::HeurMode_t::A}));
    check(graph_.get_workspace_size(workspace_bytes_));
  }

  void operator()(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out,
                  cudnnHandle_t handle) const {
    const at::Tensor workspace = at::empty({workspace_bytes_}, q.options().dtype(at::kByte));
    std::unordered_map<int64_t, void*> data = {
        {queries, q.data_ptr()}, {keys, k.data_ptr()}, {values, v.data_ptr()}, {attended, out.data_ptr()}};
    check(graph_.execute(handle, data, workspace.data_ptr()));
  }

 private:
  fe::graph::Graph graph_;
  int64_t workspace_bytes_ = 0;
};

/// Plans by problem: to build one takes a second.
class Plans {
 public:
  const Plan& of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out,
                 cudnnHandle_t handle) {
    const Key key{q.get_device(),
                  q.scalar_type(),
                  {q.size(0), q.size(1), q.size(2), k.size(0), q.stride(0), k.stride(0), v.stride(0), out.stride(0)}};
    const std::lock_guard lock(mutex_);
    std::unique_ptr<const Plan>& plan = known_[key];
    if (!plan) plan = std::make_unique<Plan>(q, k, v, out, handle);
    return *plan;
  }

 private:
  using Key = std::tuple<int, at::ScalarType, std::array<int64_t, 8>>;

  std::mutex mutex_;
  std::map<Key, std::unique_ptr<const Plan>> known_;
};

}  // namespace

bool cudnn_attends(const at::Tensor& q) {
  constexpr int64_t eight = 8, largest_head = 128;
  const bool sixteen_bit = q.scalar_type() == at::kHalf || q.scalar_type() == at::kBFloat16;
  return sixteen_bit && at::cuda::getDeviceProperties(q.get_device())->major == 9 && q.size(2) % eight == 0 &&
         q.size(2) <= largest_head;
}

void cudnn_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out) {
  static Plans plans;  // a cache, no state: the same problem has the same answer
  const c10::cuda::CUDAGuard device(q.device());
  const cudnnHandle_t handle = at::native::getCudnnHandle();  // of ATen's current stream
  plans.of(q, k, v, out, handle)(q, k, v, out, handle);
}

}  // namespace flux
#endif
