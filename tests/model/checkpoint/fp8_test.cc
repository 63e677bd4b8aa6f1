// Components in fp8: what their tensors are, and what a file must hold.

#include "model/checkpoint/fp8.h"

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
#include "model/checkpoint/weights.h"
#include "model/files/printable.h"
#include "model/text/t5_encoder.h"
#include "parallel/rank/errors.h"
#include "tests/model/checkpoint/held.h"
#include "tests/model/comparison.h"
#include "tests/reference.h"

namespace flux {
namespace {

using testing::HasSubstr;

constexpr at::ScalarType e4m3 = at::kFloat8_e4m3fn;

class Fp8Folder : public testing::TestWithParam<std::string> {
 protected:
  ModelFolder folder() const { return ModelFolder(reference("fp8") / GetParam()); }

  std::vector<std::string> components() const {
    if (GetParam() == "rows") return {"text_encoder_2"};
    return {"transformer", "text_encoder_2"};
  }
};

TEST_P(Fp8Folder, SaysSoInItsHeaders) {
  for (const std::string component : {"transformer", "text_encoder_2", "vae", "text_encoder"}) {
    const Quantization found = folder().quantization_of(component);
    const bool fp8 = std::ranges::count(components(), component) > 0;
    EXPECT_EQ(found.by, fp8 ? Quantization::By::fp8 : Quantization::By::nobody) << component;
    EXPECT_EQ(found.format, fp8 ? Format::fp8_weights : Format::dense) << component;
    EXPECT_EQ(found.modulation, found.format) << component;
  }
}

TEST_P(Fp8Folder, HoldsTheValuesOfTorch) {
  for (const std::string& component : components()) {
    const auto source = published(folder()).open(component);
    const auto expected = open_component(reference("fp8") / ("values_" + GetParam() + "_" + component));
    EXPECT_EQ(source->names(), expected->names());
    for (const std::string& name : expected->names()) {
      SCOPED_TRACE(name);
      const at::Tensor values = stored(*expected, name);
      EXPECT_TRUE(at::equal(stored(*source, name).to(at::kFloat), values));
      const int64_t first = values.size(0) / 3;
      const at::Tensor some =
          at::empty_like(values.narrow(0, first, values.size(0) - first), at::TensorOptions(source->find(name)->dtype));
      source->read(*source->find(name), first, some);
      EXPECT_TRUE(at::equal(some.to(at::kFloat), values.narrow(0, first, some.size(0))));
    }
  }
}

TEST_P(Fp8Folder, KeepsTheCodesOfItsFile) {
  for (const std::string& component : components()) {
    const auto source = published(folder()).open(component);
    const auto file = open_component(folder().path / component);
    int64_t matrices = 0, bytes = 0;
    for (const std::string& name : source->names()) {
      SCOPED_TRACE(name);
      bytes += source->find(name)->bytes;
      if (source->find(name + ".codes") == nullptr) continue;
      ++matrices;
      EXPECT_EQ(source->find(name)->stored_as, "fp8-weights");
      const at::Tensor codes = stored(*source, name + ".codes"), scales = stored(*source, name + ".scales");
      EXPECT_TRUE(at::equal(codes.view(at::kByte), stored(*file, name).view(at::kByte)));
      EXPECT_TRUE(at::equal(codes.to(at::kFloat) * scales.unsqueeze(1), stored(*source, name)));
      EXPECT_EQ(GetParam() == "plain", at::equal(scales, at::ones_like(scales)));
    }
    EXPECT_GE(matrices, 8) << component;
    for (const std::string& name : file->names()) bytes -= file->find(name)->bytes;
    EXPECT_EQ(bytes, 0);
  }
}

TEST_P(Fp8Folder, EmbedsAsTransformersWithItsValues) {
  const ModelFolder of = folder();
  const auto expected = open_component(reference("fp8") / "embeddings");
  const Weights weights(published(of).open("text_encoder_2"), {at::kCPU, at::kFloat, Format::fp8_weights});
  const at::Tensor value = T5Encoder(weights, of.text_encoder_2)(stored(*expected, "ids"));
  EXPECT_LT(relative_to_largest(value, stored(*expected, GetParam())), 1e-5);
  EXPECT_GT(relative_to_largest(value, stored(*expected, GetParam() == "plain" ? "scaled" : "plain")), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Fp8Folder, testing::Values("plain", "scaled", "rows"),
                         [](const auto& kind) { return kind.param; });

TEST(Fp8Encoder, HasNoiseAsThePublishedOne) {
  EXPECT_EQ(default_noise_dtype(published(ModelFolder(reference("fp8") / "plain"))), at::kBFloat16);
  EXPECT_EQ(default_noise_dtype(published(ModelFolder(reference("fp8") / "rows"))), at::kFloat)
      << "its embedding is stored so";
}

using Tensors = std::map<std::string, at::Tensor, std::less<>>;

std::shared_ptr<const TensorSource> view(Tensors tensors, Format kept = Format::fp8_weights) {
  return fp8_source(std::make_shared<Held>(std::move(tensors)), kept);
}

at::Tensor codes(at::IntArrayRef shape) { return at::randn(shape).to(e4m3); }

Tensors plain() { return {{"a.weight", codes({4, 6})}, {"norm.weight", codes({6})}, {"a.bias", codes({4})}}; }

Tensors with_scale(const char* name, const at::Tensor& scale) {
  Tensors tensors = plain();
  tensors[name] = scale;
  return tensors;
}

std::string complaint(Tensors tensors, const std::string& read = "a.weight") {
  try {
    const auto source = view(std::move(tensors));
    stored(*source, read);
    return "";
  } catch (const Invalid& error) {
    constexpr size_t longest = 1000;
    EXPECT_EQ(printable_line(error.what(), longest), error.what());
    return error.what();
  }
}

TEST(Fp8File, TakesAScaleAsToolsWriteIt) {
  const at::Tensor three = at::full({}, 3.0);
  for (const at::Tensor& scale :
       {three, three.view(1), three.view({1, 1}), three.expand({4}), three.expand({4, 1}), three.to(at::kBFloat16)}) {
    for (const char* name : {"a.scale_weight", "a.weight_scale"}) {
      const Tensors tensors = with_scale(name, scale);
      const auto source = view(tensors);
      const at::Tensor expected = 3 * tensors.at("a.weight").to(at::kFloat);
      EXPECT_TRUE(at::equal(stored(*source, "a.weight"), expected)) << scale.sizes();
      EXPECT_TRUE(at::equal(stored(*source, "a.weight.scales"), at::full({4}, 3.0))) << scale.sizes();
      EXPECT_TRUE(at::equal(stored(*source, "norm.weight"), tensors.at("norm.weight").to(at::kFloat)));
      EXPECT_EQ(source->names(), (std::vector<std::string>{"a.bias", "a.weight", "norm.weight"}));
    }
  }
}

TEST(Fp8File, IsRefusedWhereAScaleIsNone) {
  const double infinite = std::numeric_limits<double>::infinity(), no_number = std::numeric_limits<double>::quiet_NaN();
  const auto value = "holds a scale that is zero, negative or not finite; download it again";
  const auto shape = "is neither one number nor one for each of the 4 rows of 'a.weight'; take a file in F8_E4M3 with";
  struct Case {
    at::Tensor scale;
    const char* complaint;
  };
  for (const Case& one : std::initializer_list<Case>{{at::zeros({}), value},
                                                     {at::full({}, -1.0), value},
                                                     {at::full({1}, infinite), value},
                                                     {at::full({}, no_number), value},
                                                     {at::tensor({1.0F, 2.0F, 0.0F, 1.0F}), value},
                                                     {at::ones({3}), shape},
                                                     {at::ones({6}), shape},
                                                     {at::ones({1, 4}), shape},
                                                     {at::ones({2, 3}), shape},
                                                     {at::ones({0}), shape},
                                                     {at::ones({}, at::kInt), "scales are read from F32, BF16 or F16"},
                                                     {at::ones({}).to(e4m3), "scales are read from F32"}})
    for (const char* name : {"a.scale_weight", "a.weight_scale"})
      EXPECT_THAT(
          complaint(with_scale(name, one.scale)),
          testing::AllOf(testing::StartsWith("held: tensor '" + std::string(name) + "' "), HasSubstr(one.complaint)));
}

TEST(Fp8File, IsRefusedWhereScalesDoNotBelongToItsMatrices) {
  ASSERT_EQ(complaint(plain()), "");
  Tensors tensors = with_scale("a.scale_weight", at::ones({}));
  ASSERT_EQ(complaint(tensors), "");
  tensors["b.weight"] = codes({2, 2});
  EXPECT_THAT(complaint(tensors), HasSubstr("held: tensor 'b.weight' has no scale beside it"));
  EXPECT_THAT(complaint(with_scale("scaled_fp8", codes({0}))), HasSubstr("'a.weight' has no scale beside it"));
  tensors["b.scale_weight"] = at::ones({});
  tensors["shared.weight"] = codes({3, 3});
  EXPECT_EQ(complaint(tensors), "") << "an embedding needs none";
  tensors["a.weight_scale"] = at::ones({});
  EXPECT_THAT(complaint(tensors), HasSubstr("'a.weight_scale' is a second scale, beside 'a.scale_weight'"));
  EXPECT_THAT(complaint(with_scale("c.scale_weight", at::ones({}))),
              HasSubstr("'c.scale_weight' is the scale of 'c.weight', which is missing"));
  Tensors dense = with_scale("c.weight_scale", at::ones({}));
  dense["c.weight"] = at::randn({2, 2});
  EXPECT_THAT(complaint(dense), HasSubstr("is the scale of 'c.weight', which is stored as"));
  EXPECT_THAT(
      complaint(with_scale("a.weight_scale_inv", at::ones({1, 1}))),
      HasSubstr("held: tensor 'a.weight_scale_inv' scales blocks of a matrix, which is not computed with; take a"));
}

TEST(Fp8File, IsRefusedWhereACodeIsNoNumber) {
  for (const int code : {0x7f, 0xff})
    for (const std::string read : {"a.weight", "a.weight.codes", "norm.weight", "a.bias"}) {
      const std::string name = read.substr(0, read.find(".codes"));
      Tensors tensors = plain();
      tensors[name].view(at::kByte).flatten()[3] = code;
      EXPECT_THAT(complaint(tensors, read), HasSubstr("held: tensor '" + name + "' holds what is no number; download"));
    }
  for (int64_t at = 0; at < 19; ++at) {
    Tensors tensors = {{"a.weight", codes({1, 19})}};
    tensors["a.weight"].view(at::kByte)[0][at] = 0xff;
    EXPECT_THAT(complaint(tensors), HasSubstr("holds what is no number")) << at;
  }
  Tensors every = plain();
  for (int code = 0; code < 24; ++code) every["a.weight"].view(at::kByte).flatten()[code] = 0x78 + code % 7;
  EXPECT_EQ(complaint(every), "");
}

/// Whose values have one bit less.
TEST(Fp8File, OfTheOtherKindIsRefused) {
  Tensors tensors = plain();
  tensors["b.weight"] = at::randn({2, 2}).to(at::kFloat8_e5m2);
  const Weights weights(view(tensors), {});
  EXPECT_NO_THROW(weights["a"].tensor("weight", {4, 6}));
  try {
    weights["b"].tensor("weight", {2, 2});
    FAIL();
  } catch (const Invalid& error) {
    EXPECT_THAT(error.what(), HasSubstr("held: tensor 'b.weight' is stored as"));
    EXPECT_THAT(error.what(), HasSubstr("take this component from the published folder"));
  }
}

TEST(Fp8File, OfADenseComponentIsValuesAlone) {
  const Tensors tensors = with_scale("a.scale_weight", at::full({}, 3.0));
  const auto source = view(tensors, Format::dense);
  EXPECT_TRUE(at::equal(stored(*source, "a.weight"), 3 * tensors.at("a.weight").to(at::kFloat)));
  EXPECT_EQ(source->find("a.weight.codes"), nullptr);
  EXPECT_EQ(source->find("a.weight")->stored_as, "?") << "as the file has it";
}

TEST(Fp8File, OfNothingIsNothing) {
  EXPECT_FALSE(holds_fp8(Held({{"a.weight", at::zeros({2, 2})}, {"b.weight", at::zeros({1}).to(at::kFloat8_e5m2)}})));
  EXPECT_TRUE(holds_fp8(Held(plain())));
  const auto source = view({{"a.weight", at::zeros({0, 3}).to(e4m3)}, {"b.weight", at::zeros({}).to(e4m3)}});
  EXPECT_EQ(source->find("a.weight.codes"), nullptr);
  EXPECT_EQ(stored(*source, "a.weight").numel(), 0);
  EXPECT_EQ(source->find("b.weight")->dtype, at::kFloat);
}

}  // namespace
}  // namespace flux
