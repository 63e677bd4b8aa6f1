// Components that bitsandbytes quantized: what their matrices are, and what a file must hold.

#include "model/checkpoint/bitsandbytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/expected_tensors.h"
#include "model/files/printable.h"
#include "model/linear/four_bit.h"
#include "parallel/rank/errors.h"
#include "tests/model/checkpoint/held.h"
#include "tests/model/comparison.h"
#include "tests/reference.h"

namespace flux {
namespace {

using testing::HasSubstr;

Quantization by_bitsandbytes(Format format, bool nested) {
  return {Quantization::By::bitsandbytes, format, format, nested};
}

struct Kind {
  std::string name;
  Quantization quantization;
  double tolerance;  // relative, of the largest value: scales are divided by 127 here, there values multiplied by its
                     // inverse
};

const Kind kinds[] = {{"nf4", by_bitsandbytes(Format::nf4, true), 0},
                      {"fp4", by_bitsandbytes(Format::fp4, false), 0},
                      {"int8", by_bitsandbytes(Format::int8_weights, false), 3e-7}};

class QuantizedFolder : public testing::TestWithParam<Kind> {
 protected:
  ModelFolder folder() const { return ModelFolder(reference("quantized") / GetParam().name); }
};

TEST_P(QuantizedFolder, SaysHowInItsConfigs) {
  for (const char* component : {"transformer", "text_encoder_2"}) {
    const Quantization found = folder().quantization_of(component);
    EXPECT_EQ(found.format, GetParam().quantization.format);
    EXPECT_EQ(found.nested, GetParam().quantization.nested);
  }
  EXPECT_FALSE(folder().quantization_of("vae").any());
}

TEST_P(QuantizedFolder, HoldsTheValuesOfBitsandbytes) {
  for (const std::string component : {"transformer", "text_encoder_2"}) {
    const auto source = published(folder()).open(component);
    const auto expected = open_component(reference("quantized") / ("values_" + GetParam().name + "_" + component));
    EXPECT_GT(expected->names().size(), 10U);
    for (const std::string& name : expected->names()) {
      SCOPED_TRACE(name);
      const at::Tensor values = stored(*expected, name);
      EXPECT_LE(relative_to_largest(stored(*source, name), values), GetParam().tolerance);
      const int64_t first = values.size(0) / 3;  // from a row on that begins no block of anything
      const at::Tensor some = at::empty({values.size(0) - first, values.size(1)}, at::kFloat);
      source->read(*source->find(name), first, some);
      EXPECT_LE(relative_to_largest(some, values.narrow(0, first, some.size(0))), GetParam().tolerance);
    }
  }
}

TEST_P(QuantizedFolder, ListsEachMatrixOnce) {
  for (const std::string component : {"transformer", "text_encoder_2"}) {
    const auto source = published(folder()).open(component);
    std::vector<std::string> names;
    for (const ExpectedTensor& tensor : expected_tensors(folder(), component)) names.push_back(tensor.name);
    std::sort(names.begin(), names.end());
    EXPECT_EQ(source->names(), names);
    int64_t bytes = 0;
    for (const std::string& name : names) bytes += source->find(name)->bytes;
    const auto file = open_component(folder().path / component);
    for (const std::string& name : file->names()) bytes -= file->find(name)->bytes;
    EXPECT_EQ(bytes, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, QuantizedFolder, testing::ValuesIn(kinds),
                         [](const auto& kind) { return kind.param.name; });

using Tensors = std::map<std::string, at::Tensor, std::less<>>;

at::Tensor bytes_of(const std::string& text) {
  return at::tensor(at::ArrayRef<uint8_t>(reinterpret_cast<const uint8_t*>(text.data()), text.size()), at::kByte);
}

std::string state_text(const nlohmann::json& changes = nlohmann::json::object()) {
  nlohmann::json state = {{"quant_type", "nf4"}, {"blocksize", 64},         {"dtype", "bfloat16"},
                          {"shape", {4, 128}},   {"nested_blocksize", 256}, {"nested_dtype", "float32"},
                          {"nested_offset", 0.5}};
  state.update(changes);
  return state.dump();
}

const std::string state_name = "a.weight.quant_state.bitsandbytes__nf4";

Tensors four_bit() {
  const auto& book = codebook(Format::nf4);
  return {{"a.weight", at::randint(0, 256, {256, 1}, at::kByte)},
          {"a.weight.absmax", at::randint(0, 256, {8}, at::kByte)},
          {"a.weight.nested_absmax", at::rand({1})},
          {"a.weight.nested_quant_map", dynamic_map()},
          {"a.weight.quant_map", at::tensor(at::ArrayRef<float>(book.data(), book.size()))},
          {state_name, bytes_of(state_text())}};
}

Tensors eight_bit() {
  return {{"a.weight", at::randint(-127, 128, {4, 48}, at::kChar)},
          {"a.SCB", at::rand({4})},
          {"a.weight_format", at::zeros({}, at::kByte)}};
}

std::string complaint(Tensors tensors, const Quantization& quantization) {
  try {
    const auto source = bitsandbytes_source(std::make_shared<Held>(std::move(tensors)), quantization);
    stored(*source, "a.weight");
    return "";
  } catch (const Invalid& error) {
    constexpr size_t longest = 1000;
    EXPECT_EQ(printable_line(error.what(), longest), error.what());
    return error.what();
  }
}

struct Damage {
  const char* name;
  std::function<void(Tensors& tensors)> damage;
  const char* complaint;
};

const double infinite = std::numeric_limits<double>::infinity(), no_number = std::numeric_limits<double>::quiet_NaN();

Damage without(const char* name) {
  return {name, [name](Tensors& tensors) { tensors.erase(name); },
          "is missing beside it; download the component again"};
}

Damage other(const char* name, at::Tensor values, const char* complaint) {
  return {name, [=](Tensors& tensors) { tensors[name] = values; }, complaint};
}

Damage state(const nlohmann::json& changes, const char* complaint) {
  return {complaint, [changes](Tensors& tensors) { tensors[state_name] = bytes_of(state_text(changes)); }, complaint};
}

TEST(QuantizedInFourBits, IsRefusedWhereItIsNotWhatBitsandbytesWrites) {
  const Quantization nested = by_bitsandbytes(Format::nf4, true);
  ASSERT_EQ(complaint(four_bit(), nested), "");
  const auto form = "has another dtype or shape than bitsandbytes gives it";
  const Damage cases[] = {
      without("a.weight.absmax"),
      without("a.weight.nested_absmax"),
      without("a.weight.nested_quant_map"),
      without("a.weight.quant_map"),
      without(state_name.c_str()),
      other("a.weight", at::zeros({255, 1}, at::kByte), form),
      other("a.weight", at::zeros({256}, at::kByte), form),
      other("a.weight.absmax", at::zeros({7}, at::kByte), form),
      other("a.weight.absmax", at::zeros({8}), form),
      other("a.weight.nested_absmax", at::zeros({2}), form),
      other("a.weight.nested_absmax", at::full({1}, -1.0), "a scale that is negative or not finite"),
      other("a.weight.nested_absmax", at::full({1}, infinite), "a scale that is negative or not finite"),
      other("a.weight.nested_quant_map", at::zeros({255}), form),
      other("a.weight.nested_quant_map", at::full({256}, no_number), "holds what is not finite"),
      other("a.weight.quant_map", at::zeros({15}), form),
      other("a.weight.quant_map", at::linspace(-1, 1, 16), "is not the codebook of nf4"),
      other(state_name.c_str(), at::zeros({4, 2}, at::kByte), form),
      other(state_name.c_str(), at::zeros({5000}, at::kByte), "longer than bitsandbytes writes"),
      other(state_name.c_str(), bytes_of(""), "not valid JSON"),
      other(state_name.c_str(), bytes_of("[]"), "is not a JSON object"),
      other(state_name.c_str(), bytes_of("{\"\\u001b[2J\\n"), "not valid JSON"),
      state({{"quant_type", "fp4"}}, "quant_type is not nf4"),
      state({{"quant_type", {1}}}, "quant_type is not nf4"),
      state({{"blocksize", 128}}, "blocksize is not 64, the only one that is read; take an unquantized folder"),
      state({{"blocksize", "64"}}, "blocksize is not 64"),
      state({{"nested_blocksize", 64}}, "nested_blocksize is not 256"),
      state({{"nested_offset", "1"}}, "nested_offset is no number"),
      state({{"nested_offset", 1e39}}, "nested_offset is no number"),
      state({{"shape", {512}}}, "shape is not that of a matrix"),
      state({{"shape", {-4, 128}}}, "shape is not made of sizes"),
      state({{"shape", {0, 128}}}, "shape is not made of sizes"),
      state({{"shape", {uint64_t{1} << 63, 128}}}, "shape is not made of sizes"),
      state({{"shape", {1 << 30, 1 << 30}}}, form),
      state({{"shape", {16, 32}}}, "has 32 inputs, and only multiples of 64 are read"),
  };
  for (const Damage& one : cases) {
    Tensors tensors = four_bit();
    one.damage(tensors);
    const std::string said = complaint(std::move(tensors), nested);
    EXPECT_THAT(said, testing::AllOf(testing::StartsWith("held: tensor 'a.weight"), HasSubstr(one.complaint)))
        << one.name;
  }
}

TEST(QuantizedInFourBits, AbsmaxInFp32AreScalesToo) {
  const Quantization plain = by_bitsandbytes(Format::nf4, false);
  const auto tensors = [](const at::Tensor& absmax) {
    Tensors some = four_bit();
    nlohmann::json state = nlohmann::json::parse(state_text());
    state.erase("nested_offset");
    some[state_name] = bytes_of(state.dump());
    some["a.weight.absmax"] = absmax;
    some.erase("a.weight.nested_absmax");
    some.erase("a.weight.nested_quant_map");
    return some;
  };
  EXPECT_EQ(complaint(tensors(at::rand({8})), plain), "");
  EXPECT_EQ(complaint(tensors(at::zeros({8})), plain), "") << "blocks of zeros";
  for (const double bad : {-1e-30, infinite, no_number})
    EXPECT_THAT(complaint(tensors(at::full({8}, bad)), plain), HasSubstr("a scale that is negative or not finite"));
  EXPECT_THAT(complaint(tensors(at::rand({8})), by_bitsandbytes(Format::nf4, true)),
              HasSubstr("bnb_4bit_use_double_quant true"));
  EXPECT_THAT(complaint(four_bit(), plain), HasSubstr("bnb_4bit_use_double_quant false"));
}

TEST(QuantizedInEightBits, IsRefusedWhereItIsNotWhatBitsandbytesWrites) {
  const Quantization eight = by_bitsandbytes(Format::int8_weights, false);
  ASSERT_EQ(complaint(eight_bit(), eight), "");
  const auto form = "has another dtype or shape than bitsandbytes gives it";
  const Damage cases[] = {
      without("a.SCB"),
      other("a.weight", at::zeros({192}, at::kChar), "is quantized, and no matrix"),
      other("a.SCB", at::zeros({3}), form),
      other("a.SCB", at::zeros({4}, at::kHalf), form),
      other("a.SCB", at::full({4}, -1.0), "a scale that is negative or not finite"),
      other("a.SCB", at::full({4}, no_number), "a scale that is negative or not finite"),
      other("a.weight", at::full({4, 48}, -128, at::kChar), "a code out of range"),
      other("a.weight_format", at::ones({}, at::kByte), "is not 0, rows one after another"),
  };
  for (const Damage& one : cases) {
    Tensors tensors = eight_bit();
    one.damage(tensors);
    const std::string said = complaint(std::move(tensors), eight);
    EXPECT_THAT(said, testing::AllOf(testing::StartsWith("held: tensor 'a."), HasSubstr(one.complaint))) << one.name;
  }
  Tensors old = eight_bit();
  old.erase("a.weight_format");
  EXPECT_EQ(complaint(old, eight), "") << "written before there was one";
}

TEST(QuantizedComponent, MustHoldWhatItsConfigSays) {
  EXPECT_THAT(complaint(eight_bit(), by_bitsandbytes(Format::nf4, true)), HasSubstr("held: holds no matrix in nf4"));
  EXPECT_THAT(complaint(four_bit(), by_bitsandbytes(Format::int8_weights, false)),
              HasSubstr("held: holds no matrix in int8-weights"));
  EXPECT_THAT(complaint(four_bit(), by_bitsandbytes(Format::fp4, true)), HasSubstr("bitsandbytes__fp4' is missing"));
}

}  // namespace
}  // namespace flux
