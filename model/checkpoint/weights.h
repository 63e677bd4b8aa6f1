#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "model/checkpoint/staging.h"
#include "model/checkpoint/tensor_source.h"
#include "model/format.h"

namespace flux {

/// Where a module's weights go, in which dtype it computes, and how it keeps its large matrices.
struct Placing {
  at::Device device = at::kCPU;
  at::ScalarType compute = at::kFloat;
  Format store = Format::dense;
};

/// Dtypes that weights are read from: F32, BF16, F16 and F64.
bool is_weight_dtype(at::ScalarType dtype);

/// A cheap scoped view of a source: weights["single_transformer_blocks"][3]["attn"]. Copies share the source, the
/// memory that blocks travel through, and the count of what was handed out: they belong to one thread. Over a source
/// that knows only shapes the placing's device is meta, so modules come out as meta tensors.
class Weights {
 public:
  Weights(std::shared_ptr<const TensorSource> source, Placing placing);

  Weights operator[](std::string_view child) const;
  Weights operator[](int64_t index) const;
  Weights in(at::ScalarType compute) const;
  Weights as(Format store) const;

  const Placing& placing() const { return placing_; }
  bool has(std::string_view name) const;
  bool quantized() const { return source_->quantized(); }
  std::string full_name(std::string_view name) const;  // for messages

  /// Bytes of all memory that modules got here, for good: the one book of what a component keeps.
  int64_t kept() const { return *kept_; }

  /// New memory on the device.
  at::Tensor memory(at::IntArrayRef shape, at::ScalarType dtype) const;

  /// The same values in fp32: in new memory where they are not.
  at::Tensor widened(const at::Tensor& values) const;

  /// The tensor in the compute dtype on the device, read in row blocks by all threads, and converted on the device: the
  /// peak stays near what is kept.
  /// Throws Invalid naming file, tensor, found and expected shape.
  at::Tensor tensor(std::string_view name, at::IntArrayRef shape) const;

  /// As tensor(), into rows of a larger one: for matrices stacked by rows. `into` is [rows, ...] of any dtype.
  void read(std::string_view name, const at::Tensor& into) const;

  /// As tensor(), but each row block is handed to `visit` on the device as it was stored, with the number of its first
  /// row: for who keeps it in another form. Over a source without values nothing is visited.
  void each_block(std::string_view name, at::IntArrayRef shape,
                  const std::function<void(int64_t first, const at::Tensor& rows)>& visit) const;

  /// A tensor of a quantized matrix as it is, into memory of its dtype and shape on the device.
  void read_stored(std::string_view name, const at::Tensor& into) const;

 private:
  const TensorInfo& checked(std::string_view name, at::IntArrayRef shape) const;

  void load(const TensorInfo& info, const at::Tensor& into) const;

  /// Row blocks of a tensor in host memory; what `visit` queues on the device may still read them when it returns.
  void each_host_block(const TensorInfo& info,
                       const std::function<void(int64_t first, const at::Tensor&)>& visit) const;

  std::shared_ptr<const TensorSource> source_;
  std::shared_ptr<Staging> staging_;
  std::shared_ptr<int64_t> kept_;  // bytes
  std::string prefix_;
  Placing placing_;
};

}  // namespace flux
