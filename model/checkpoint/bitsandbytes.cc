#include "model/checkpoint/bitsandbytes.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "model/checkpoint/codes.h"
#include "model/checkpoint/refuse_tensor.h"
#include "model/checkpoint/tensor_views.h"
#include "model/files/json_file.h"
#include "model/files/printable.h"
#include "model/kernels/dequantize.h"
#include "model/kernels/dequantize_4bit.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

constexpr int64_t kLongestState = 4096;  // bytes of JSON; bitsandbytes writes less than 200

/// The largest absolute values of rows or blocks.
void require_scales(const TensorInfo& tensor, const at::Tensor& values) {
  if (!values.isfinite().logical_and_(values >= 0).all().item<bool>())
    refuse_tensor(tensor,
                  "holds a scale that is negative or not finite; download it again, or take an unquantized folder");
}

void require_codebook(const TensorInfo& tensor, const at::Tensor& values, Format format) {
  const std::array<float, 16>& book = codebook(format);
  const at::Tensor expected = at::tensor(at::ArrayRef<float>(book.data(), book.size()));
  if (!values.allclose(expected, /*rtol=*/1e-5, /*atol=*/1e-7))
    refuse_tensor(tensor,
                  std::string("is not the codebook of ") + format_name(format) + "; take an unquantized folder");
}

void require_form(const TensorInfo& tensor, at::ScalarType dtype, at::IntArrayRef shape) {
  if (tensor.dtype != dtype || shape != at::IntArrayRef(tensor.shape))
    refuse_tensor(tensor, "has another dtype or shape than bitsandbytes gives it for its matrix and config.json");
}

/// A whole number of at least 1.
int64_t size_in(const nlohmann::json& value, const std::string& where, const char* field) {
  constexpr int64_t most = int64_t{1} << 31;
  if (!value.is_number_unsigned() || value.get<uint64_t>() < 1 || value.get<uint64_t>() > most)
    throw Invalid(where + ": " + field + " is not made of sizes");
  return value.get<int64_t>();
}

void require_size(const nlohmann::json& json, const std::string& where, const char* field, int64_t implemented) {
  const auto found = json.find(field);
  if (found == json.end() || !found->is_number_integer() || *found != implemented)
    throw Invalid(where + ": " + field + " is not " + std::to_string(implemented) +
                  ", the only one that is read; take an unquantized folder and give --quantize");
}

/// See bitsandbytes.h.
class BitsAndBytes : public TensorViews {
 public:
  BitsAndBytes(std::shared_ptr<const TensorSource> source, const Quantization& quantization)
      : TensorViews(std::move(source)), quantization_(quantization) {
    const bool eight = quantization_.format == Format::int8_weights;
    for (const std::string& name : this->source().names()) {
      const TensorInfo* info = this->source().find(name);
      if (!name.ends_with(".weight") || info->dtype != (eight ? at::kChar : at::kByte)) continue;
      eight ? add_eight_bit(*info) : add_four_bit(*info);
    }
    if (!has_views())
      throw Invalid(where() + ": holds no matrix in " + format_name(quantization_.format) +
                    ", which its config.json's quantization_config speaks of");
  }

 private:
  /// A matrix' codes and what lies beside them.
  struct Stored {
    const TensorInfo& codes;
    int64_t bytes = codes.bytes;
  };

  void add_view(const std::string& name, at::ScalarType dtype, at::IntArrayRef shape, const Stored& of, Read read) {
    add({.name = name,
         .dtype = dtype,
         .stored_as = format_name(quantization_.format),
         .shape = shape.vec(),
         .bytes = of.bytes,
         .file = of.codes.file},
        std::move(read));
  }

  /// What a matrix cannot be read without.
  const TensorInfo& part(Stored& matrix, const std::string& name) {
    const TensorInfo* info = source().find(name);
    if (info == nullptr)
      refuse_tensor(matrix.codes,
                    "is quantized, and " + quoted_name(name) +
                        " is missing beside it; download the component again, or take an unquantized one");
    add_part(name);
    matrix.bytes += info->bytes;
    return *info;
  }

  const TensorInfo& part(Stored& matrix, const std::string& name, at::ScalarType dtype, at::IntArrayRef shape) {
    const TensorInfo& info = part(matrix, name);
    require_form(info, dtype, shape);
    return info;
  }

  QuantState state_of(Stored& matrix);
  at::Tensor nested_of(Stored& matrix, const QuantState& state);
  void add_four_bit(const TensorInfo& packed);
  void add_eight_bit(const TensorInfo& codes);

  Quantization quantization_;
};

QuantState BitsAndBytes::state_of(Stored& matrix) {
  const TensorInfo& state =
      part(matrix, matrix.codes.name + ".quant_state.bitsandbytes__" + format_name(quantization_.format));
  require_form(state, at::kByte, {state.bytes});
  if (state.bytes > kLongestState) refuse_tensor(state, "is longer than bitsandbytes writes it");
  const at::Tensor bytes = values(state);
  const std::string_view text(reinterpret_cast<const char*>(bytes.const_data_ptr<uint8_t>()),
                              static_cast<size_t>(bytes.numel()));
  return parse_quant_state(text, quantization_, *state.file + ": tensor " + quoted_name(state.name));
}

/// FourBit::nested.
at::Tensor BitsAndBytes::nested_of(Stored& matrix, const QuantState& state) {
  const int64_t size = FourBit::nested_size(state.rows * (state.width / FourBit::block));
  const FourBit to{.codes = {}, .absmax = {}, .nested = at::empty({size}, at::kFloat)};
  const TensorInfo& map = part(matrix, matrix.codes.name + ".nested_quant_map", at::kFloat, to.map().sizes());
  const TensorInfo& absmax = part(matrix, matrix.codes.name + ".nested_absmax", at::kFloat, to.nested_absmax().sizes());
  to.offset().fill_(state.offset);
  to.map().copy_(values(map));
  to.nested_absmax().copy_(values(absmax));
  if (!to.map().isfinite().all().item<bool>()) refuse_tensor(map, "holds what is not finite; download it again");
  require_scales(absmax, to.nested_absmax());
  return to.nested;
}

void BitsAndBytes::add_four_bit(const TensorInfo& packed) {
  const std::string& name = packed.name;
  Stored matrix{packed};
  const QuantState state = state_of(matrix);
  const int64_t rows = state.rows, width = state.width, blocks = width / FourBit::block;
  require_form(packed, at::kByte, {rows * (width / 2), 1});
  const bool nested = quantization_.nested;
  const TensorInfo& absmax = part(matrix, name + ".absmax", nested ? at::kByte : at::kFloat, {rows * blocks});
  const TensorInfo& map = part(matrix, name + ".quant_map", at::kFloat, {16});
  const Format format = quantization_.format;
  require_codebook(map, values(map), format);
  FourBit of{.codes = {}, .absmax = {}, .nested = nested ? nested_of(matrix, state) : at::Tensor()};

  const auto read_codes = [this, &packed](int64_t row, const at::Tensor& into) {
    source().read(packed, row * into.size(1), into.view({-1}));
  };
  const auto read_absmax = [this, &absmax](int64_t row, const at::Tensor& into) {
    source().read(absmax, row * into.size(1), into.view({-1}));
    if (into.scalar_type() == at::kFloat) require_scales(absmax, into);
  };
  const auto read_values = [=, this](int64_t row, const at::Tensor& into) {
    const FourBit some{.codes = at::empty({into.size(0), width / 2}, at::kByte),
                       .absmax = at::empty({into.size(0), blocks}, nested ? at::kByte : at::kFloat)};
    read_codes(row, some.codes);
    read_absmax(row, some.absmax);
    const at::Tensor scales = nested ? widened_absmax(some.absmax, row * blocks, of) : some.absmax;
    dequantize_4bit_aten({.codes = some.codes, .absmax = scales}, format, 0, into);
  };
  add_view(name + ".codes", at::kByte, {rows, width / 2}, matrix, read_codes);
  add_view(name + ".absmax", nested ? at::kByte : at::kFloat, {rows, blocks}, matrix, read_absmax);
  if (nested)
    add_view(name + ".nested", at::kFloat, of.nested.sizes(), matrix,
             [of](int64_t row, const at::Tensor& into) { into.copy_(of.nested.narrow(0, row, into.size(0))); });
  add_view(name, at::kFloat, {rows, width}, matrix, read_values);
}

void BitsAndBytes::add_eight_bit(const TensorInfo& codes) {
  const std::string& name = codes.name;
  const std::string module = name.substr(0, name.size() - std::string_view("weight").size());
  if (codes.shape.size() != 2) refuse_tensor(codes, "is quantized, and no matrix");
  Stored matrix{codes};
  const TensorInfo& largest = part(matrix, module + "SCB", at::kFloat, {codes.shape[0]});
  const at::Tensor scb = values(largest);
  require_scales(largest, scb);
  if (source().find(module + "weight_format") != nullptr) {
    const TensorInfo& layout = part(matrix, module + "weight_format", at::kByte, {});
    if (values(layout).item<uint8_t>() != 0)
      refuse_tensor(layout, "is not 0, rows one after another; save the folder with bitsandbytes 0.45 or newer");
  }
  const at::Tensor scales = scb / at::full_like(scb, 127);  // a tensor: by a scalar ATen divides through its reciprocal

  const auto read_scales = [scales](int64_t row, const at::Tensor& into) {
    into.copy_(scales.narrow(0, row, into.size(0)));
  };
  const auto read_codes = [this, &codes](int64_t row, const at::Tensor& into) {
    source().read(codes, row, into);
    require_codes(codes, into);
  };
  const auto read_values = [=](int64_t row, const at::Tensor& into) {
    const Activation some{at::empty(into.sizes(), at::kChar), scales.narrow(0, row, into.size(0))};
    read_codes(row, some.values);
    dequantize_aten(some, into);
  };
  add_view(name + ".codes", at::kChar, codes.shape, matrix, read_codes);
  add_view(name + ".scales", at::kFloat, {codes.shape[0]}, matrix, read_scales);
  add_view(name, at::kFloat, codes.shape, matrix, read_values);
}

}  // namespace

QuantState parse_quant_state(std::string_view json, const Quantization& quantization, const std::string& where) {
  const nlohmann::json state = parse_json_object(json, where);
  const auto type = state.find("quant_type");
  if (type == state.end() || *type != format_name(quantization.format))
    throw Invalid(where + ": quant_type is not " + format_name(quantization.format) + " as in config.json");
  require_size(state, where, "blocksize", FourBit::block);
  const auto shape = state.find("shape");
  if (shape == state.end() || !shape->is_array() || shape->size() != 2)
    throw Invalid(where + ": shape is not that of a matrix");
  QuantState read{.rows = size_in((*shape)[0], where, "shape"), .width = size_in((*shape)[1], where, "shape")};
  if (read.width % FourBit::block != 0)
    throw Invalid(where + ": has " + std::to_string(read.width) + " inputs, and only multiples of " +
                  std::to_string(FourBit::block) + " are read; take an unquantized folder and give --quantize");
  if (state.contains("nested_offset") != quantization.nested)
    throw Invalid(where + ": nested_offset is " + (quantization.nested ? "missing" : "there") +
                  ", and config.json says bnb_4bit_use_double_quant " + (quantization.nested ? "true" : "false"));
  if (!quantization.nested) return read;
  require_size(state, where, "nested_blocksize", FourBit::nested_block);
  const nlohmann::json& offset = state.at("nested_offset");
  if (!offset.is_number() || std::abs(offset.get<double>()) > std::numeric_limits<float>::max())
    throw Invalid(where + ": nested_offset is no number that fp32 holds");
  read.offset = offset.get<float>();
  return read;
}

std::shared_ptr<const TensorSource> bitsandbytes_source(std::shared_ptr<const TensorSource> source,
                                                        const Quantization& quantization) {
  return std::make_shared<BitsAndBytes>(std::move(source), quantization);
}

}  // namespace flux
