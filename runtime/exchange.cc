#include "runtime/exchange.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <vector>

#include "model/kernels/cudnn_attention.h"
#include "parallel/rank/errors.h"

namespace flux {

namespace {

[[noreturn]] void refuse_ulysses(int64_t ranks, int64_t heads) {
  std::vector<int64_t> sizes;
  for (int64_t size = 1; size <= heads; ++size)
    if (heads % size == 0) sizes.push_back(size);
  throw Invalid(fmt::format(
      "--context-parallel ulysses: {} ranks cannot share {} attention heads evenly; give gather or auto, or "
      "replicas of {} ranks",
      ranks, heads, fmt::join(sizes, ", ")));
}

/// On cards cuDNN attends; elsewhere heads may have any size.
void require_heads_of_codes(const Placement& placement, const Replica& replica, const TransformerConfig& config) {
  if (placement.formats.attention == Format::dense) return;
  const bool on_cards = !placement.ranks[static_cast<size_t>(replica.ranks.front())].card.empty();
  if (on_cards && !cudnn_takes_heads(config.attention_head_dim, /*bytes=*/1))
    throw Invalid(
        fmt::format("--quantize-attention fp8: heads of {} are not a multiple of 16, of at most 128; leave it out",
                    config.attention_head_dim));
}

/// Through the host's memory, where a rank writes its keys and values once and the others read them: of P ranks each
/// writes and reads 2 keys in all, where keys are what those of all tokens take. Shares of the heads go to one rank
/// each and back, and queries and what is attended to are never rounded. Four H200s without peer access took 0.9
/// times as long for a gather where keys were rounded, 1.2 times where they were not; three 0.9 and 1.05 times.
bool ulysses_moves_less(const Placement& placement, const Replica& replica, const TransformerConfig& config) {
  const auto ranks = static_cast<double>(replica.ranks.size());
  const auto bytes = static_cast<double>(c10::elementSize(placement.dtype));
  const auto head_dim = static_cast<double>(config.attention_head_dim);
  const double keys = placement.formats.exchange == Format::dense ? 1 : (head_dim + 4) / (head_dim * bytes);
  return 4 * (keys + 1) * (ranks - 1) / (ranks * ranks) < 2 * keys;
}

}  // namespace

Exchange exchange_of(const Placement& placement, const Replica& replica, const TransformerConfig& config) {
  using enum ContextParallel;
  const auto ranks = static_cast<int64_t>(replica.ranks.size());
  const int64_t heads = config.num_attention_heads;
  const bool divide = heads % ranks == 0;
  require_heads_of_codes(placement, replica, config);
  if (placement.context_parallel == ulysses && !divide) refuse_ulysses(ranks, heads);
  const ContextParallel best =
      divide && !replica.nvlinked && ulysses_moves_less(placement, replica, config) ? ulysses : gather;
  return {.context = ranks == 1 ? gather : placement.context_parallel.value_or(best),
          .keys_values = placement.formats.exchange,
          .attention = placement.formats.attention};
}

}  // namespace flux
