#include "model/checkpoint/weights.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "model/files/printable.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

constexpr int64_t block_bytes = 16 << 20;  // what conversion holds beside the result

std::string text(at::IntArrayRef shape) {
  std::ostringstream text;
  text << shape;
  return text.str();
}

/// All values of the tensor into `into` of the same shape, whatever its dtype and device.
void load(const TensorSource& source, const TensorInfo& info, const at::Tensor& into) {
  const at::Tensor rows = into.dim() == 0 ? into.view({1}) : into;
  if (rows.numel() == 0) return;
  if (rows.is_cpu() && rows.is_contiguous() && rows.scalar_type() == info.dtype) {
    source.read(info, 0, rows);
    return;
  }
  const int64_t row_bytes = rows.numel() / rows.size(0) * static_cast<int64_t>(c10::elementSize(info.dtype));
  std::vector<int64_t> shape = rows.sizes().vec();
  shape[0] = std::clamp<int64_t>(block_bytes / row_bytes, 1, rows.size(0));
  const at::Tensor block = at::empty(shape, info.dtype);
  for (int64_t row = 0; row < rows.size(0); row += shape[0]) {
    const at::Tensor part = block.narrow(0, 0, std::min(shape[0], rows.size(0) - row));
    source.read(info, row, part);
    rows.narrow(0, row, part.size(0)).copy_(part);
  }
}

}  // namespace

bool is_weight_dtype(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf || dtype == at::kDouble;
}

Weights::Weights(std::shared_ptr<const TensorSource> source, Placing placing)
    : source_(std::move(source)), placing_(placing) {
  if (!source_->has_values()) placing_.device = at::kMeta;
}

Weights Weights::operator[](std::string_view child) const {
  Weights weights = *this;
  weights.prefix_ += std::string(child) + ".";
  return weights;
}

Weights Weights::operator[](int64_t index) const { return (*this)[std::to_string(index)]; }

Weights Weights::with(Placing placing) const {
  Weights weights(source_, placing);
  weights.prefix_ = prefix_;
  return weights;
}

bool Weights::has(std::string_view name) const { return source_->find(full_name(name)) != nullptr; }

std::string Weights::full_name(std::string_view name) const { return prefix_ + std::string(name); }

const TensorInfo& Weights::checked(std::string_view name, at::IntArrayRef shape) const {
  const TensorInfo* info = source_->find(full_name(name));
  if (info == nullptr) {
    throw Invalid(source_->where() + ": tensor " + quoted_name(full_name(name)) +
                  " is missing; `flux-dist inspect` lists what a checkpoint lacks");
  }
  if (!is_weight_dtype(info->dtype)) {
    throw Invalid(info->file + ": tensor " + quoted_name(info->name) + " is stored as " + info->stored_as +
                  "; weights are read from F32, BF16, F16 or F64: take this component from the published folder");
  }
  if (shape != at::IntArrayRef(info->shape)) {
    throw Invalid(info->file + ": tensor " + quoted_name(info->name) + " has shape " + text(info->shape) +
                  ", config.json asks for " + text(shape));
  }
  return *info;
}

at::Tensor Weights::tensor(std::string_view name, at::IntArrayRef shape) const {
  const TensorInfo& info = checked(name, shape);
  const auto tensor = at::empty(shape, at::TensorOptions().dtype(placing_.compute).device(placing_.device));
  if (!tensor.is_meta()) load(*source_, info, tensor);
  return tensor;
}

void Weights::read(std::string_view name, const at::Tensor& into) const {
  const TensorInfo& info = checked(name, into.sizes());
  if (!into.is_meta()) load(*source_, info, into);
}

}  // namespace flux
