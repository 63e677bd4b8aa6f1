#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/format.h"

namespace flux {

struct TensorInfo {
  std::string name;
  at::ScalarType dtype = at::kFloat;  // Undefined: one that libtorch does not know, which cannot be read
  std::string stored_as;              // the same as the file has it: BF16, F8_E4M3, F4
  std::vector<int64_t> shape;
  int64_t bytes = 0;  // as stored
  std::shared_ptr<const std::string>
      file;  // for messages; one for all tensors of a file, of which there may be millions
};

/// Where weights come from: safetensors of a component's folder, random values, shapes only; decorators count and
/// rename. Immutable and thread-safe after construction.
class TensorSource {
 public:
  virtual ~TensorSource() = default;

  /// nullptr when there is no such tensor. The info lives as long as the source.
  virtual const TensorInfo* find(std::string_view name) const = 0;

  /// The tensor that a module asks for in this shape, to keep it in this form. A source that is asked what there should
  /// be takes it down.
  virtual const TensorInfo* asked(std::string_view name, at::IntArrayRef /*shape*/, Format /*kept*/) const {
    return find(name);
  }

  /// The folder or file that a message about a missing tensor names.
  virtual std::string where() const = 0;

  /// False when only shapes are known: then nothing may be read, and Weights gives meta tensors.
  virtual bool has_values() const { return true; }

  /// True where matrices are quantized already: those that are not stay dense. See bitsandbytes.h, kept_codes.h.
  virtual bool quantized() const { return false; }

  /// All names, sorted.
  virtual std::vector<std::string> names() const = 0;

  /// Copies rows row ... row + into.size(0) of the tensor (dimension 0; a scalar is one row of [1]) to `into`, a
  /// contiguous CPU tensor of the tensor's dtype; never aliases a mapping. Throws Invalid when the file ends early.
  virtual void read(const TensorInfo& tensor, int64_t row, const at::Tensor& into) const = 0;
};

}  // namespace flux
