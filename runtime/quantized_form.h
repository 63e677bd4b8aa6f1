#pragma once

// What a quantized folder looks like in its files, by who is to read it.

#include <ATen/ATen.h>
#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

#include "model/checkpoint/expected_tensors.h"
#include "model/format.h"
#include "runtime/options.h"
#include "runtime/safetensors_writer.h"

namespace flux {

/// NAME of NAME.weight.
std::string module_of(const std::string& weight);

/// How the matrices of a component's modules are kept in its file. Of bitsandbytes T5's wo stays dense, as transformers
/// has it, and the transformer's proj_out does not, as diffusers has it. Throws Invalid for a format that the reader
/// does not know.
std::vector<ExpectedTensor> kept_for(QuantizeFor reader, const std::string& component,
                                     std::vector<ExpectedTensor> tensors);

/// A matrix' tensors in the file. kept: kept_form() of it, under the matrix' name; stored: the dtype it had. Of meta
/// tensors meta tensors.
NamedTensors named_for(QuantizeFor reader, const ExpectedTensor& matrix, const NamedTensors& kept,
                       at::ScalarType stored);

/// quantization_config of the component's config.json.
nlohmann::ordered_json config_for(QuantizeFor reader, const std::string& component, const Formats& formats,
                                  const std::vector<ExpectedTensor>& tensors);

}  // namespace flux
