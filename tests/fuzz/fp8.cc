#include "model/checkpoint/fp8.h"

#include "model/checkpoint/component.h"
#include "tests/fuzz/target.h"

namespace flux::fuzz {
namespace {

constexpr int64_t kData = 64;  // bytes that follow a header

/// All that a module could ask for.
void read_all(const TensorSource& source) {
  for (const std::string& name : source.names())
    for (const char* ending : {"", ".codes", ".scales"}) {
      const TensorInfo* info = source.find(name + ending);
      if (info == nullptr || info->dtype == at::ScalarType::Undefined || info->bytes == 0) continue;
      const at::Tensor values = at::empty(info->shape, info->dtype);
      source.read(*info, 0, values.dim() == 0 ? values.view({1}) : values);
    }
}

const Registered known({
    {"fp8_component",
     Format::json,
     {},
     [](const std::string& bytes) {
       std::string length(8, '\0');
       for (size_t i = 0; i < length.size(); ++i) length[i] = static_cast<char>(bytes.size() >> (8 * i));
       const auto file = written("fp8/model.safetensors", length + bytes + std::string(kData, '8'));
       read_all(*fp8_source(open_component(file.parent_path()), flux::Format::fp8_weights));
     }},
});

}  // namespace
}  // namespace flux::fuzz
