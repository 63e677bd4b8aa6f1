#include "model/checkpoint/kept_codes.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "model/checkpoint/codes.h"
#include "model/checkpoint/refuse_tensor.h"
#include "model/files/printable.h"
#include "model/linear/four_bit.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

constexpr std::string_view kCodes = ".codes", kRowScales = ".scales";

std::vector<int64_t> indices_of_zeros(const at::Tensor& values) {
  const at::Tensor found = (values == 0).nonzero().flatten().contiguous();
  return {found.data_ptr<int64_t>(), found.data_ptr<int64_t>() + found.numel()};
}

class KeptCodes : public TensorSource {
 public:
  KeptCodes(std::shared_ptr<const TensorSource> source, const Quantization& quantization) : source_(std::move(source)) {
    for (const std::string& name : source_->names())
      if (name.ends_with(kCodes)) add(*source_->find(name));
    if (matrices_.empty())
      throw Invalid(source_->where() + ": holds no codes of " + format_name(quantization.format) +
                    ", which its config.json's quantization_config speaks of");
  }

  std::string where() const override { return source_->where(); }
  bool has_values() const override { return source_->has_values(); }
  bool quantized() const override { return true; }

  const TensorInfo* find(std::string_view name) const override {
    const auto matrix = matrices_.find(name);
    return matrix == matrices_.end() ? source_->find(name) : &matrix->second;
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> names = source_->names();
    std::erase_if(names, [&](const std::string& name) { return parts_.contains(name); });
    for (const auto& [name, info] : matrices_) names.push_back(name);
    std::ranges::sort(names);
    return names;
  }

  void read(const TensorInfo& tensor, int64_t row, const at::Tensor& into) const override {
    if (matrices_.contains(tensor.name)) refuse_tensor(tensor, "is kept as codes, and config.json asks for its values");
    source_->read(tensor, row, into);
    if (tensor.name.ends_with(kCodes)) require_codes(tensor, into);
    if (!numbers_.contains(tensor.name)) return;
    const bool by_row = tensor.name.ends_with(kRowScales);
    const at::Tensor scales = by_row ? into : FourBit{.codes = {}, .absmax = {}, .nested = into}.nested_absmax();
    if (!into.isfinite().all().item<bool>() || (scales < 0).any().item<bool>())
      refuse_tensor(tensor, "holds a scale that is negative or not finite; quantize the model again");
    if (by_row) require_zeros(tensor, row, into);
  }

 private:
  /// Where a row's scale is zero, as a row of zeros has it.
  void require_zeros(const TensorInfo& scales, int64_t row, const at::Tensor& values) const {
    const std::string name = scales.name.substr(0, scales.name.size() - kRowScales.size());
    const TensorInfo& codes = *source_->find(name + std::string(kCodes));
    for (const int64_t zero : indices_of_zeros(values)) {
      const at::Tensor one = at::empty({1, codes.shape[1]}, codes.dtype);
      source_->read(codes, row + zero, one);
      if (one.to(at::kFloat).any().item<bool>())
        refuse_tensor(scales, "holds a scale of zero for codes that are not; quantize the model again");
    }
  }

  void add(const TensorInfo& codes) {
    const std::string name = codes.name.substr(0, codes.name.size() - kCodes.size());
    const bool four_bit = codes.dtype == at::kByte;
    const bool eight_bit = codes.dtype == at::kChar || codes.dtype == at::kFloat8_e4m3fn;
    if (codes.shape.size() != 2 || codes.bytes == 0 || (!four_bit && !eight_bit))
      refuse_tensor(codes, "is no matrix of codes as flux-dist quantize writes it");
    TensorInfo matrix{.name = name,
                      .dtype = at::kFloat,
                      .stored_as = four_bit ? "4 bits" : codes.stored_as,
                      .shape = {codes.shape[0], codes.shape[1] * (four_bit ? 2 : 1)},
                      .bytes = codes.bytes,
                      .file = codes.file};
    parts_.insert(codes.name);
    const int64_t rows = matrix.shape[0], blocks = matrix.shape[1] / FourBit::block;
    if (four_bit) {
      part(matrix, ".absmax", at::kByte, {rows, blocks});
      numbers_.insert(part(matrix, ".nested", at::kFloat, {FourBit::nested_size(rows * blocks)}));
    } else {
      numbers_.insert(part(matrix, ".scales", at::kFloat, {rows}));
    }
    matrices_.emplace(name, std::move(matrix));
  }

  const std::string& part(TensorInfo& matrix, const char* suffix, at::ScalarType dtype, at::IntArrayRef shape) {
    const TensorInfo* info = source_->find(matrix.name + suffix);
    if (info == nullptr)
      refuse_tensor(matrix,
                    "is quantized, and " + quoted_name(matrix.name + suffix) + " is missing; quantize the model again");
    if (info->dtype != dtype || shape != at::IntArrayRef(info->shape))
      refuse_tensor(*info, "has another dtype or shape than its codes ask for; quantize the model again");
    matrix.bytes += info->bytes;
    return *parts_.insert(info->name).first;
  }

  std::shared_ptr<const TensorSource> source_;
  std::map<std::string, TensorInfo, std::less<>> matrices_;
  std::set<std::string> parts_, numbers_;  // of numbers_ the values are looked at
};

}  // namespace

std::shared_ptr<const TensorSource> kept_codes_source(std::shared_ptr<const TensorSource> source,
                                                      const Quantization& quantization) {
  return std::make_shared<KeptCodes>(std::move(source), quantization);
}

}  // namespace flux
