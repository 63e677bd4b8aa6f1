#include "model/transformer/rounded_rows.h"

#include "model/kernels/dequantize.h"
#include "model/kernels/quantize_rows.h"

namespace flux {

void RoundedRows::round() const { quantize_rows(widened, codes); }

void RoundedRows::widen() const { dequantize(codes, widened); }

std::vector<RoundedRows> rounded_by_rank(const at::Tensor& keys_values, const at::Tensor& rounded,
                                         const std::vector<int64_t>& rows) {
  const int64_t heads = keys_values.size(2), head_dim = keys_values.size(3);
  std::vector<RoundedRows> by_rank;
  int64_t begin = 0;
  for (const int64_t tokens : rows) {
    const int64_t count = tokens * 2 * heads;
    const at::Tensor bytes = rounded.narrow(0, begin, tokens).flatten();
    const at::Tensor codes = bytes.narrow(0, 0, count * head_dim).view({count, head_dim});
    const at::Tensor scales = bytes.narrow(0, count * head_dim, count * 4).view(at::kFloat);
    by_rank.push_back({{codes, scales}, keys_values.narrow(0, begin, tokens).flatten(0, 2)});
    begin += tokens;
  }
  return by_rank;
}

}  // namespace flux
