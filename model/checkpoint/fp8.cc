#include "model/checkpoint/fp8.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/checkpoint/codes.h"
#include "model/checkpoint/refuse_tensor.h"
#include "model/checkpoint/tensor_views.h"
#include "model/files/printable.h"

namespace flux {
namespace {

constexpr at::ScalarType kCode = at::kFloat8_e4m3fn;
constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kMarker = "scaled_fp8";  // an empty tensor of ComfyUI's: there are scales
constexpr std::array<const char*, 2> kScales = {".scale_weight", ".weight_scale"};
constexpr const char* kBlockScale = ".weight_scale_inv";  // of transformers' and DeepSeek's fp8
/// What a layer's input would be divided by before it is rounded: only products in fp8 want it, and here weights alone
/// are in 8 bits.
constexpr std::array<const char*, 2> kInputScales = {".scale_input", ".input_scale"};

/// What may be well-formed, and is not computed with.
[[noreturn]] void refuse_form(const TensorInfo& tensor, std::string what) {
  refuse_tensor(tensor,
                what.append("; take a file in F8_E4M3 with a scale a matrix or a row, or the folder that is not "
                            "quantized"));
}

bool is_marker(const std::string& name) { return name == kMarker || name.ends_with("." + std::string(kMarker)); }

/// Tables that are looked up, which tools leave without scales.
bool is_embedding(const std::string& name) {
  constexpr std::array<const char*, 4> endings = {"shared.weight", "embed_tokens.weight", "embedding.weight",
                                                  "relative_attention_bias.weight"};
  return std::ranges::any_of(endings, [&](const char* ending) { return name.ends_with(ending); });
}

/// The part of `name` before `ending`; empty where it ends otherwise.
std::string before(const std::string& name, std::string_view ending) {
  return name.ends_with(ending) ? name.substr(0, name.size() - ending.size()) : "";
}

/// See fp8.h.
class Fp8 : public TensorViews {
 public:
  Fp8(std::shared_ptr<const TensorSource> source, Format kept) : TensorViews(std::move(source)), kept_(kept) {
    const std::vector<std::string> names = this->source().names();
    for (const std::string& name : names) {
      if (is_marker(name)) add_part(name);
      scaled_ |= is_marker(name) || is_scale(name);
    }
    for (const std::string& name : names) {
      const TensorInfo& info = *this->source().find(name);
      if (info.dtype == kCode && !is_marker(name)) add_fp8(info);
    }
  }

 private:
  /// Throws where it is one of nothing that is known.
  bool is_scale(const std::string& name) const {
    if (!before(name, kBlockScale).empty())
      refuse_form(*source().find(name), "scales blocks of a matrix, which is not computed with");
    const auto* const ending = std::ranges::find_if(kScales, [&](const char* each) { return name.ends_with(each); });
    if (ending == kScales.end()) return false;
    const std::string weight = before(name, *ending) + std::string(kWeight);
    const TensorInfo* of = source().find(weight);
    if (of == nullptr || of->dtype != kCode)
      refuse_form(*source().find(name), "is the scale of " + quoted_name(weight) + ", which is " +
                                            (of == nullptr ? "missing" : "stored as " + of->stored_as));
    return true;
  }

  /// Beside a tensor; adds its bytes.
  const TensorInfo* beside(const TensorInfo& tensor, const char* ending, int64_t& bytes) {
    const TensorInfo* found = source().find(before(tensor.name, kWeight) + ending);
    if (found == nullptr) return nullptr;
    add_part(found->name);
    bytes += found->bytes;
    return found;
  }

  /// [1] or [rows], fp32; undefined where the file has none.
  at::Tensor scales_of(const TensorInfo& tensor, int64_t& bytes) {
    const TensorInfo* scale = nullptr;
    for (const char* ending : kScales) {
      const TensorInfo* found = beside(tensor, ending, bytes);
      if (found != nullptr && scale != nullptr)
        refuse_form(*found, "is a second scale, beside " + quoted_name(scale->name));
      if (found != nullptr) scale = found;
    }
    if (scale != nullptr) return checked(*scale, tensor);
    if (scaled_ && tensor.shape.size() > 1 && !is_embedding(tensor.name))
      refuse_tensor(tensor, "has no scale beside it, and this component is one in scaled fp8; download it again");
    return {};
  }

  at::Tensor checked(const TensorInfo& scale, const TensorInfo& of) const {
    const int64_t rows = of.shape.empty() ? 1 : of.shape[0];
    const at::IntArrayRef shape(scale.shape);
    if (c10::multiply_integers(shape) != 1 && shape != at::IntArrayRef{rows} && shape != at::IntArrayRef{rows, 1})
      refuse_form(scale, "is neither one number nor one for each of the " + std::to_string(rows) + " rows of " +
                             quoted_name(of.name));
    if (scale.dtype != at::kFloat && scale.dtype != at::kBFloat16 && scale.dtype != at::kHalf)
      refuse_form(scale, "is stored as " + scale.stored_as + ", and scales are read from F32, BF16 or F16");
    const at::Tensor numbers = values(scale).to(at::kFloat).flatten();
    if (!numbers.isfinite().logical_and_(numbers > 0).all().item<bool>())
      refuse_tensor(scale, "holds a scale that is zero, negative or not finite; download it again");
    return numbers;
  }

  void add_fp8(const TensorInfo& tensor) {
    int64_t bytes = tensor.bytes;
    at::Tensor scales;
    if (tensor.name.ends_with(kWeight)) {
      scales = scales_of(tensor, bytes);
      for (const char* ending : kInputScales) beside(tensor, ending, bytes);
    }
    const bool matrix = kept_ != Format::dense && tensor.name.ends_with(kWeight) && tensor.shape.size() == 2 &&
                        tensor.bytes > 0 && !is_embedding(tensor.name);
    const auto some_scales = [scales](int64_t row, int64_t rows) {
      return scales.numel() == 1 ? scales : scales.narrow(0, row, rows);
    };
    const auto read_codes = [this, &tensor](int64_t row, const at::Tensor& into) {
      source().read(tensor, row, into);
      require_codes(tensor, into);
    };
    TensorInfo info = tensor;
    info.bytes = bytes;
    if (matrix) info.stored_as = format_name(kept_);
    const auto named = [&](const char* ending, at::ScalarType dtype, std::vector<int64_t> shape) {
      TensorInfo other = info;
      other.name += ending;
      other.dtype = dtype;
      other.shape = std::move(shape);
      return other;
    };
    add(named("", at::kFloat, tensor.shape), [=](int64_t row, const at::Tensor& into) {
      const at::Tensor codes = at::empty(into.sizes(), kCode);
      read_codes(row, codes);
      into.copy_(codes);
      if (!scales.defined()) return;
      std::vector<int64_t> rows(static_cast<size_t>(into.dim()), 1);
      rows[0] = -1;
      into.mul_(some_scales(row, into.size(0)).view(rows));
    });
    if (!matrix) return;
    add(named(".codes", kCode, tensor.shape), read_codes);
    add(named(".scales", at::kFloat, {tensor.shape[0]}), [=](int64_t row, const at::Tensor& into) {
      scales.defined() ? into.copy_(some_scales(row, into.size(0))) : into.fill_(1);
    });
  }

  Format kept_;
  bool scaled_ = false;
};

}  // namespace

bool holds_fp8(const TensorSource& source) {
  return std::ranges::any_of(source.names(),
                             [&](const std::string& name) { return source.find(name)->dtype == kCode; });
}

std::shared_ptr<const TensorSource> fp8_source(std::shared_ptr<const TensorSource> source, Format kept) {
  return std::make_shared<Fp8>(std::move(source), kept);
}

}  // namespace flux
