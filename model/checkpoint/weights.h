#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "model/checkpoint/staging.h"
#include "model/checkpoint/tensor_source.h"

namespace flux {

/// Where a module's weights go and in which dtype it computes.
struct Placing {
  at::Device device = at::kCPU;
  at::ScalarType compute = at::kFloat;
};

/// Of memory that a module keeps; 0 where it keeps none.
inline int64_t bytes_of(const at::Tensor& kept) { return kept.defined() ? static_cast<int64_t>(kept.nbytes()) : 0; }

/// Dtypes that weights are read from: F32, BF16, F16 and F64.
bool is_weight_dtype(at::ScalarType dtype);

/// A cheap scoped view of a source: weights["single_transformer_blocks"][3]["attn"]. Copies share the source, and the
/// memory that blocks travel through: they belong to one thread.
/// Over a source that knows only shapes the placing's device is meta, so modules come out as meta tensors.
class Weights {
 public:
  Weights(std::shared_ptr<const TensorSource> source, Placing placing);

  Weights operator[](std::string_view child) const;
  Weights operator[](int64_t index) const;
  Weights with(Placing placing) const;

  const Placing& placing() const { return placing_; }
  bool has(std::string_view name) const;
  std::string full_name(std::string_view name) const;  // for messages

  /// The tensor in the compute dtype on the device, read in row blocks by all threads, and converted on the device: the
  /// peak stays near what is kept.
  /// Throws Invalid naming file, tensor, found and expected shape.
  at::Tensor tensor(std::string_view name, at::IntArrayRef shape) const;

  /// As tensor(), into rows of a larger one: for matrices stacked by rows. `into` is [rows, ...] of the compute dtype.
  void read(std::string_view name, const at::Tensor& into) const;

 private:
  const TensorInfo& checked(std::string_view name, at::IntArrayRef shape) const;

  void load(const TensorInfo& info, const at::Tensor& into) const;

  std::shared_ptr<const TensorSource> source_;
  std::shared_ptr<Staging> staging_;
  std::string prefix_;
  Placing placing_;
};

}  // namespace flux
