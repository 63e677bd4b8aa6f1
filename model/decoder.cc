#include "model/decoder.h"

#include <string>

#include "model/vae/vae_decoder.h"
#include "parallel/rank/errors.h"

namespace flux {

struct Decoder::Parts {
  VaeConfig config;
  Placing placing;
  VaeDecoder vae;
};

Decoder::Decoder(const Checkpoint& checkpoint, Placing placing)
    : parts_(new Parts{checkpoint.folder.vae, placing,
                       in_one_piece(Weights(checkpoint.open("vae"), placing), [&](const Weights& weights) {
                         return VaeDecoder(weights, checkpoint.folder.vae);
                       })}) {}

Decoder::~Decoder() = default;

namespace {

/// [h/2 * w/2, 4 channels] to [1, channels, h, w]: a token holds 2 x 2 latents. diffusers: _unpack_latents.
at::Tensor unpacked(const at::Tensor& tokens, const Picture& picture) {
  const auto rows = picture.rows(), columns = picture.columns();
  const auto channels = tokens.size(1) / 4;
  return tokens.view({rows, columns, channels, 2, 2})
      .permute({2, 0, 3, 1, 4})
      .reshape({1, channels, 2 * rows, 2 * columns});
}

/// [1, 3, height, width] in -1 ... 1 to bytes, rounded as diffusers' VaeImageProcessor does: in the VAE's own dtype up
/// to the clamp, halves to even.
at::Tensor rgb(const at::Tensor& pixels) {
  const auto clamped = (pixels * 0.5 + 0.5).clamp(0, 1).squeeze(0).permute({1, 2, 0});
  return (clamped.to(at::kFloat) * 255).round().to(at::kByte).contiguous().cpu();
}

void require_finite(const at::Tensor& values, const char* what) {
  if (!values.isfinite().all().item<bool>())
    throw Invalid(std::string("its ") + what +
                  " are not finite: damaged weights, or a --dtype too narrow for them (try bf16 or fp32)");
}

}  // namespace

Image Decoder::operator()(const at::Tensor& latents, const Picture& picture) const {
  require_finite(latents, "latents");
  const auto scaled = unpacked(latents, picture) / parts_->config.scaling_factor + parts_->config.shift_factor;
  const auto pixels = parts_->vae(scaled.to(parts_->placing.device, parts_->placing.compute));
  require_finite(pixels, "pixels");
  return {rgb(pixels)};
}

}  // namespace flux
