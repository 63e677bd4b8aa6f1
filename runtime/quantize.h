#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "model/config.h"
#include "model/format.h"
#include "runtime/options.h"

namespace flux {

/// How a folder is to be quantized.
struct Quantizing {
  Formats formats;
  QuantizeFor reader = QuantizeFor::flux_dist;
  at::Device device = at::kCPU;  // that makes the codes: the same on any, but of int8-outliers
};

/// What became of a component.
struct QuantizedComponent {
  std::string name;
  int64_t matrices = 0;  // that are kept in another form now
  int64_t bytes = 0;     // of its file
};

/// Writes the model to a new folder, of which transformer and text_encoder_2 are quantized as `generate --quantize`
/// does it. What is dense stays as it is stored; what text-to-image has no use for is left out of these two.
/// model_index.json comes last, so that a folder without it is none. Tells `done` of each. Throws Invalid: the folder
/// is not empty or cannot be written, the model is quantized already, or the reader does not know the formats.
void quantize_folder(const ModelFolder& model, const Quantizing& how, const std::filesystem::path& to,
                     const std::function<void(const QuantizedComponent&)>& done);

}  // namespace flux
