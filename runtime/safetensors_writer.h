#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "runtime/sink/descriptor.h"

namespace flux {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// A new safetensors file, tensor by tensor in any order. It appears under its name when it is finished; what was begun
/// and is not finished is taken away. Throws Invalid naming the file and what the system said.
class SafetensorsWriter {
 public:
  /// `tensors`: names and what they will be, which may be meta. Their order in the file is by the size of their
  /// elements, as safetensors' own, so that each is aligned.
  SafetensorsWriter(std::filesystem::path path, NamedTensors tensors);

  /// Of the dtype and shape that were announced.
  void put(const std::string& name, const at::Tensor& values);

  /// Once every tensor was put.
  void finish();

  int64_t bytes() const { return end_; }

 private:
  struct Part {
    std::filesystem::path path;
    ~Part();
  };
  struct Place {
    int64_t begin = 0, bytes = 0;  // in the file
    bool written = false;
  };

  const std::filesystem::path path_;
  const Part part_;
  Descriptor file_;
  std::map<std::string, Place> places_;
  int64_t end_ = 0;
};

}  // namespace flux
