#include "model/denoiser.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <optional>

#include "model/replay.h"
#include "model/transformer/cut.h"
#include "model/transformer/modulation_layout.h"
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

/// What pictures of one size need: made when the size changes, kept while it stays. A step reads and writes here alone,
/// so that it can be replayed.
struct Canvas {
  Canvas(const TransformerConfig& config, const Cut& size_cut, const Picture& size, size_t number_of_branches,
         const Placing& placing, Communicator& sequence)
      : cut(size_cut),
        picture(size),
        scratch(config, cut, picture, placing, sequence),
        all_latents(
            sequence.buffer({cut.image_tokens(), config.in_channels}, at::dtype(at::kFloat).device(placing.device))),
        latents(all_latents.narrow(0, cut.image_begin(sequence.rank()), cut.image_rows(sequence.rank()))),
        txt(at::empty({static_cast<int64_t>(number_of_branches), cut.text_rows(sequence.rank()), config.hidden_size()},
                      at::dtype(placing.compute).device(placing.device))),
        modulation(at::empty({txt.size(0), ModulationLayout(config).size()}, latents.options())),
        sigma_step(at::empty({}, latents.options())),
        true_cfg_scale(at::empty({}, latents.options())),
        positive(at::empty_like(number_of_branches > 1 ? latents : latents.narrow(0, 0, 0))),
        replay(placing.device.is_cuda() && sequence.capturable()) {}

  bool fits(const Picture& size, int64_t text_tokens, size_t branches) const {
    return picture.height == size.height && picture.width == size.width && cut.text_tokens() == text_tokens &&
           txt.size(0) == static_cast<int64_t>(branches);
  }

  Cut cut;
  Picture picture;
  Scratch scratch;
  at::Tensor all_latents;     // [image tokens, in_channels], this rank's rows current, all of them after the last step
  at::Tensor latents;         // this rank's
  at::Tensor txt;             // [branches, text rows, d]
  at::Tensor modulation;      // [branches, n] fp32, of the step
  at::Tensor sigma_step;      // [] fp32
  at::Tensor true_cfg_scale;  // [] fp32
  at::Tensor positive;        // [image rows, in_channels], the first branch's velocity where there are two
  Replay replay;
};

}  // namespace

struct Denoiser::Parts {
  Parts(const Checkpoint& checkpoint, const Placing& where, Communicator& communicator, int ranks_with_text)
      : config(checkpoint.folder.transformer),
        placing(where),
        sequence(communicator),
        text_ranks(ranks_with_text),
        transformer(Weights(checkpoint.open("transformer"), placing), config, sequence.rank() < text_ranks) {}

  Canvas& canvas_for(const Picture& picture, const Conditioning& conditioning) {
    const int64_t text_tokens = conditioning.branches.front().txt.size(0);
    if (!canvas || !canvas->fits(picture, text_tokens, conditioning.branches.size())) {
      canvas.reset();
      const Cut cut(text_tokens, picture.tokens(), sequence.size(), text_ranks);
      canvas.emplace(config, cut, picture, conditioning.branches.size(), placing, sequence);
    }
    return *canvas;
  }

  /// What the canvas holds of a picture, before its first step.
  void begin(Canvas& on, const Conditioning& conditioning, const Picture& picture) const {
    const Cut& cut = on.cut;
    const int rank = sequence.rank();
    on.all_latents.copy_(noise(picture, config.in_channels));
    for (int64_t branch = 0; branch < on.txt.size(0); ++branch)
      on.txt[branch].copy_(conditioning.branches[branch].txt.narrow(0, std::min(cut.begin(rank), cut.text_tokens()),
                                                                    cut.text_rows(rank)));
    on.true_cfg_scale.fill_(conditioning.true_cfg_scale);
  }

  /// latents += (next sigma - sigma) velocity
  void step(Canvas& on) const {
    const at::Tensor& velocity = on.scratch.velocity;
    transformer(on.latents, on.txt[0], on.modulation[0], on.scratch);
    if (on.txt.size(0) > 1) {  // true CFG: away from the negative prompt
      on.positive.copy_(velocity);
      transformer(on.latents, on.txt[1], on.modulation[1], on.scratch);
      velocity.addcmul_(on.positive - velocity, on.true_cfg_scale);
    }
    on.latents.addcmul_(velocity, on.sigma_step);  // Euler, in fp32
  }

  TransformerConfig config;
  Placing placing;
  Communicator& sequence;
  int text_ranks;
  Transformer transformer;
  std::optional<Canvas> canvas;
};

Denoiser::Denoiser(const Checkpoint& checkpoint, Placing placing, Communicator& sequence, int text_ranks)
    : parts_(std::make_unique<Parts>(checkpoint, placing, sequence, text_ranks)) {}

Denoiser::~Denoiser() = default;

int64_t Denoiser::bytes() const { return parts_->transformer.bytes(); }

at::Tensor Denoiser::operator()(const Conditioning& conditioning, const Picture& picture, const OnStep& on_step) {
  Canvas& canvas = parts_->canvas_for(picture, conditioning);
  parts_->begin(canvas, conditioning, picture);

  const auto steps = static_cast<int64_t>(conditioning.sigmas.size()) - 1;
  for (int64_t step = 0; step < steps; ++step) {
    for (int64_t branch = 0; branch < canvas.modulation.size(0); ++branch)
      canvas.modulation[branch].copy_(conditioning.branches[branch].modulation[step]);
    canvas.sigma_step.fill_(conditioning.sigmas[step + 1] - conditioning.sigmas[step]);
    canvas.replay([&] { parts_->step(canvas); });
    on_step(step + 1, steps);
  }

  parts_->sequence.all_gather(canvas.all_latents, canvas.cut.image_rows_by_rank()).wait();
  return canvas.all_latents.clone();
}

}  // namespace flux
