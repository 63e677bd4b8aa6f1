#include "model/decoder.h"

#include <string>
#include <utility>
#include <vector>

#include "model/vae/vae_decoder.h"
#include "parallel/rank/errors.h"

namespace flux {

namespace {

/// The VAE in one dtype.
struct Pass {
  Placing placing;
  int64_t bytes;
  VaeDecoder vae;
};

Pass read_pass(const Checkpoint& checkpoint, const Placing& placing) {
  const Weights weights(checkpoint.open("vae"), placing);
  VaeDecoder vae =
      in_one_piece(weights, [&](const Weights& memory) { return VaeDecoder(memory, checkpoint.folder.vae); });
  return {placing, weights.kept(), std::move(vae)};
}

std::vector<Pass> passes(const Checkpoint& checkpoint, Placing placing) {
  std::vector<Pass> result;
  result.push_back(read_pass(checkpoint, placing));
  if (placing.compute != at::kHalf) return result;
  placing.compute = at::kFloat;
  result.push_back(read_pass(checkpoint, placing));
  return result;
}

}  // namespace

struct Decoder::Parts {
  VaeConfig config;
  std::vector<Pass> passes;  // one after the other, until the pixels are finite
};

Decoder::Decoder(const Checkpoint& checkpoint, Placing placing)
    : parts_(new Parts{checkpoint.folder.vae, passes(checkpoint, placing)}) {}

Decoder::~Decoder() = default;

int64_t Decoder::weight_bytes() const {
  int64_t bytes = 0;
  for (const Pass& pass : parts_->passes) bytes += pass.bytes;
  return bytes;
}

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

bool finite(const at::Tensor& values) { return values.isfinite().all().item<bool>(); }

[[noreturn]] void refuse(const char* what, at::ScalarType dtype) {
  throw Invalid(std::string("its ") + what + " are not finite: damaged weights" +
                (dtype == at::kFloat ? "" : ", or a --dtype too narrow for them (try bf16 or fp32)"));
}

}  // namespace

Image Decoder::operator()(const at::Tensor& latents, const Picture& picture) const {
  if (!finite(latents)) refuse("latents", parts_->passes.front().placing.compute);
  const auto scaled = unpacked(latents, picture) / parts_->config.scaling_factor + parts_->config.shift_factor;
  std::string warning;
  for (const Pass& pass : parts_->passes) {
    const auto pixels = pass.vae(scaled.to(pass.placing.device, pass.placing.compute));
    if (finite(pixels)) return {rgb(pixels), warning};
    warning = "its pixels overflowed in fp16 and were decoded in fp32";
  }
  refuse("pixels", parts_->passes.back().placing.compute);
}

}  // namespace flux
