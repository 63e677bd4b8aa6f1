#pragma once

// The safetensors format (huggingface/safetensors): 8 bytes of header length, little endian; the header, a JSON object
// {name: {dtype, shape, data_offsets: [begin, end]}, "__metadata__": {...}}; then the tensors' bytes, which fill the
// rest of the file without holes or overlap.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "model/checkpoint/tensor_source.h"
#include "model/files/readable_file.h"

namespace flux {

/// The name of a dtype there: F32, BF16; empty of one that it has none for.
std::string_view safetensors_dtype(at::ScalarType dtype);

/// A tensor of a file and where its bytes begin, counted from the end of the header.
struct StoredTensor {
  TensorInfo info;
  int64_t begin = 0;
};

/// `data_bytes`: how many bytes follow the header. `file` is for messages.
/// Throws Invalid, naming file and tensor, for a header that lies in any way.
std::vector<StoredTensor> parse_safetensors_header(std::string_view header, int64_t data_bytes,
                                                   const std::string& file);

/// One file. Its header is read and checked at construction, data by read().
class SafetensorsFile {
 public:
  static constexpr int64_t longest_header = 100'000'000;  // bytes, the limit of the safetensors library too

  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::vector<StoredTensor>& tensors() const { return tensors_; }

  /// TensorSource::read of one of tensors().
  void read(const StoredTensor& tensor, int64_t row, const at::Tensor& into) const;

 private:
  ReadableFile file_;
  int64_t data_begin_ = 0;
  std::vector<StoredTensor> tensors_;
};

}  // namespace flux
