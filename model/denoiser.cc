#include "model/denoiser.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <optional>

#include "model/replay.h"
#include "model/transformer/arena.h"
#include "model/transformer/cut.h"
#include "model/transformer/scratch.h"
#include "model/transformer/transformer.h"

namespace flux {

at::Tensor noise(const Picture& picture, int64_t in_channels) {
  const int64_t rows = picture.rows();
  const int64_t columns = picture.columns();
  const int64_t channels = in_channels / 4;
  const auto drawn = at::randn({1, channels, 2 * rows, 2 * columns}, at::detail::createCPUGenerator(picture.seed),
                               at::dtype(picture.noise_dtype));
  const auto squares = drawn.view({channels, rows, 2, columns, 2}).permute({1, 3, 0, 2, 4});
  return squares.reshape({rows * columns, in_channels}).to(at::kFloat);
}

namespace {

/// Pictures of one size within the arena. A step reads and writes there alone, so that it can be replayed.
struct Canvas {
  Canvas(const TransformerConfig& config, const Cut& size_cut, const Picture& size, size_t number_of_branches,
         const Arena& arena, Communicator& sequence)
      : cut(size_cut),
        picture(size),
        branches(static_cast<int64_t>(number_of_branches)),
        scratch(config, cut, picture, arena, sequence),
        all_latents(arena.all_latents.narrow(0, 0, cut.image_tokens())),
        latents(latents_of(sequence.rank())),
        txt(arena.txt.narrow(1, 0, cut.text_rows(sequence.rank()))) {}

  bool fits(const Picture& size, int64_t text_tokens, size_t number_of_branches) const {
    return picture.height == size.height && picture.width == size.width && cut.text_tokens() == text_tokens &&
           branches == static_cast<int64_t>(number_of_branches);
  }

  at::Tensor latents_of(int rank) const { return all_latents.narrow(0, cut.image_begin(rank), cut.image_rows(rank)); }

  Replay::Shape shape() const { return {picture.height, picture.width, cut.text_tokens(), branches}; }

  Cut cut;
  Picture picture;
  int64_t branches;
  Scratch scratch;
  at::Tensor all_latents;  // [image tokens, in_channels], this rank's rows current, all of them after the last step
  at::Tensor latents;      // this rank's
  at::Tensor txt;          // [2, text rows, d]
};

Placing shared(Placing placing, Communicator& sequence) {
  placing.sequence = &sequence;
  return placing;
}

}  // namespace

struct Denoiser::Parts {
  Parts(const Checkpoint& checkpoint, const Placing& placing, Communicator& communicator, const Demand& largest,
        const Exchange& exchange)
      : config(checkpoint.folder.transformer),
        sequence(communicator),
        text_ranks(flux::text_ranks(largest.text_tokens, largest.image_tokens, sequence.size(), largest.shares)),
        demand(largest),
        weights(checkpoint.open("transformer"), placing),
        arena(config, demand, weights.placing(), sequence, exchange),
        transformer(in_one_piece(
            weights, [&](const Weights& memory) { return Transformer(memory, config, sequence.rank() < text_ranks); })),
        replay(placing.device.is_cuda() && sequence.capturable() && placing.store != Format::int8_outliers) {}

  Canvas& canvas_for(const Picture& picture, const Conditioning& conditioning) {
    const int64_t text_tokens = conditioning.branches.front().txt.size(0);
    TORCH_CHECK(picture.tokens() <= demand.image_tokens && text_tokens <= demand.text_tokens,
                "a picture of more tokens than the largest that was announced");
    if (!canvas || !canvas->fits(picture, text_tokens, conditioning.branches.size())) {
      const Cut cut(text_tokens, picture.tokens(), sequence.size(), text_ranks, demand.shares);
      canvas.emplace(config, cut, picture, conditioning.branches.size(), arena, sequence);
    }
    return *canvas;
  }

  /// What the canvas holds of a picture, before its first step.
  void begin(Canvas& on, const Conditioning& conditioning, const Picture& picture) const {
    const Cut& cut = on.cut;
    const int rank = sequence.rank();
    on.all_latents.copy_(noise(picture, config.in_channels));
    for (int64_t branch = 0; branch < on.branches; ++branch)
      on.txt[branch].copy_(conditioning.branches[branch].txt.narrow(0, std::min(cut.begin(rank), cut.text_tokens()),
                                                                    cut.text_rows(rank)));
    arena.true_cfg_scale.fill_(conditioning.true_cfg_scale);
  }

  /// latents += (next sigma - sigma) velocity
  void step(Canvas& on) const {
    const at::Tensor& velocity = on.scratch.velocity;
    transformer(on.latents, on.txt[0], arena.modulation[0], on.scratch);
    if (on.branches > 1) {  // true CFG: away from the negative prompt
      const at::Tensor positive = arena.positive.narrow(0, 0, velocity.size(0));
      positive.copy_(velocity);
      transformer(on.latents, on.txt[1], arena.modulation[1], on.scratch);
      velocity.addcmul_(positive - velocity, arena.true_cfg_scale);
    }
    on.latents.addcmul_(velocity, arena.sigma_step);  // Euler, in fp32
  }

  /// Of the finished picture every rank gets the others' rows. They are uneven, for text comes first, and of uneven
  /// gathers NCCL's kernels would take 0.4 GiB of a card; few bytes are broadcast as soon.
  void share(const Canvas& on) const {
    for (int rank = 0; rank < sequence.size(); ++rank) sequence.broadcast(on.latents_of(rank), rank).wait();
  }

  TransformerConfig config;
  Communicator& sequence;
  int text_ranks;
  Demand demand;
  Weights weights;
  Arena arena;  // before the weights are read, for which some ranks take far longer than others: it is collective
  Transformer transformer;
  Replay replay;
  std::optional<Canvas> canvas;
};

Denoiser::Denoiser(const Checkpoint& checkpoint, Placing placing, Communicator& sequence, const Demand& largest,
                   const Exchange& exchange)
    : parts_(std::make_unique<Parts>(checkpoint, shared(placing, sequence), sequence, largest, exchange)) {}

Denoiser::~Denoiser() = default;

int64_t Denoiser::weight_bytes() const { return parts_->weights.kept(); }

int64_t Denoiser::buffer_bytes() const { return parts_->arena.bytes(); }

int64_t Denoiser::replayed_steps() const { return parts_->replay.launches(); }

at::Tensor Denoiser::operator()(const Conditioning& conditioning, const Picture& picture, const OnStep& on_step) {
  Canvas& canvas = parts_->canvas_for(picture, conditioning);
  parts_->begin(canvas, conditioning, picture);

  const Arena& arena = parts_->arena;
  const auto steps = static_cast<int64_t>(conditioning.sigmas.size()) - 1;
  for (int64_t step = 0; step < steps; ++step) {
    for (int64_t branch = 0; branch < canvas.branches; ++branch)
      arena.modulation[branch].copy_(conditioning.branches[branch].modulation[step]);
    arena.sigma_step.fill_(conditioning.sigmas[step + 1] - conditioning.sigmas[step]);
    parts_->replay(canvas.shape(), [&] { parts_->step(canvas); });
    on_step(step + 1, steps);
  }

  parts_->share(canvas);
  return canvas.all_latents.clone();
}

}  // namespace flux
