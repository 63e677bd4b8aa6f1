#include "model/denoiser.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <optional>

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

/// What pictures of one size need: made when the size changes, kept while it stays.
struct Canvas {
  Canvas(const TransformerConfig& config, const Cut& size_cut, const Picture& size, const Placing& placing,
         Communicator& sequence)
      : cut(size_cut),
        picture(size),
        scratch(config, cut, picture, placing, sequence),
        latents(
            sequence.buffer({cut.image_tokens(), config.in_channels}, at::dtype(at::kFloat).device(placing.device))) {}

  bool fits(const Picture& size, int64_t text_tokens) const {
    return picture.height == size.height && picture.width == size.width && cut.text_tokens() == text_tokens;
  }

  Cut cut;
  Picture picture;
  Scratch scratch;
  at::Tensor latents;  // [image tokens, in_channels], this rank's rows current, all of them after the last step
};

}  // namespace

struct Denoiser::Parts {
  Parts(const Checkpoint& checkpoint, const Placing& where, Communicator& communicator, int ranks_with_text)
      : config(checkpoint.folder.transformer),
        placing(where),
        sequence(communicator),
        text_ranks(ranks_with_text),
        transformer(Weights(checkpoint.open("transformer"), placing), config, sequence.rank() < text_ranks) {}

  Canvas& canvas_for(const Picture& picture, int64_t text_tokens) {
    if (!canvas || !canvas->fits(picture, text_tokens)) {
      canvas.reset();
      const Cut cut(text_tokens, picture.tokens(), sequence.size(), text_ranks);
      canvas.emplace(config, cut, picture, placing, sequence);
    }
    return *canvas;
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
  auto& [cut, size, scratch, all_latents] = parts_->canvas_for(picture, conditioning.branches.front().txt.size(0));
  const int rank = parts_->sequence.rank();
  const auto latents = all_latents.narrow(0, cut.image_begin(rank), cut.image_rows(rank));
  all_latents.copy_(noise(picture, parts_->config.in_channels));

  const auto velocity = [&](const Branch& branch, int64_t step) {
    const auto txt = branch.txt.narrow(0, std::min(cut.begin(rank), cut.text_tokens()), cut.text_rows(rank));
    parts_->transformer(latents, txt, branch.modulation[step], scratch);
    return scratch.velocity;
  };

  const auto steps = static_cast<int64_t>(conditioning.sigmas.size()) - 1;
  for (int64_t step = 0; step < steps; ++step) {
    auto v = velocity(conditioning.branches[0], step);
    if (conditioning.branches.size() > 1) {  // true CFG: away from the negative prompt
      const auto positive = v.clone();
      const auto negative = velocity(conditioning.branches[1], step);
      v = negative + conditioning.true_cfg_scale * (positive - negative);
    }
    latents.add_(v, conditioning.sigmas[step + 1] - conditioning.sigmas[step]);  // Euler, in fp32
    on_step(step + 1, steps);
  }

  parts_->sequence.all_gather(all_latents, cut.image_rows_by_rank()).wait();
  return all_latents.clone();
}

}  // namespace flux
