#include "model/checkpoint/expected_tensors.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/weights.h"
#include "tests/reference.h"

namespace flux {
namespace {

using Shapes = std::map<std::string, std::vector<int64_t>>;

Shapes expected(const ModelFolder& folder, const std::string& component) {
  Shapes shapes;
  for (const auto& [name, shape, kept] : expected_tensors(folder, component)) {
    EXPECT_TRUE(shapes.emplace(name, shape).second) << name << " twice";
  }
  return shapes;
}

Shapes of(const TensorSource& source) {
  Shapes shapes;
  for (const std::string& name : source.names()) shapes.emplace(name, source.find(name)->shape);
  return shapes;
}

bool only_for_encoding(const std::string& name) {
  return name.starts_with("encoder.") || name.starts_with("quant_conv.");
}

TEST(ExpectedTensors, AreThoseOfDiffusersAndTransformers) {
  for (const std::string model : {"dev", "schnell"}) {
    const ModelFolder folder(reference("checkpoint") / model);
    const Checkpoint checkpoint = published(folder);
    for (const std::string component : {"transformer", "vae", "text_encoder", "text_encoder_2"}) {
      SCOPED_TRACE(model + "/" + component);
      Shapes stored = of(*checkpoint.open(component));
      if (component == "vae") std::erase_if(stored, [](const auto& tensor) { return only_for_encoding(tensor.first); });
      EXPECT_EQ(expected(folder, component), stored);
    }
  }
}

int64_t count(const ModelFolder& folder, const std::string& component) {
  int64_t values = 0;
  for (const auto& [name, shape, kept] : expected_tensors(folder, component)) values += c10::multiply_integers(shape);
  return values;
}

/// Tensors and bytes as the published indexes state them (metadata.total_size, 2 bytes a value).
TEST(ExpectedTensors, AddUpToThePublishedModel) {
  ModelFolder folder(reference("checkpoint") / "dev");
  folder.transformer = TransformerConfig{};
  folder.text_encoder_2 = T5Config{};
  EXPECT_EQ(expected_tensors(folder, "transformer").size(), 1160);
  EXPECT_EQ(2 * count(folder, "transformer"), 23'802'816'640);
  EXPECT_EQ(expected_tensors(folder, "text_encoder_2").size(), 219);
  EXPECT_EQ(2 * count(folder, "text_encoder_2"), 9'524'621'312);
  folder.transformer.guidance_embeds = false;
  EXPECT_EQ(expected_tensors(folder, "transformer").size(), 1156);
  EXPECT_EQ(2 * count(folder, "transformer"), 23'782'357'120);
}

TEST(ShapesOnly, GivesMetaTensorsOfEveryExpectedShape) {
  const Checkpoint checkpoint = shapes_only(ModelFolder(reference("checkpoint") / "dev"));
  for (const std::string component : {"transformer", "vae", "text_encoder", "text_encoder_2"}) {
    const auto source = checkpoint.open(component);
    EXPECT_EQ(of(*source), expected(checkpoint.folder, component));
    const Weights weights(source, {.compute = at::kHalf});
    EXPECT_TRUE(weights.placing().device.is_meta());
    for (const std::string& name : source->names()) {
      const at::Tensor tensor = weights.tensor(name, source->find(name)->shape);
      ASSERT_TRUE(tensor.is_meta() && tensor.scalar_type() == at::kHalf) << name;
    }
  }
}

TEST(RandomWeights, DependOnNameAndSeedButNotOnTheBlocksTheyAreReadIn) {
  const ModelFolder folder(reference("checkpoint") / "dev");
  const auto source = random_weights(folder, 1).open("transformer");
  const auto read = [](const TensorSource& from, const std::string& name, int64_t row, int64_t rows) {
    std::vector<int64_t> shape = from.find(name)->shape;
    shape[0] = rows;
    const at::Tensor tensor = at::empty(shape, at::kBFloat16);
    from.read(*from.find(name), row, tensor);
    return tensor;
  };
  const at::Tensor whole = read(*source, "context_embedder.weight", 0, 120);
  EXPECT_TRUE(at::equal(read(*source, "context_embedder.weight", 50, 3), whole.narrow(0, 50, 3)));
  EXPECT_TRUE(
      at::equal(read(*random_weights(folder, 1).open("transformer"), "context_embedder.weight", 0, 120), whole));
  EXPECT_FALSE(
      at::equal(read(*random_weights(folder, 2).open("transformer"), "context_embedder.weight", 0, 120), whole));
  const at::Tensor q = read(*source, "transformer_blocks.0.attn.to_q.weight", 0, 120).to(at::kFloat);
  EXPECT_FALSE(at::equal(q, read(*source, "transformer_blocks.0.attn.to_k.weight", 0, 120).to(at::kFloat)));
  // 14,400 uniform values of variance 1 / 120: mean and variance within five of their own standard deviations.
  EXPECT_NEAR(q.mean().item<double>(), 0, 5 * std::sqrt(1.0 / 120 / 14400));
  EXPECT_NEAR(q.var().item<double>() * 120, 1, 5 * std::sqrt(0.8 / 14400));
}

}  // namespace
}  // namespace flux
