#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"

namespace flux {

struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
  Format kept = Format::dense;  // by the modules, whatever the file has
};

/// Every tensor that the modules of a model with these configs ask for, sorted by the names of the published folders:
/// of `transformer`, `text_encoder` and `text_encoder_2` the whole component, of `vae` the decoder. diffusers:
/// FluxTransformer2DModel, AutoencoderKL; transformers: CLIPTextModel, T5EncoderModel. `formats`: of the modules.
std::vector<ExpectedTensor> expected_tensors(const ModelFolder& folder, const std::string& component,
                                             const Formats& formats = {});

}  // namespace flux
