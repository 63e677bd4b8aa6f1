#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <ctime>
#include <functional>
#include <limits>
#include <map>

#include "model/checkpoint/bitsandbytes.h"
#include "model/checkpoint/component.h"
#include "model/checkpoint/computed.h"
#include "model/checkpoint/fp8.h"
#include "model/checkpoint/kept_codes.h"
#include "model/checkpoint/renamed.h"
#include "model/checkpoint/safetensors.h"
#include "model/config.h"
#include "model/config_fields.h"
#include "model/files/json_file.h"
#include "tests/model/checkpoint/held.h"
#include "tests/model/checkpoint/scratch_folder.h"

namespace flux {
namespace {

using nlohmann::json;

/// A reader and the file that it reads. What `prepare` gives is measured: the reading alone.
struct Reader {
  const char* name;
  std::function<std::function<void()>(const ScratchFolder& folder, int64_t size)> prepare;
};

void PrintTo(const Reader& reader, std::ostream* out) { *out << reader.name; }

std::string header_of(int64_t tensors) {
  json header = {{"__metadata__", json::object()}};
  for (int64_t i = 0; i < tensors; ++i) {
    header["layers." + std::to_string(i)] = {{"dtype", "U8"}, {"shape", {1}}, {"data_offsets", {i, i + 1}}};
    header["__metadata__"]["key " + std::to_string(i)] = "text";
  }
  return header.dump();
}

/// Matrices in 8 bits, each as codes and scales of these names.
std::shared_ptr<Held> matrices(int64_t count, const std::string& codes, const std::string& scales,
                               at::ScalarType dtype = at::kChar) {
  std::map<std::string, at::Tensor, std::less<>> tensors;
  for (int64_t i = 0; i < count; ++i) {
    tensors[std::to_string(i) + codes] = at::zeros({1, 1}, dtype);
    tensors[std::to_string(i) + scales] = at::ones({1});
  }
  return std::make_shared<Held>(std::move(tensors));
}

/// An object of `size` objects.
std::string object_of(int64_t size) {
  json object;
  for (int64_t i = 0; i < size; ++i) object[std::to_string(i)] = json::object();
  return object.dump();
}

void write_weights(const ScratchFolder& folder, int64_t tensors, const std::string& name) {
  const std::string header = header_of(tensors);
  std::string length(8, '\0');
  for (size_t i = 0; i < length.size(); ++i) length[i] = static_cast<char>(header.size() >> (8 * i));
  folder.write(name, length + header + std::string(static_cast<size_t>(tensors), '\0'));
}

const Reader readers[] = {
    {"header",
     [](const ScratchFolder&, int64_t size) {
       return [text = header_of(size), size] { parse_safetensors_header(text, size, "header"); };
     }},
    {"objects_in_an_object",
     [](const ScratchFolder&, int64_t size) {
       return [text = object_of(size)] { parse_json_object(text, "objects"); };
     }},
    {"objects_in_a_list",
     [](const ScratchFolder&, int64_t size) {
       return [text = json{{"list", std::vector<json>(static_cast<size_t>(size), json::object())}}.dump()] {
         parse_json_object(text, "list");
       };
     }},
    {"file_without_an_index",
     [](const ScratchFolder& folder, int64_t size) {
       write_weights(folder, size, "model.safetensors");
       return [&] { open_component(folder.path()); };
     }},
    {"index",
     [](const ScratchFolder& folder, int64_t size) {
       write_weights(folder, size, "one.safetensors");
       json map;
       for (int64_t i = 0; i < size; ++i) map["layers." + std::to_string(i)] = "one.safetensors";
       folder.write("model.safetensors.index.json", json{{"weight_map", map}}.dump());
       return [&] { open_component(folder.path()); };
     }},
    {"quant_state",
     [](const ScratchFolder&, int64_t size) {
       json state = {
           {"quant_type", "nf4"}, {"blocksize", 64}, {"shape", {4, 64}}, {"more", json::parse(object_of(size))}};
       return [text = state.dump()] { parse_quant_state(text, {.format = Format::nf4}, "state"); };
     }},
    {"kept_codes",
     [](const ScratchFolder&, int64_t size) {
       return [source = matrices(size, ".weight.codes", ".weight.scales")] {
         kept_codes_source(source, {.by = Quantization::By::flux_dist, .format = Format::int8})->names();
       };
     }},
    {"quantized_matrices",
     [](const ScratchFolder&, int64_t size) {
       return [source = matrices(size, ".weight", ".SCB")] {
         bitsandbytes_source(source, {Quantization::By::bitsandbytes, Format::int8_weights, Format::int8_weights})
             ->names();
       };
     }},
    {"fp8_matrices",
     [](const ScratchFolder&, int64_t size) {
       return [source = matrices(size, ".weight", ".scale_weight", at::kFloat8_e4m3fn)] {
         fp8_source(source, Format::fp8_weights)->names();
       };
     }},
    {"other_names",
     [](const ScratchFolder&, int64_t size) {
       std::vector<ExpectedTensor> tensors;
       for (int64_t i = 0; i < size; ++i) tensors.push_back({std::to_string(i), {1}});
       return [source = shapes_only_source(tensors, "shapes")] {
         renamed(source, [](const std::string& name) { return "text_model." + name; });
       };
     }},
    {"config",
     [](const ScratchFolder& folder, int64_t size) {
       folder.write("config.json", object_of(size));
       return [&] { ConfigFields(folder.path() / "config.json"); };
     }},
    {"tokenizer_config",
     [](const ScratchFolder& folder, int64_t size) {
       folder.write("tokenizer_config.json", object_of(size));
       return [&] { model_max_length(folder.path(), 77); };
     }},
};

double processor_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// What a file costs the processor: the least of some readings, so that what else the machine does is left out.
double cost(const Reader& reader, int64_t size) {
  const ScratchFolder folder;
  const auto read = reader.prepare(folder, size);
  double least = std::numeric_limits<double>::max();
  for (int reading = 0; reading < 5; ++reading) {
    const double begin = processor_seconds();
    read();
    least = std::min(least, processor_seconds() - begin);
  }
  return least;
}

class Growth : public testing::TestWithParam<Reader> {};

// A reader that looks at its file once takes about 32 times as long, caches and maps included 60; one that grows with
// the square takes 1024 times.
TEST_P(Growth, IsThatOfTheFile) {
  constexpr int64_t few = 250, times = 32;
  EXPECT_LT(cost(GetParam(), few * times), 6 * times * cost(GetParam(), few));
}

INSTANTIATE_TEST_SUITE_P(Readers, Growth, testing::ValuesIn(readers),
                         [](const auto& reader) { return reader.param.name; });

}  // namespace
}  // namespace flux
