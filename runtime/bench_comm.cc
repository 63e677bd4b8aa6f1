#include "runtime/bench_comm.h"

#include <ATen/Parallel.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>

#include <numeric>

#include "model/transformer/cut.h"
#include "model/transformer/joint_attention.h"
#include "parallel/rank/stage_stream.h"
#include "runtime/gather_times.h"

namespace flux {
namespace {

constexpr int64_t kSmallest = 4 << 10, kLargest = 64 << 20, kTimes = 4;

/// By rank: of its keys and values in one block, rounded where the placement rounds them.
std::vector<int64_t> keys_values_bytes(const TransformerConfig& config, const Placement& placement,
                                       const Picture& picture, int64_t text_tokens) {
  const Replica& replica = placement.replicas.front();
  const int64_t heads = config.num_attention_heads, head_dim = config.attention_head_dim;
  const auto of_value =
      static_cast<int64_t>(c10::elementSize(attended_dtype(placement.formats.attention, placement.dtype)));
  const int64_t of_token =
      placement.formats.exchange != Format::dense ? rounded_bytes(heads, head_dim) : 2 * heads * head_dim * of_value;
  const Cut cut(text_tokens, picture.tokens(), static_cast<int>(replica.ranks.size()), replica.text_ranks,
                placement.demand.shares);
  std::vector<int64_t> bytes = cut.rows_by_rank();
  for (int64_t& of_rank : bytes) of_rank *= of_token;
  return bytes;
}

}  // namespace

std::vector<GatherTimes> measure_gathers(const TransformerConfig& config, const Placement& placement, World& world,
                                         const Picture& picture, int64_t text_tokens, int64_t repetitions) {
  const RankPlace& place = placement.ranks[static_cast<size_t>(world.rank())];
  const Replica& replica = placement.replicas.front();
  at::set_num_threads(place.threads);
  const c10::InferenceMode no_gradients;
  const c10::DeviceGuard current(place.device);
  const StageStream stream(place.device);
  const auto group = world.group(replica.ranks, replica.transport, place.device);
  std::vector<GatherTimes> result;
  const auto measure = [&](const char* what, const std::vector<int64_t>& bytes, const auto& timed, int parts) {
    const Gathers times = timed(*group, place.device, bytes, repetitions);
    result.push_back({what, std::accumulate(bytes.begin(), bytes.end(), int64_t{0}) / parts, times.carrier,
                      spread_of(times.milliseconds)});
  };
  for (int64_t size = kSmallest; size <= kLargest; size *= kTimes)
    measure("even rows", even_bytes(size, group->size()), timed_gathers, 1);
  const std::vector<int64_t> bytes = keys_values_bytes(config, placement, picture, text_tokens);
  measure("keys and values", bytes, timed_gathers, 1);
  if (config.num_attention_heads % group->size() == 0)
    measure("keys and values by heads", bytes, timed_all_to_alls, group->size());
  return result;
}

}  // namespace flux
