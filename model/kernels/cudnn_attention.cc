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
#include <vector>

#include "model/kernels/attention_code_scale.h"
#include "model/kernels/attention_codes.h"

namespace cudnn_frontend {
void* cudnn_dlhandle = ::dlopen("libcudnn.so.9", RTLD_NOW | RTLD_GLOBAL);  // which the header declares and uses
}

namespace flux {
namespace {

namespace fe = cudnn_frontend;

enum Uid : int64_t { queries = 1, keys, values, attended, code_scale, code_descale, weight_scale, weight_descale };

fe::DataType_t data_type(const at::Tensor& x) {
  if (are_attention_codes(x)) return fe::DataType_t::FP8_E4M3;
  return x.scalar_type() == at::kHalf ? fe::DataType_t::HALF : fe::DataType_t::BFLOAT16;
}

void check(const fe::error_t& error) { TORCH_CHECK(error.is_good(), "cuDNN: attention: ", error.err_msg); }

/// [rows, heads, head_dim] as cuDNN names dimensions: batch, heads, rows, head_dim.
fe::graph::Tensor_attributes described(const at::Tensor& x, Uid uid) {
  return fe::graph::Tensor_attributes()
      .set_uid(uid)
      .set_dim({1, x.size(1), x.size(0), x.size(2)})
      .set_stride({x.size(0) * x.stride(0), x.stride(1), x.stride(0), x.stride(2)});
}

using TensorOfGraph = std::shared_ptr<fe::graph::Tensor_attributes>;

/// A kernel that is chosen and built.
class Plan {
 public:
  Plan(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out, cudnnHandle_t handle) {
    graph_.set_io_data_type(data_type(q))
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
    const TensorOfGraph in[] = {graph_.tensor(described(q, queries)), graph_.tensor(described(k, keys)),
                                graph_.tensor(described(v, values))};
    const bool codes = are_attention_codes(q);
    const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(q.size(2))));
    const TensorOfGraph result = codes ? of_codes(in, scale) : of_values(in, scale);
    const fe::graph::Tensor_attributes as = described(out, attended);
    result->set_output(true).set_uid(attended).set_dim(as.get_dim()).set_stride(as.get_stride());
    if (codes) scales_ = at::tensor(std::vector<float>{s, 1 / s, w, 1 / w}, q.options().dtype(at::kFloat));
    check(graph_.build(handle, {fe::HeurMode_t::A}));
    check(graph_.get_workspace_size(workspace_bytes_));
  }

  void operator()(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out,
                  cudnnHandle_t handle) const {
    const at::Tensor workspace = at::empty({workspace_bytes_}, q.options().dtype(at::kByte));
    std::unordered_map<int64_t, void*> data = {
        {queries, q.data_ptr()}, {keys, k.data_ptr()}, {values, v.data_ptr()}, {attended, out.data_ptr()}};
    for (int64_t index = 0; scales_.defined() && index < scales_.size(0); ++index)
      data.emplace(code_scale + index, scales_.data_ptr<float>() + index);
    check(graph_.execute(handle, data, workspace.data_ptr()));
  }

 private:
  static constexpr float s = attention_code_scale, w = attention_weight_scale;

  TensorOfGraph of_values(const TensorOfGraph (&in)[3], float scale) {
    return graph_.sdpa(
        in[0], in[1], in[2],
        fe::graph::SDPA_attributes().set_name("attention").set_generate_stats(false).set_attn_scale(scale))[0];
  }

  TensorOfGraph of_codes(const TensorOfGraph (&in)[3], float scale) {
    const auto number = [&](Uid uid) {
      return graph_.tensor(fe::graph::Tensor_attributes()
                               .set_uid(uid)
                               .set_dim({1, 1, 1, 1})
                               .set_stride({1, 1, 1, 1})
                               .set_data_type(fe::DataType_t::FLOAT));
    };
    const TensorOfGraph descale = number(code_descale);
    const auto [result, unused, largest_weight, largest_result] = graph_.sdpa_fp8(
        in[0], in[1], in[2], descale, descale, descale, number(weight_descale), number(weight_scale),
        number(code_scale),
        fe::graph::SDPA_fp8_attributes().set_name("attention").set_generate_stats(false).set_attn_scale(scale));
    for (const TensorOfGraph& largest : {largest_weight, largest_result})
      largest->set_output(false).set_dim({1, 1, 1, 1}).set_stride({1, 1, 1, 1}).set_data_type(fe::DataType_t::FLOAT);
    return result;
  }

  fe::graph::Graph graph_;
  at::Tensor scales_;  // [4] fp32, in the order of their ids; or undefined
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
  return q.scalar_type() != at::kFloat && at::cuda::getDeviceProperties(q.get_device())->major == 9 &&
         cudnn_takes_heads(q.size(2), q.element_size());
}

void cudnn_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out) {
  if (q.size(0) == 1) {  // has kernels of its own, in fp8 none: twice the same row is another's
    const at::Tensor twice = at::empty({2, q.size(1), q.size(2)}, q.options());
    cudnn_attention(q.expand({2, -1, -1}).contiguous(), k, v, twice);
    out.copy_(twice.narrow(0, 0, 1));
    return;
  }
  static Plans plans;  // a cache, no state: the same problem has the same answer
  const c10::cuda::CUDAGuard device(q.device());
  const cudnnHandle_t handle = at::native::getCudnnHandle();  // of ATen's current stream
  plans.of(q, k, v, out, handle)(q, k, v, out, handle);
}

}  // namespace flux
#endif
