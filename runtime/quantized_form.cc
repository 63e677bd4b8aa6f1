#include "runtime/quantized_form.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>

#include "model/kernels/rotation.h"
#include "model/linear/four_bit.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kWeight = ".weight";
constexpr int64_t kStateBytes = 256;  // of JSON, padded: its length is announced before its numbers are known

at::Tensor like(const at::Tensor& values, const at::Tensor& kept) {
  return kept.is_meta() ? values.to(at::kMeta) : values;
}

const char* torch_name(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? "bfloat16" : dtype == at::kHalf ? "float16" : "float32";
}

/// bitsandbytes.utils.pack_dict_to_tensor of QuantState.as_dict(packed=True).
at::Tensor quant_state(const ExpectedTensor& matrix, at::ScalarType stored, float offset) {
  const Json state = {{"quant_type", format_name(matrix.kept)},
                      {"blocksize", FourBit::block},
                      {"dtype", torch_name(stored)},
                      {"shape", matrix.shape},
                      {"nested_blocksize", FourBit::nested_block},
                      {"nested_dtype", "float32"},
                      {"nested_offset", offset}};
  std::string text = state.dump();
  text.resize(kStateBytes, ' ');
  const at::Tensor bytes = at::empty({kStateBytes}, at::kByte);
  std::memcpy(bytes.mutable_data_ptr(), text.data(), text.size());
  return bytes;
}

NamedTensors four_bit_for_bitsandbytes(const ExpectedTensor& matrix, const NamedTensors& kept, at::ScalarType stored) {
  const FourBit of{.codes = kept[0].second, .absmax = kept[1].second, .nested = kept[2].second};
  const std::array<float, 16>& book = codebook(matrix.kept);
  const float offset = of.nested.is_meta() ? 0 : of.offset().item<float>();
  const std::string& name = matrix.name;
  return {{name, of.codes.view({-1, 1})},
          {name + ".absmax", of.absmax.flatten()},
          {name + ".nested_absmax", of.nested_absmax()},
          {name + ".nested_quant_map", of.map()},
          {name + ".quant_map", like(at::tensor(at::ArrayRef<float>(book.data(), book.size())), of.codes)},
          {name + ".quant_state.bitsandbytes__" + format_name(matrix.kept),
           like(quant_state(matrix, stored, offset), of.codes)}};
}

NamedTensors eight_bit_for_bitsandbytes(const ExpectedTensor& matrix, const NamedTensors& kept) {
  const at::Tensor& scales = kept[1].second;
  const std::string module = module_of(matrix.name);
  return {{matrix.name, kept[0].second},
          {module + ".SCB", scales * 127},
          {module + ".weight_format", like(at::zeros({}, at::kByte), scales)}};
}

/// Of modules that are matrices and stay dense, so that nobody looks for their codes.
std::vector<std::string> dense_modules(const std::vector<ExpectedTensor>& tensors) {
  std::vector<std::string> modules;
  for (const ExpectedTensor& tensor : tensors)
    if (tensor.kept == Format::dense && tensor.shape.size() == 2 && tensor.name.ends_with(kWeight))
      modules.push_back(module_of(tensor.name));
  return modules;
}

Json bitsandbytes_config(Format format, const std::vector<ExpectedTensor>& tensors) {
  const bool four = is_four_bit(format);
  Json config = {{"quant_method", "bitsandbytes"}, {"load_in_4bit", four}, {"load_in_8bit", !four}};
  if (four) {
    config.update({{"bnb_4bit_quant_type", format_name(format)},
                   {"bnb_4bit_use_double_quant", true},
                   {"bnb_4bit_quant_storage", "uint8"},
                   {"bnb_4bit_compute_dtype", "bfloat16"}});
  } else {
    config.update({{"llm_int8_threshold", 6.0}, {"llm_int8_has_fp16_weight", false}});
  }
  config["llm_int8_skip_modules"] = dense_modules(tensors);
  return config;
}

}  // namespace

std::string module_of(const std::string& weight) { return weight.substr(0, weight.size() - kWeight.size()); }

std::vector<ExpectedTensor> kept_for(QuantizeFor reader, const std::string& component,
                                     std::vector<ExpectedTensor> tensors) {
  if (reader == QuantizeFor::flux_dist) return tensors;
  Format format = Format::dense;
  for (ExpectedTensor& tensor : tensors) {
    if (component == "text_encoder_2" && tensor.name.ends_with(".wo.weight")) tensor.kept = Format::dense;
    if (tensor.kept == Format::dense) continue;
    const bool unknown = input_of(tensor.kept) != Format::dense || tensor.kept == Format::fp8_weights;
    if (unknown || (format != Format::dense && tensor.kept != format))
      throw Invalid(fmt::format("--for bitsandbytes: {} {}; give --quantize nf4, fp4 or int8-weights{}", component,
                                tensor.kept == Format::int8 ? "in int8 is rotated, which bitsandbytes does not know"
                                : unknown ? "in e4m3 is nothing that bitsandbytes has"
                                          : "would be in two formats, and bitsandbytes has one for all of it",
                                component == "transformer" ? ", and --quantize-modulation the same or none" : ""));
    format = tensor.kept;
  }
  // Where that is named among what is not to be converted, diffusers leaves every single block's proj_out too.
  const auto last = std::ranges::find(tensors, "proj_out.weight", &ExpectedTensor::name);
  if (last != tensors.end()) last->kept = format;
  return tensors;
}

NamedTensors named_for(QuantizeFor reader, const ExpectedTensor& matrix, const NamedTensors& kept,
                       at::ScalarType stored) {
  if (reader == QuantizeFor::flux_dist) return kept;
  if (is_four_bit(matrix.kept)) return four_bit_for_bitsandbytes(matrix, kept, stored);
  return eight_bit_for_bitsandbytes(matrix, kept);
}

Json config_for(QuantizeFor reader, const std::string& component, const Formats& formats,
                const std::vector<ExpectedTensor>& tensors) {
  const bool transformer = component == "transformer";
  const Format format = transformer ? formats.transformer : formats.text_encoder;
  if (reader == QuantizeFor::bitsandbytes)
    return bitsandbytes_config(format == Format::dense ? formats.modulation : format, tensors);
  Json config = {
      {"quant_method", "flux-dist"}, {"version", Quantization::own_version}, {"format", format_name(format)}};
  if (transformer) config["modulation"] = format_name(formats.modulation);
  config["rotation"] = rotation_name;
  return config;
}

}  // namespace flux
