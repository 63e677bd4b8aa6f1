#include "model/checkpoint/safetensors.h"

#include "model/checkpoint/component.h"
#include "tests/fuzz/target.h"

namespace flux::fuzz {
namespace {

const Registered known({
    {"safetensors_header",
     Format::json,
     {},
     [](const std::string& bytes) { parse_safetensors_header(bytes, 64, "fuzzed"); }},
    {"safetensors_index",
     Format::json,
     {},
     [](const std::string& bytes) {
       const std::string header = R"({"weight":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}})";
       written("component/a.safetensors",
               std::string(1, static_cast<char>(header.size())) + std::string(7, '\0') + header + "12345678");
       open_component(written("component/diffusion_pytorch_model.safetensors.index.json", bytes).parent_path());
     }},
});

}  // namespace
}  // namespace flux::fuzz
