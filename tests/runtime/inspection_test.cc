#include "runtime/inspection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "parallel/rank/errors.h"
#include "tests/reference.h"

namespace flux {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A copy of the folder that diffusers wrote, which the test may spoil.
class InspectionTest : public testing::Test {
 protected:
  InspectionTest() {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    fs::copy(reference("checkpoint") / "dev", folder_, fs::copy_options::recursive);
    for (const char* tokenizer : {"tokenizer", "tokenizer_2"}) {
      fs::copy(source_folder() / "configs/demo" / tokenizer, folder_ / tokenizer);
    }
  }
  ~InspectionTest() override { fs::remove_all(folder_); }

  ComponentInspection component(const std::string& name) const {
    for (auto& found : inspect(ModelFolder(folder_)).components) {
      if (found.name == name) return found;
    }
    throw std::runtime_error("no component " + name);
  }

  void set_in_config(const std::string& component, const std::string& field, const nlohmann::json& value) const {
    const auto path = folder_ / component / "config.json";
    std::ifstream in(path);
    auto config = nlohmann::json::parse(in);
    config[field] = value;
    std::ofstream(path) << config;
  }

  fs::path folder_ = fs::temp_directory_path() / ("inspection_" + std::to_string(::getpid()));
};

TEST_F(InspectionTest, FindsACompleteFolderComplete) {
  const Inspection inspection = inspect(ModelFolder(folder_));
  EXPECT_TRUE(inspection.complete()) << as_text(inspection);
  for (const auto& found : inspection.components) EXPECT_THAT(found.unexpected, IsEmpty()) << found.name;
  const auto transformer = component("transformer");
  EXPECT_EQ(transformer.tensors, 2 * 32 + 3 * 14 + 20);
  EXPECT_EQ(transformer.tensors_by_dtype, (std::map<std::string, int64_t>{{"F32", transformer.tensors}}));
  EXPECT_GT(transformer.files.size(), 1);
  EXPECT_THAT(as_text(inspection), HasSubstr("complete\n"));
}

TEST_F(InspectionTest, SaysWhatIsMissingUnexpectedAndMisshapen) {
  set_in_config("transformer", "num_single_layers", 4);
  set_in_config("text_encoder_2", "num_layers", 1);
  set_in_config("vae", "use_post_quant_conv", false);
  set_in_config("text_encoder", "intermediate_size", 38);
  const auto transformer = component("transformer");
  EXPECT_EQ(transformer.missing.size(), 14);
  EXPECT_THAT(transformer.missing, testing::Contains("single_transformer_blocks.3.proj_out.weight"));
  EXPECT_EQ(component("text_encoder_2").unexpected.size(), 9);
  EXPECT_THAT(component("vae").unexpected, ElementsAre("post_quant_conv.bias", "post_quant_conv.weight"));
  const auto clip = component("text_encoder");
  ASSERT_EQ(clip.mismatches.size(), 6);
  EXPECT_EQ(clip.mismatches[0].name, "text_model.encoder.layers.0.mlp.fc1.weight");
  EXPECT_EQ(clip.mismatches[0].found, "F32 [37, 36]");
  EXPECT_EQ(clip.mismatches[0].expected, "[38, 36]");

  const Inspection inspection = inspect(ModelFolder(folder_));
  EXPECT_FALSE(inspection.complete());
  EXPECT_THAT(as_text(inspection),
              HasSubstr("transformer: missing 'single_transformer_blocks.3.attn.norm_q.weight'\n"));
  EXPECT_THAT(
      as_text(inspection),
      HasSubstr("text_encoder: wrong 'text_model.encoder.layers.0.mlp.fc1.weight' is F32 [37, 36], not [38, 36]"));
  const auto json = nlohmann::json::parse(as_json(inspection));
  EXPECT_EQ(json["complete"], false);
  EXPECT_EQ(json["components"][0]["missing"].size(), 14);
  EXPECT_EQ(json["components"][1]["mismatches"][0]["expected"], "[38, 36]");
}

TEST_F(InspectionTest, ReportsComponentsThatCannotBeUsed) {
  fs::resize_file(folder_ / "text_encoder" / "model.safetensors", 5000);
  fs::remove_all(folder_ / "tokenizer_2");
  fs::remove(folder_ / "vae" / "diffusion_pytorch_model-00002-of-00003.safetensors");
  const Inspection inspection = inspect(ModelFolder(folder_));
  EXPECT_FALSE(inspection.complete());
  EXPECT_THAT(component("text_encoder").error, HasSubstr("model.safetensors: "));
  EXPECT_THAT(component("vae").error, HasSubstr("diffusion_pytorch_model-00002-of-00003.safetensors"));
  EXPECT_THAT(component("tokenizer_2").missing, ElementsAre("spiece.model", "tokenizer_config.json"));
  EXPECT_TRUE(component("transformer").complete());
  EXPECT_THAT(as_text(inspection), HasSubstr("unusable"));
}

TEST_F(InspectionTest, ListsTensorsThatNothingReadsWhateverTheirDtype) {
  const fs::path file = folder_ / "text_encoder" / "model.safetensors";
  std::ifstream in(file, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(in), {});
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  auto header = nlohmann::json::parse(bytes.substr(sizeof(length), length));
  const auto end = bytes.size() - sizeof(length) - length;
  header["\x1b[2Jlater"] = {{"dtype", "F4"}, {"shape", {6}}, {"data_offsets", {end, end + 3}}};
  const std::string text = header.dump();
  const uint64_t longer = text.size();
  std::ofstream(file, std::ios::binary) << std::string(reinterpret_cast<const char*>(&longer), sizeof(longer)) << text
                                        << bytes.substr(sizeof(length) + length) << "abc";
  const auto found = component("text_encoder");
  EXPECT_TRUE(found.complete()) << found.error;
  EXPECT_THAT(found.unexpected, ElementsAre("text_model.\x1b[2Jlater"));
  EXPECT_EQ(found.tensors_by_dtype.at("F4"), 1);
  const Inspection inspection = inspect(ModelFolder(folder_));
  EXPECT_THAT(as_text(inspection), HasSubstr("text_encoder: unused 'text_model.\\x1b[2Jlater'"));
  EXPECT_THAT(as_text(inspection) + as_json(inspection), testing::Not(HasSubstr("\x1b")));
}

TEST_F(InspectionTest, SaysWhenATokenizerIsOfAnotherModel) {
  set_in_config("text_encoder", "vocab_size", 600);
  EXPECT_THAT(component("tokenizer").error, HasSubstr("past the 600 embeddings"));
}

TEST_F(InspectionTest, RefusesATokenizerWithoutRoom) {
  std::ofstream(folder_ / "tokenizer" / "tokenizer_config.json") << R"({"model_max_length": 1})";
  EXPECT_THROW(inspect(ModelFolder(folder_)), Invalid);
}

}  // namespace
}  // namespace flux
