#pragma once

#include <cstdint>
#include <memory>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/weights.h"
#include "model/request.h"

namespace flux {

/// Latents to a picture. diffusers: AutoencoderKL.decode and VaeImageProcessor.postprocess.
class Decoder {
 public:
  Decoder(const Checkpoint& checkpoint, Placing placing);
  ~Decoder();

  /// latents: [rows * columns, 4 * latent_channels], packed, fp32. What overflows in fp16 is decoded in fp32, and the
  /// image's warning says so. Throws Invalid where latents or pixels are not finite: there is no picture of them.
  Image operator()(const at::Tensor& latents, const Picture& picture) const;

  int64_t weight_bytes() const;

 private:
  struct Parts;
  std::unique_ptr<const Parts> parts_;
};

}  // namespace flux
