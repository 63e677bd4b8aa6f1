#include "model/linear/linear.h"

#include "built_with.h"
#include "model/linear/cublas_lt.h"

namespace flux {
namespace {

/// Fewer rows than this a CPU multiplies by another routine, which sums in another order.
constexpr int64_t kFewRows = 4;

at::Tensor with_more_rows(const at::Tensor& x) { return at::constant_pad_nd(x, {0, 0, 0, kFewRows - x.size(0)}); }

}  // namespace

Linear::Linear(const Weights& weights, const std::vector<std::string>& parts, int64_t out, int64_t in, Bias bias) {
  const auto count = static_cast<int64_t>(parts.size());
  const int64_t rows = out / count;
  TORCH_CHECK(rows * count == out, out, " rows do not divide into ", count, " parts");
  const auto options = at::dtype(weights.placing().compute).device(weights.placing().device);
  weight_ = at::empty({out, in}, options);
  if (bias == Bias::present) bias_ = at::empty({out}, options);
  for (int64_t part = 0; part < count; ++part) {
    weights.read(parts[part] + ".weight", weight_.narrow(0, part * rows, rows));
    if (bias_.defined()) weights.read(parts[part] + ".bias", bias_.narrow(0, part * rows, rows));
  }
  if (bias_.defined()) wide_bias_ = bias_.to(at::kFloat);
}

void Linear::operator()(const at::Tensor& x, const at::Tensor& out, Epilogue epilogue) const {
#if FLUX_CUDA
  if (x.is_cuda() && x.scalar_type() != at::kFloat)
    return cublas_lt_linear(x, weight_, out.scalar_type() == at::kFloat ? wide_bias_ : bias_, out, epilogue);
#endif
  if (x.is_cpu() && x.size(0) > 0 && x.size(0) < kFewRows) {
    const at::Tensor more = at::empty({kFewRows, out.size(1)}, out.options());
    (*this)(with_more_rows(x), more, epilogue);
    out.copy_(more.narrow(0, 0, x.size(0)));
    return;
  }
  at::Tensor y = out;  // ATen's out parameter
  if (out.scalar_type() == x.scalar_type()) {
    bias_.defined() ? at::addmm_out(y, bias_, x, weight_.t()) : at::mm_out(y, x, weight_.t());
  } else {
    at::mm_out(y, x.to(at::kFloat), weight_.to(at::kFloat).t());
    if (bias_.defined()) y.add_(wide_bias_);
  }
  if (epilogue == Epilogue::gelu) at::gelu_(y, "tanh");
}

int64_t Linear::bytes() const {
  return bytes_of(weight_) + bytes_of(bias_) + (wide_bias_.is_same(bias_) ? 0 : bytes_of(wide_bias_));
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  auto out = at::empty({x.size(0), weight_.size(0)}, x.options());
  (*this)(x, out);
  return out;
}

}  // namespace flux
