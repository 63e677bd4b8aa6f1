#include "model/checkpoint/component.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/weights.h"
#include "tests/reference.h"

namespace flux {
namespace {

at::Tensor read(const TensorSource& source, const std::string& name) {
  const TensorInfo* info = source.find(name);
  if (info == nullptr) throw std::runtime_error("no tensor " + name);
  const at::Tensor tensor = at::empty(info->shape, info->dtype);
  source.read(*info, 0, tensor.dim() == 0 ? tensor.view({1}) : tensor);
  return tensor;
}

/// A file of its own as a source: open_component wants a folder with one of the names it knows.
std::shared_ptr<const TensorSource> open_file(const std::filesystem::path& file) {
  const auto folder = std::filesystem::path(testing::TempDir()) / ("component_" + file.stem().string());
  std::filesystem::create_directories(folder);
  std::filesystem::remove(folder / "model.safetensors");
  std::filesystem::create_symlink(file, folder / "model.safetensors");
  return open_component(folder);
}

TEST(Component, ReadsWhatSavePretrainedWrote) {
  for (const std::string model : {"dev", "schnell"}) {  // sharded fp32, bf16 variant
    const auto folder = reference("checkpoint") / model;
    for (const std::string component : {"transformer", "vae", "text_encoder", "text_encoder_2"}) {
      SCOPED_TRACE(model + "/" + component);
      const auto source = open_component(folder / component);
      const auto state = open_file(folder / (component + "_state.safetensors"));
      size_t compared = 0;
      for (const std::string& name : state->names()) {
        const bool alias = name == "encoder.embed_tokens.weight";  // stored once, as shared.weight
        if (alias) continue;
        const bool stored = source->find(name) != nullptr;
        const std::string there = stored ? name : "text_model." + name;
        ASSERT_TRUE(at::equal(read(*source, there), read(*state, name))) << name;
        ++compared;
      }
      EXPECT_EQ(compared, source->names().size());
    }
  }
}

TEST(Component, ReadsRowBlocks) {
  const auto source = open_component(reference("checkpoint") / "dev" / "transformer");
  const at::Tensor whole = read(*source, "context_embedder.weight");
  const TensorInfo* info = source->find("context_embedder.weight");
  const at::Tensor rows = at::empty({17, whole.size(1)}, whole.options());
  source->read(*info, 100, rows);
  EXPECT_TRUE(at::equal(rows, whole.narrow(0, 100, 17)));
}

TEST(Component, ReadsEveryDtype) {
  const auto source = open_file(reference("checkpoint") / "kinds.safetensors");
  const at::Tensor numbers = at::arange(6).view({2, 3});
  for (const auto& [name, dtype] :
       std::vector<std::pair<std::string, at::ScalarType>>{{"int8", at::kChar},
                                                           {"int16", at::kShort},
                                                           {"int32", at::kInt},
                                                           {"int64", at::kLong},
                                                           {"uint8", at::kByte},
                                                           {"bool", at::kBool},
                                                           {"float8_e4m3fn", at::kFloat8_e4m3fn},
                                                           {"float8_e5m2", at::kFloat8_e5m2}}) {
    SCOPED_TRACE(name);
    const at::Tensor tensor = read(*source, name);
    EXPECT_EQ(tensor.scalar_type(), dtype);
    EXPECT_TRUE(at::equal(tensor.to(at::kFloat), numbers.to(dtype).to(at::kFloat)));
  }
  EXPECT_EQ(read(*source, "scalar").item<float>(), 2.5F);
  EXPECT_EQ(source->find("empty")->shape, (std::vector<int64_t>{0, 7}));
}

TEST(Weights, ConvertBitForBitAsTorch) {
  const auto source = open_file(reference("checkpoint") / "stored.safetensors");
  for (const auto& [name, dtype] : std::vector<std::pair<std::string, at::ScalarType>>{
           {"F32", at::kFloat}, {"BF16", at::kBFloat16}, {"F16", at::kHalf}}) {
    const auto expected = open_file(reference("checkpoint") / ("as_" + name + ".safetensors"));
    const Weights weights(source, {.compute = dtype});
    const at::ScalarType bits = dtype == at::kFloat ? at::kInt : at::kShort;
    for (const std::string& stored : source->names()) {
      const at::Tensor tensor = weights.tensor(stored, source->find(stored)->shape);
      EXPECT_TRUE(at::equal(tensor.view(bits), read(*expected, stored).view(bits))) << stored << " to " << name;
    }
  }
}

TEST(ModelFolder, ReadsWhatSavePretrainedWrote) {
  const ModelFolder dev(reference("checkpoint") / "dev");
  EXPECT_EQ(dev.transformer.num_single_layers, 3);
  EXPECT_EQ(dev.transformer.axes_dims_rope, (std::array<int64_t, 3>{4, 8, 12}));
  EXPECT_EQ(dev.text_encoder_2.d_kv, 6);
  EXPECT_EQ(dev.text_encoder.intermediate_size, 37);
  EXPECT_EQ(dev.vae.block_out_channels, (std::vector<int64_t>{8, 12, 16, 20}));
  EXPECT_TRUE(dev.vae.use_post_quant_conv);
  EXPECT_TRUE(dev.scheduler.use_dynamic_shifting);
  EXPECT_FALSE(dev.distilled());

  const ModelFolder schnell(reference("checkpoint") / "schnell");
  EXPECT_TRUE(schnell.distilled());
  EXPECT_FALSE(schnell.vae.use_post_quant_conv);
}

TEST(Checkpoint, GivesPublishedNames) {
  const Checkpoint checkpoint = published(ModelFolder(reference("checkpoint") / "dev"));
  EXPECT_NE(checkpoint.open("text_encoder")->find("text_model.final_layer_norm.weight"), nullptr);
  EXPECT_NE(checkpoint.open("text_encoder_2")->find("shared.weight"), nullptr);
  EXPECT_EQ(default_noise_dtype(checkpoint), at::kFloat);
  EXPECT_EQ(default_noise_dtype(published(ModelFolder(reference("checkpoint") / "schnell"))), at::kBFloat16);
}

}  // namespace
}  // namespace flux
