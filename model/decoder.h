#pragma once

#include <memory>

#include "model/encoder.h"

namespace flux {

/// Latents to a picture. diffusers: AutoencoderKL.decode and VaeImageProcessor.postprocess.
class Decoder {
 public:
  Decoder(const Checkpoint& checkpoint, Placing placing);
  ~Decoder();

  /// latents: [rows * columns, 4 * latent_channels], packed, fp32.
  Image operator()(const at::Tensor& latents, const Picture& picture) const;

 private:
  struct Parts;
  std::unique_ptr<const Parts> parts_;
};

}  // namespace flux
