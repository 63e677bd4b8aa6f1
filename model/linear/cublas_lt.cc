#include "model/linear/cublas_lt.h"

#include "built_with.h"

#if FLUX_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAGuard.h>
#include <cublasLt.h>

#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>

namespace flux {
namespace {

void check(cublasStatus_t status, const char* what) {
  TORCH_CHECK(status == CUBLAS_STATUS_SUCCESS, "cuBLASLt: ", what, ": ", cublasLtGetStatusString(status));
}

template <auto destroy>
struct Destroy {
  void operator()(auto* handle) const { destroy(handle); }
};

using Operation = std::unique_ptr<cublasLtMatmulDescOpaque_t, Destroy<cublasLtMatmulDescDestroy>>;
using Layout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Destroy<cublasLtMatrixLayoutDestroy>>;
using Preference = std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, Destroy<cublasLtMatmulPreferenceDestroy>>;

cudaDataType_t type_of(const at::Tensor& x) {
  if (x.scalar_type() == at::kBFloat16) return CUDA_R_16BF;
  return x.scalar_type() == at::kHalf ? CUDA_R_16F : CUDA_R_32F;
}

/// Of rows [rows, columns]: what cuBLASLt calls a matrix of columns x rows.
Layout layout_of(const at::Tensor& x) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(cublasLtMatrixLayoutCreate(&layout, type_of(x), x.size(1), x.size(0), x.stride(0)), "layout");
  return Layout(layout);
}

/// The largest power of two, up to 256, that divides a pointer.
uint32_t alignment_of(const void* pointer) {
  return std::min(256U, 1U << std::countr_zero(reinterpret_cast<uintptr_t>(pointer) | 256));
}

template <typename Value>
void set(const Operation& operation, cublasLtMatmulDescAttributes_t attribute, const Value& value) {
  check(cublasLtMatmulDescSetAttribute(operation.get(), attribute, static_cast<const void*>(&value), sizeof(value)),
        "operation");
}

template <typename Value>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, const Value& value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, static_cast<const void*>(&value),
                                             sizeof(value)),
        "preference");
}

struct Problem {
  const at::Tensor &x, &weight, &bias, &out;
  Epilogue epilogue;
};

/// The product as cuBLASLt sees it: out^T = weight x^T, columns first.
struct Plan {
  explicit Plan(const Problem& p) : weight(layout_of(p.weight)), x(layout_of(p.x)), out(layout_of(p.out)) {
    cublasLtMatmulDesc_t created = nullptr;
    check(cublasLtMatmulDescCreate(&created, CUBLAS_COMPUTE_32F, CUDA_R_32F), "operation");
    operation.reset(created);
    set(operation, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    const bool gelu = p.epilogue == Epilogue::gelu;
    const cublasLtEpilogue_t epilogue = p.bias.defined() ? (gelu ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_BIAS)
                                                         : (gelu ? CUBLASLT_EPILOGUE_GELU : CUBLASLT_EPILOGUE_DEFAULT);
    set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    if (!p.bias.defined()) return;
    set(operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type_of(p.bias));
    set(operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias.const_data_ptr());
  }

  Operation operation;
  Layout weight, x, out;
};

/// No sum is split over blocks: where it is, depends on how many rows there are.
cublasLtMatmulAlgo_t choose(const Plan& plan, const Problem& p) {
  cublasLtMatmulPreference_t created = nullptr;
  check(cublasLtMatmulPreferenceCreate(&created), "preference");
  const Preference preference(created);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, at::cuda::getCUDABlasLtWorkspaceSize());
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_NONE));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(p.weight.const_data_ptr()));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(p.x.const_data_ptr()));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(p.out.const_data_ptr()));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(p.out.const_data_ptr()));
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  check(
      cublasLtMatmulAlgoGetHeuristic(at::cuda::getCurrentCUDABlasLtHandle(), plan.operation.get(), plan.weight.get(),
                                     plan.x.get(), plan.out.get(), plan.out.get(), preference.get(), 1, &best, &found),
      "heuristic");
  TORCH_CHECK(found == 1, "cuBLASLt has no algorithm for ", p.x.sizes(), " x ", p.weight.sizes());
  return best.algo;
}

/// Algorithms by problem: asking takes longer than a small product does.
class Algorithms {
 public:
  cublasLtMatmulAlgo_t of(const Plan& plan, const Problem& p) {
    const Key key{p.x.get_device(),
                  p.x.scalar_type(),
                  p.out.scalar_type(),
                  p.epilogue,
                  p.bias.defined(),
                  {p.x.size(0), p.x.size(1), p.weight.size(0), p.x.stride(0), p.out.stride(0)},
                  alignment_of(p.x.const_data_ptr()) | alignment_of(p.out.const_data_ptr()) << 16U};
    const std::lock_guard lock(mutex_);
    const auto known = chosen_.find(key);
    return known != chosen_.end() ? known->second : chosen_.emplace(key, choose(plan, p)).first->second;
  }

 private:
  using Key = std::tuple<int, at::ScalarType, at::ScalarType, Epilogue, bool, std::array<int64_t, 5>, uint32_t>;

  std::mutex mutex_;
  std::map<Key, cublasLtMatmulAlgo_t> chosen_;
};

}  // namespace

void cublas_lt_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& out,
                      Epilogue epilogue) {
  static Algorithms algorithms;  // a cache, no state: the same problem has the same answer
  if (x.size(0) == 0) return;
  const c10::cuda::CUDAGuard device(x.device());
  const Problem problem{x, weight, bias, out, epilogue};
  const Plan plan(problem);
  const cublasLtMatmulAlgo_t algorithm = algorithms.of(plan, problem);
  const float one = 1, zero = 0;
  check(cublasLtMatmul(at::cuda::getCurrentCUDABlasLtHandle(), plan.operation.get(), &one, weight.const_data_ptr(),
                       plan.weight.get(), x.const_data_ptr(), plan.x.get(), &zero, out.data_ptr(), plan.out.get(),
                       out.data_ptr(), plan.out.get(), &algorithm, at::cuda::getCUDABlasLtWorkspace(),
                       at::cuda::getCUDABlasLtWorkspaceSize(), at::cuda::getCurrentCUDAStream()),
        "product");
}

}  // namespace flux
#endif
