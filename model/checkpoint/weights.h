#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "model/checkpoint/staging.h"
#include "model/checkpoint/tensor_source.h"
#include "model/checkpoint/weight_memory.h"
#include "model/format.h"
#include "model/residency.h"

namespace flux {

class Communicator;

/// Where a module's weights go, in which dtype it computes, how it keeps its large matrices, and where its layers lie.
struct Placing {
  at::Device device = at::kCPU;
  at::ScalarType compute = at::kFloat;
  Format store = Format::dense;
  Residency residency = Residency::resident;
  Communicator* sequence = nullptr;  // of the ranks that share the rows of what it multiplies; none: it has them all
  bool bystander = false;            // of others in the sequence: it has no rows, and keeps no matrices
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
  Weights of_bystander() const;

  /// Without values, over a book of its own: for who wants to know how much a module will take.
  Weights of_shapes() const;

  /// The same weights, kept in `memory`; or in one piece of this memory.
  Weights within(const WeightMemory& memory) const;
  Weights in_piece(int64_t bytes) const { return within(memory_->piece(bytes)); }

  const Placing& placing() const { return placing_; }
  bool has(std::string_view name) const;
  bool quantized() const { return source_->quantized(); }
  std::string full_name(std::string_view name) const;  // for messages

  /// Bytes of all memory that modules got here, for good: the one book of what a component keeps, on its device and on
  /// the host.
  int64_t kept() const { return memory_->taken(); }
  int64_t kept_on_host() const { return memory_->taken_of_host(); }

  /// Memory on the device, and in bytes on the host.
  at::Tensor memory(at::IntArrayRef shape, at::ScalarType dtype) const;
  at::Tensor host_memory(int64_t bytes) const;

  /// The same values in fp32: in new memory where they are not.
  at::Tensor widened(const at::Tensor& values) const;

  /// The tensor in the compute dtype on the device, read in row blocks by all threads, and converted on the device: the
  /// peak stays near what is kept.
  /// Throws Invalid naming file, tensor, found and expected shape.
  at::Tensor tensor(std::string_view name, at::IntArrayRef shape) const;

  /// As tensor(), into rows of a larger one: for matrices stacked by rows. `into` is [rows, ...] of any dtype.
  void read(std::string_view name, const at::Tensor& into) const;

  /// As tensor(), but each row block is handed to `visit` on the device as it was stored (F64 in fp32), with the number
  /// of its first row: for who keeps it in another form. Over a source without values nothing is visited.
  void each_block(std::string_view name, at::IntArrayRef shape,
                  const std::function<void(int64_t first, const at::Tensor& rows)>& visit) const;

  /// A tensor of a quantized matrix as it is, into memory of its dtype and shape on the device.
  void read_stored(std::string_view name, const at::Tensor& into) const;

 private:
  const TensorInfo& checked(std::string_view name, at::IntArrayRef shape, Format kept = Format::dense) const;

  void load(const TensorInfo& info, const at::Tensor& into) const;

  /// Row blocks of a tensor in host memory; what `visit` queues on the device may still read them when it returns.
  void each_host_block(const TensorInfo& info,
                       const std::function<void(int64_t first, const at::Tensor&)>& visit) const;

  std::shared_ptr<const TensorSource> source_;
  std::shared_ptr<Staging> staging_;
  std::shared_ptr<WeightMemory> memory_;
  std::string prefix_;
  Placing placing_;
};

/// What `build` makes of weights, in one piece of memory: how large that is, shapes alone tell first.
template <typename Build>
auto in_one_piece(const Weights& weights, const Build& build) {
  if (weights.placing().device.is_meta()) return build(weights);
  const Weights shapes = weights.of_shapes();
  build(shapes);
  return build(weights.in_piece(shapes.kept()));
}

}  // namespace flux
