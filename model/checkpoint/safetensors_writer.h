#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace flux {

/// A new safetensors file, tensor by tensor in any order. It appears under its name when it is finished; what was begun
/// and is not finished is taken away. Throws Invalid naming the file and what the system said.
class SafetensorsWriter {
 public:
  /// `tensors`: names and what they will be; their values are not looked at, and may be meta.
  SafetensorsWriter(std::filesystem::path path, const std::vector<std::pair<std::string, at::Tensor>>& tensors);
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  /// Of the dtype and shape that were announced.
  void put(const std::string& name, const at::Tensor& values);

  /// Once every tensor was put.
  void finish();

  int64_t bytes() const { return end_; }

 private:
  struct Place {
    int64_t begin = 0, bytes = 0;  // in the file
    bool written = false;
  };

  [[noreturn]] void refuse(const std::string& what) const;
  void write(int64_t at, const void* from, int64_t bytes);

  const std::filesystem::path path_, part_;
  int descriptor_ = -1;
  std::map<std::string, Place> places_;
  int64_t end_ = 0;
};

}  // namespace flux
