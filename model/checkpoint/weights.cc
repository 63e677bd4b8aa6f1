#include "model/checkpoint/weights.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "model/checkpoint/refuse_tensor.h"
#include "model/files/printable.h"
#include "model/kernels/compiled_code.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

std::string text(at::IntArrayRef shape) {
  std::ostringstream text;
  text << shape;
  return text.str();
}

/// Rows row ... of the tensor into a block of host memory, by all threads: from the page cache one copies no faster
/// than a disk reads.
void read_rows(const TensorSource& source, const TensorInfo& info, int64_t row, const at::Tensor& into) {
  constexpr int64_t bytes_each = 256 << 10;
  const int64_t rows = into.size(0);
  const int64_t row_bytes = std::max<int64_t>(1, static_cast<int64_t>(into.nbytes()) / std::max<int64_t>(1, rows));
  // A thread's own; and memory taken in that mode may be written in it alone.
  const bool inference = c10::InferenceMode::is_enabled();
  at::parallel_for(0, rows, std::max<int64_t>(1, bytes_each / row_bytes), [&](int64_t begin, int64_t end) {
    const c10::InferenceMode as_the_caller(inference);
    source.read(info, row + begin, into.narrow(0, begin, end - begin));
  });
}

}  // namespace

bool is_weight_dtype(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf || dtype == at::kDouble;
}

Weights::Weights(std::shared_ptr<const TensorSource> source, Placing placing)
    : source_(std::move(source)), staging_(std::make_shared<Staging>()), placing_(placing) {
  if (!source_->has_values()) placing_.device = at::kMeta;
  require_code_for(placing_.device);
  memory_ = std::make_shared<WeightMemory>(placing_.device);
}

Weights Weights::operator[](std::string_view child) const {
  Weights weights = *this;
  weights.prefix_ += std::string(child) + ".";
  return weights;
}

Weights Weights::operator[](int64_t index) const { return (*this)[std::to_string(index)]; }

Weights Weights::in(at::ScalarType compute) const {
  Weights weights = *this;
  weights.placing_.compute = compute;
  return weights;
}

Weights Weights::as(Format store) const {
  Weights weights = *this;
  weights.placing_.store = store;
  return weights;
}

Weights Weights::of_bystander() const {
  Weights weights = *this;
  weights.placing_.bystander = true;
  return weights;
}

Weights Weights::of_shapes() const {
  Weights weights = within(WeightMemory(at::kMeta));
  weights.placing_.device = at::kMeta;
  return weights;
}

Weights Weights::within(const WeightMemory& memory) const {
  Weights weights = *this;
  weights.memory_ = std::make_shared<WeightMemory>(memory);
  return weights;
}

at::Tensor Weights::memory(at::IntArrayRef shape, at::ScalarType dtype) const { return memory_->take(shape, dtype); }

at::Tensor Weights::host_memory(int64_t bytes) const { return memory_->take_host(bytes); }

bool Weights::has(std::string_view name) const { return source_->find(full_name(name)) != nullptr; }

std::string Weights::full_name(std::string_view name) const { return prefix_ + std::string(name); }

at::Tensor Weights::widened(const at::Tensor& values) const {
  return values.scalar_type() == at::kFloat ? values : memory(values.sizes(), at::kFloat).copy_(values);
}

void Weights::each_host_block(const TensorInfo& info,
                              const std::function<void(int64_t, const at::Tensor&)>& visit) const {
  std::vector<int64_t> shape = info.shape.empty() ? std::vector<int64_t>{1} : info.shape;
  const int64_t rows = shape[0];
  if (c10::multiply_integers(shape) == 0) return;
  const int64_t row_bytes = c10::multiply_integers(shape) / rows * static_cast<int64_t>(c10::elementSize(info.dtype));
  const bool staged = !placing_.device.is_cpu() && row_bytes <= Staging::block_bytes;
  const int64_t rows_each = std::clamp<int64_t>(Staging::block_bytes / row_bytes, 1, rows);
  shape[0] = rows_each;
  const at::Tensor own = staged ? at::Tensor() : at::empty(shape, info.dtype);
  for (int64_t row = 0; row < rows; row += rows_each) {
    shape[0] = std::min(rows_each, rows - row);
    const at::Tensor block = staged ? staging_->next(info.dtype, shape) : own.narrow(0, 0, shape[0]);
    read_rows(*source_, info, row, block);
    visit(row, block);
    if (staged) staging_->sent(placing_.device);
  }
}

/// All values of the tensor into `into` of the same shape, whatever its dtype and device.
void Weights::load(const TensorInfo& info, const at::Tensor& into) const {
  const at::Tensor rows = into.dim() == 0 ? into.view({1}) : into;
  if (rows.is_cpu() && rows.is_contiguous() && rows.scalar_type() == info.dtype)
    return rows.numel() == 0 ? void() : read_rows(*source_, info, 0, rows);
  each_host_block(info, [&](int64_t first, const at::Tensor& block) {
    rows.narrow(0, first, block.size(0)).copy_(block, /*non_blocking=*/true);
  });
}

const TensorInfo& Weights::checked(std::string_view name, at::IntArrayRef shape, Format kept) const {
  const TensorInfo* info = source_->asked(full_name(name), shape, kept);
  if (info == nullptr) {
    throw Invalid(source_->where() + ": tensor " + quoted_name(full_name(name)) +
                  " is missing; `flux-dist inspect` lists what a checkpoint lacks");
  }
  if (!is_weight_dtype(info->dtype)) {
    refuse_tensor(*info,
                  "is stored as " + info->stored_as +
                      "; weights are read from F32, BF16, F16, F64 or F8_E4M3: take this component from the published "
                      "folder");
  }
  if (shape != at::IntArrayRef(info->shape)) {
    refuse_tensor(*info, "has shape " + text(info->shape) + ", config.json asks for " + text(shape));
  }
  return *info;
}

at::Tensor Weights::tensor(std::string_view name, at::IntArrayRef shape) const {
  const TensorInfo& info = checked(name, shape);
  const auto tensor = memory(shape, placing_.compute);
  if (!tensor.is_meta()) load(info, tensor);
  return tensor;
}

void Weights::read(std::string_view name, const at::Tensor& into) const {
  const TensorInfo& info = checked(name, into.sizes());
  if (!into.is_meta()) load(info, into);
}

void Weights::read_stored(std::string_view name, const at::Tensor& into) const {
  const TensorInfo* info = source_->find(full_name(name));
  const bool fits =
      info != nullptr && info->dtype == into.scalar_type() && into.sizes() == at::IntArrayRef(info->shape);
  if (!fits)
    throw Invalid(source_->where() + ": tensor " + quoted_name(full_name(name)) +
                  " is not kept as config.json says, as " + text(into.sizes()) +
                  "; take this component from the published folder");
  if (!into.is_meta()) load(*info, into);
}

void Weights::each_block(std::string_view name, at::IntArrayRef shape,
                         const std::function<void(int64_t, const at::Tensor&)>& visit) const {
  const TensorInfo& info = checked(name, shape, placing_.store);
  if (placing_.device.is_meta()) return;
  each_host_block(info, [&](int64_t first, const at::Tensor& block) {
    const at::Tensor there = block.to(placing_.device, /*non_blocking=*/true);
    visit(first, there.scalar_type() == at::kDouble ? there.to(at::kFloat) : there);
  });
}

}  // namespace flux
