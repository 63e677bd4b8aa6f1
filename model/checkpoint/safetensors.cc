#include "model/checkpoint/safetensors.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>
#include <tuple>
#include <utility>

#include "model/files/json_file.h"
#include "model/files/printable.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

constexpr size_t most_dimensions = 8;

constexpr std::pair<std::string_view, at::ScalarType> dtypes[] = {
    {"F64", at::kDouble},
    {"F32", at::kFloat},
    {"F16", at::kHalf},
    {"BF16", at::kBFloat16},
    {"F8_E4M3", at::kFloat8_e4m3fn},
    {"F8_E5M2", at::kFloat8_e5m2},
    {"I8", at::kChar},
    {"I16", at::kShort},
    {"I32", at::kInt},
    {"I64", at::kLong},
    {"U8", at::kByte},
    {"BOOL", at::kBool},
};

/// Undefined for a dtype that came after these: the tensor may be one that nothing reads.
at::ScalarType known_dtype(std::string_view name) {
  const auto* found = std::find_if(std::begin(dtypes), std::end(dtypes), [&](auto& d) { return d.first == name; });
  return found == std::end(dtypes) ? at::ScalarType::Undefined : found->second;
}

/// A name, which may stand in messages and tables as it is.
bool is_dtype_name(std::string_view text) {
  constexpr size_t longest = 24;
  return !text.empty() && text.size() <= longest &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

/// One entry of the header; every complaint names it.
class Entry {
 public:
  Entry(const std::shared_ptr<const std::string>& file, const std::string& name, const nlohmann::json& entry)
      : file_(file), name_(name), entry_(entry) {
    if (!entry.is_object()) fail("is not described by a JSON object");
  }

  StoredTensor tensor() const {
    const std::string dtype = stored_as();
    const auto [begin, end] = offsets();
    StoredTensor tensor{.info = {.name = name_,
                                 .dtype = known_dtype(dtype),
                                 .stored_as = dtype,
                                 .shape = shape(),
                                 .bytes = end - begin,
                                 .file = file_},
                        .begin = begin};
    const int64_t bytes = expected_bytes(tensor.info);
    if (tensor.info.dtype != at::ScalarType::Undefined && tensor.info.bytes != bytes) {
      fail("has " + std::to_string(tensor.info.bytes) + " bytes by its data_offsets, " + std::to_string(bytes) +
           " by its dtype and shape");
    }
    return tensor;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Invalid(*file_ + ": tensor " + quoted_name(name_) + " " + what);
  }

  const nlohmann::json& field(const char* key) const {
    const auto found = entry_.find(key);
    if (found == entry_.end()) fail("has no field " + std::string(key));
    return *found;
  }

  int64_t count(const nlohmann::json& value, const char* complaint) const {
    constexpr uint64_t most = std::numeric_limits<int64_t>::max();
    if (!value.is_number_unsigned() || value.get<uint64_t>() > most) fail(complaint);
    return value.get<int64_t>();
  }

  std::string stored_as() const {
    const auto& value = field("dtype");
    if (!value.is_string()) fail("has a dtype that is not a string");
    const auto& text = value.get_ref<const std::string&>();
    if (!is_dtype_name(text)) fail("has the dtype " + quoted_name(text) + ", which is no name of one");
    return text;
  }

  std::vector<int64_t> shape() const {
    const auto& value = field("shape");
    if (!value.is_array()) fail("has a shape that is not a list");
    if (value.size() > most_dimensions) fail("has " + std::to_string(value.size()) + " dimensions");
    std::vector<int64_t> shape;
    shape.reserve(value.size());
    for (const auto& size : value) shape.push_back(count(size, "has a shape that is not made of counts"));
    return shape;
  }

  std::pair<int64_t, int64_t> offsets() const {
    constexpr auto complaint = "has data_offsets that are not counts";
    const auto& value = field("data_offsets");
    if (!value.is_array() || value.size() != 2) fail("has data_offsets that are not [begin, end]");
    const int64_t begin = count(value[0], complaint);
    const int64_t end = count(value[1], complaint);
    if (end < begin) fail("ends before it begins by its data_offsets");
    return {begin, end};
  }

  int64_t expected_bytes(const TensorInfo& info) const {
    const bool known = info.dtype != at::ScalarType::Undefined;
    auto bytes = known ? static_cast<int64_t>(c10::elementSize(info.dtype)) : int64_t{1};
    bool empty = false;
    for (const int64_t size : info.shape) {
      empty |= size == 0;
      // Strides of an empty tensor must fit as well.
      if (__builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes)) fail("has a shape that overflows");
    }
    return empty ? 0 : bytes;
  }

  const std::shared_ptr<const std::string>& file_;
  const std::string& name_;
  const nlohmann::json& entry_;
};

void check_metadata(const nlohmann::json& metadata, const std::string& file) {
  const bool strings = metadata.is_object() && std::all_of(metadata.begin(), metadata.end(),
                                                           [](const auto& value) { return value.is_string(); });
  if (!strings) throw Invalid(file + ": __metadata__ is not an object of strings");
}

[[noreturn]] void refuse_twin(std::string_view name, const std::string& file) {
  throw Invalid(file + ": key " + quoted_name(name) + " twice in one JSON object");
}

void check_for_twins(const std::vector<StoredTensor>& tensors, const std::string& file) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const StoredTensor& tensor : tensors) names.emplace_back(tensor.info.name);
  std::sort(names.begin(), names.end());
  const auto twin = std::adjacent_find(names.begin(), names.end());
  if (twin != names.end()) refuse_twin(*twin, file);
}

void check_layout(std::vector<StoredTensor>& tensors, int64_t data_bytes, const std::string& file) {
  for (const StoredTensor& tensor : tensors) {
    if (tensor.begin + tensor.info.bytes > data_bytes) {
      throw Invalid(file + ": tensor " + quoted_name(tensor.info.name) + " ends at data byte " +
                    std::to_string(tensor.begin + tensor.info.bytes) + " but the file holds " +
                    std::to_string(data_bytes) + "; it is truncated, download it again");
    }
  }
  std::sort(tensors.begin(), tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return std::tie(a.begin, a.info.bytes, a.info.name) < std::tie(b.begin, b.info.bytes, b.info.name);
  });
  int64_t end = 0;
  for (const StoredTensor& tensor : tensors) {
    if (tensor.begin != end) {
      throw Invalid(file + ": tensor " + quoted_name(tensor.info.name) +
                    (tensor.begin < end ? " overlaps the one before it" : " leaves a hole before it"));
    }
    end += tensor.info.bytes;
  }
  if (end != data_bytes) {
    throw Invalid(file + ": " + std::to_string(data_bytes - end) + " bytes after the last tensor belong to none");
  }
}

}  // namespace

std::string_view safetensors_dtype(at::ScalarType dtype) {
  const auto* found = std::ranges::find(dtypes, dtype, &std::pair<std::string_view, at::ScalarType>::second);
  return found == std::end(dtypes) ? std::string_view() : found->first;
}

std::vector<StoredTensor> parse_safetensors_header(std::string_view header, int64_t data_bytes,
                                                   const std::string& file) {
  if (!header.starts_with('{')) throw Invalid(file + ": its header does not begin with '{'; is it a safetensors file?");
  const auto path = std::make_shared<const std::string>(file);
  std::vector<StoredTensor> tensors;
  bool has_metadata = false;
  parse_members(header, file, [&](const std::string& name, const nlohmann::json& entry) {
    if (name == "__metadata__") {
      if (std::exchange(has_metadata, true)) refuse_twin(name, file);
      check_metadata(entry, file);
    } else {
      tensors.push_back(Entry(path, name, entry).tensor());
    }
  });
  check_for_twins(tensors, file);
  check_layout(tensors, data_bytes, file);
  return tensors;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  std::array<unsigned char, 8> prefix{};
  if (file_.size() < static_cast<int64_t>(prefix.size())) {
    throw Invalid(file_.path() + ": " + std::to_string(file_.size()) + " bytes are no safetensors file");
  }
  file_.read(0, prefix.data(), prefix.size());
  uint64_t length = 0;
  for (size_t i = 0; i < prefix.size(); ++i) length |= static_cast<uint64_t>(prefix[i]) << (8 * i);
  if (length > longest_header) {
    throw Invalid(file_.path() + ": a header of " + std::to_string(length) +
                  " bytes, at most 100 MB are accepted; is it a safetensors file?");
  }
  data_begin_ = static_cast<int64_t>(prefix.size() + length);
  if (data_begin_ > file_.size()) {
    throw Invalid(file_.path() + ": ends inside its header; it is truncated, download it again");
  }
  std::string header(length, '\0');
  file_.read(prefix.size(), header.data(), static_cast<int64_t>(length));
  tensors_ = parse_safetensors_header(header, file_.size() - data_begin_, file_.path());
}

void SafetensorsFile::read(const StoredTensor& tensor, int64_t row, const at::Tensor& into) const {
  const int64_t rows = tensor.info.shape.empty() ? 1 : tensor.info.shape[0];
  TORCH_INTERNAL_ASSERT(into.is_contiguous() && into.is_cpu() && into.scalar_type() == tensor.info.dtype);
  TORCH_INTERNAL_ASSERT(row >= 0 && into.size(0) <= rows - row);
  if (into.numel() == 0) return;
  const int64_t row_bytes = tensor.info.bytes / rows;
  TORCH_INTERNAL_ASSERT(static_cast<int64_t>(into.nbytes()) == into.size(0) * row_bytes);
  try {
    file_.read(data_begin_ + tensor.begin + row * row_bytes, into.data_ptr(), into.size(0) * row_bytes);
  } catch (const Invalid& error) {
    throw Invalid(std::string(error.what()) + " (tensor " + quoted_name(tensor.info.name) + ")");
  }
}

}  // namespace flux
