#include "runtime/plan.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/weights.h"
#include "model/decoder.h"
#include "model/denoiser.h"
#include "model/encoder_modules.h"
#include "model/linear/dense_product.h"
#include "model/linear/int8_outliers_product.h"
#include "model/schedule.h"
#include "model/transformer/cut.h"
#include "model/transformer/modulation_layout.h"
#include "runtime/exchange.h"

namespace flux {
namespace {

/// A rank of a replica that is only spoken of.
class Imagined : public Communicator {
 public:
  Imagined(int rank, int size) : rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  at::Tensor buffer(at::IntArrayRef sizes, at::TensorOptions options) override { return at::empty(sizes, options); }
  Pending all_gather(const at::Tensor&, at::IntArrayRef) override { moves_nothing(); }
  Pending all_to_all(const at::Tensor&, at::IntArrayRef, const at::Tensor&, at::IntArrayRef) override {
    moves_nothing();
  }
  Pending broadcast(const at::Tensor&, int) override { moves_nothing(); }
  Pending reduce(const at::Tensor&) override { moves_nothing(); }
  void abort(std::string_view) noexcept override {}

 private:
  [[noreturn]] static void moves_nothing() { throw std::logic_error("a plan moves nothing"); }

  int rank_, size_;
};

/// T5's widest layer.
int64_t encoder_workspace(const ModelFolder& folder, const Placement& placement) {
  const T5Config& t5 = folder.text_encoder_2;
  const int64_t tokens = placement.demand.text_tokens;
  return tokens * (4 * t5.d_ff + 2 * t5.num_heads * tokens) * static_cast<int64_t>(c10::elementSize(placement.dtype));
}

/// Maps of the picture's size, as the last block holds them at once: one of the second-narrowest channels and two of
/// the narrowest; in fp32 where fp16 may overflow.
int64_t decoder_workspace(const ModelFolder& folder, const Placement& placement) {
  const auto& channels = folder.vae.block_out_channels;
  const int64_t pixels = placement.demand.image_tokens * folder.vae.token_side() * folder.vae.token_side();
  const at::ScalarType widest = placement.dtype == at::kHalf ? at::kFloat : placement.dtype;
  const int64_t wide = channels[channels.size() > 1 ? 1 : 0], narrow = channels[0];
  return pixels * (wide + 2 * narrow) * static_cast<int64_t>(c10::elementSize(widest));
}

/// Of the very modules that would load, made without values.
void add_encoder(const Checkpoint& shapes, const Placement& placement, RankBytes& bytes) {
  const EncoderModules modules(shapes, {at::kMeta, placement.dtype, Format::dense, placement.encoder_residency},
                               placement.formats);
  bytes.weights = modules.bytes();
  bytes.host = modules.bytes_on_host();
  bytes.workspace += encoder_workspace(shapes.folder, placement);
}

void add_decoder(const Checkpoint& shapes, const Placement& placement, RankBytes& bytes) {
  bytes.weights["vae"] = Decoder(shapes, {at::kMeta, placement.dtype}).weight_bytes();
  bytes.workspace += decoder_workspace(shapes.folder, placement);
}

/// Of one prompt, and with true CFG of its negative: embedded text and the modulation of all steps. One rank alone
/// holds those of three pictures: of the one that it draws, of the next, and of one that is encoded or being so.
int64_t conditioning_bytes(const TransformerConfig& config, const PlanRequest& request, const Placement& placement) {
  const int64_t pictures = placement.ranks.size() == 1 ? 3 : 1;
  const int64_t values = request.max_sequence_length * config.hidden_size() +
                         request.num_inference_steps * ModulationLayout(config).size();
  return 2 * pictures * values * static_cast<int64_t>(c10::elementSize(placement.dtype));
}

/// A context, kernels, the handles of libraries, and what ATen takes beside the weights' own bytes: 750 MiB of a
/// process on an H200. Where NCCL joins ranks of a host, 830 MiB in all; 1460 once its kernels have run, as they do for
/// pictures that are cut unevenly between cards that reach each other. Between hosts NCCL takes all the blocks it
/// wants.
int64_t outside_bytes(const Placement& placement, const RankPlace& place) {
  if (place.card.empty()) return 0;
  constexpr int64_t mib = 1 << 20, process = 800 * mib, nccl = 800 * mib, nccl_between_hosts = 1800 * mib;
  if (place.replica < 0) return process;
  const Replica& replica = placement.replicas[place.replica];
  if (replica.transport != Transport::nccl) return process;
  return process + (placement.within_a_host(replica) ? nccl : nccl_between_hosts);
}

/// Attention's result, and what the library adds; and the weights that a product widens, and inputs that it rounds.
int64_t denoiser_workspace(const TransformerConfig& config, const Placement& placement, const RankPlace& place,
                           int ranks) {
  const int64_t tokens = placement.demand.image_tokens + placement.demand.text_tokens;
  const int64_t rows = most_rows(tokens, place.position, ranks, placement.demand.shares);
  const int64_t largest = config.hidden_size() * 5 * config.hidden_size();
  const Format format = placement.formats.transformer;
  const bool widens = format != Format::dense && input_of(format) == Format::dense;
  const int64_t streams = place.card.empty() ? 1 : 2;  // small products run beside large ones
  const int64_t widened = widens ? streams * std::min(widened_values, largest) : 0;
  const int64_t apart = format == Format::int8_outliers
                            ? Int8OutliersProduct::workspace(rows, 5 * config.hidden_size(), placement.dtype)
                            : 0;
  return (3 * rows * config.hidden_size() + widened) * static_cast<int64_t>(c10::elementSize(placement.dtype)) + apart;
}

RankBytes bytes_of_rank(const Checkpoint& shapes, const Placement& placement, const RankPlace& place,
                        const PlanRequest& request) {
  RankBytes bytes;
  bytes.outside = outside_bytes(placement, place);
  if (place.encodes) add_encoder(shapes, placement, bytes);
  if (place.decodes) add_decoder(shapes, placement, bytes);
  bytes.buffers = conditioning_bytes(shapes.folder.transformer, request, placement);
  if (place.replica < 0) return bytes;
  const Replica& replica = placement.replicas[place.replica];
  const int ranks = static_cast<int>(replica.ranks.size());
  bytes.workspace += denoiser_workspace(shapes.folder.transformer, placement, place, ranks);
  Imagined sequence(place.position, ranks);
  const Denoiser denoiser(shapes, {at::kMeta, placement.dtype, placement.formats.transformer}, sequence,
                          placement.demand, exchange_of(placement, replica, shapes.folder.transformer));
  bytes.weights["transformer"] = denoiser.weight_bytes();
  bytes.buffers += denoiser.buffer_bytes();
  return bytes;
}

Prompt asked(const PlanRequest& request) {
  Prompt prompt;
  prompt.num_inference_steps = request.num_inference_steps;
  prompt.sigmas = request.sigmas;
  prompt.picture = request.picture;
  return prompt;
}

}  // namespace

int64_t RankBytes::total() const {
  return std::accumulate(weights.begin(), weights.end(), buffers + workspace + outside,
                         [](int64_t sum, const auto& kind) { return sum + kind.second; });
}

bool Plan::fits() const {
  return std::ranges::all_of(cards, [](const auto& card) { return card.second.fits(); });
}

Plan make_plan(const ModelFolder& folder, const Placement& placement, const PlanRequest& request) {
  Plan plan{.placement = placement,
            .picture = request.picture,
            .ranks = {},
            .context_parallel = {},
            .cards = {},
            .sigmas = sigmas(folder.scheduler, asked(request))};
  const Checkpoint shapes = shapes_only(folder);
  for (const Replica& replica : placement.replicas)
    plan.context_parallel.push_back(exchange_of(placement, replica, folder.transformer).context);
  for (const RankPlace& place : placement.ranks) {
    plan.ranks.push_back(bytes_of_rank(shapes, placement, place, request));
    if (place.card.empty()) continue;
    CardBytes& card = plan.cards[place.card];
    card.ranks.push_back(place.rank);
    card.needed += plan.ranks.back().total();
    const auto memory = request.card_memory.find(place.card);
    if (memory != request.card_memory.end()) card.memory = memory->second;
  }
  return plan;
}

}  // namespace flux
