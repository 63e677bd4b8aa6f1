#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <fstream>

#include "model/hugging_face_cache.h"
#include "parallel/rank/errors.h"
#include "tests/model/checkpoint/scratch_folder.h"
#include "tests/reference.h"

namespace flux {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

/// The configs that diffusers wrote, one file of them changed at will.
class Configs {
 public:
  Configs() {
    for (const char* file :
         {"model_index.json", "transformer/config.json", "vae/config.json", "text_encoder/config.json",
          "text_encoder_2/config.json", "scheduler/scheduler_config.json"}) {
      std::ifstream in(reference("checkpoint") / "dev" / file);
      files_[file] = json::parse(in);
    }
    write();
  }

  const std::filesystem::path& path() const { return folder_.path(); }

  std::string complaint() const {
    try {
      ModelFolder{path()};
      return "";
    } catch (const Invalid& error) {
      return error.what();
    }
  }

  /// With one field set, or removed where the value is discarded.
  std::string complaint(const std::string& file, const std::string& field, const json& value) {
    const json before = files_[file];
    files_[file][field] = value;
    write();
    const std::string text = complaint();
    files_[file] = before;
    write();
    return text;
  }

  void write() const {
    for (const auto& [name, content] : files_) folder_.write(name, content.dump());
  }

  ScratchFolder folder_;
  std::map<std::string, json> files_;
};

TEST(Config, RefusesByFileAndFieldWhatIsNotImplemented) {
  Configs configs;
  ASSERT_EQ(configs.complaint(), "");
  struct Case {
    const char* file;
    const char* field;
    json value;
  };
  const Case cases[] = {
      {"model_index.json", "_class_name", "FluxImg2ImgPipeline"},
      {"model_index.json", "transformer", {"diffusers", "SD3Transformer2DModel"}},
      {"model_index.json", "text_encoder_2", {nullptr, nullptr}},
      {"transformer/config.json", "_class_name", "Other"},
      {"transformer/config.json", "patch_size", 2},
      {"transformer/config.json", "out_channels", 8},
      {"transformer/config.json", "in_channels", 18},
      {"transformer/config.json", "in_channels", 64},
      {"transformer/config.json", "axes_dims_rope", {4, 8, 10}},
      {"transformer/config.json", "axes_dims_rope", {3, 9, 12}},
      {"transformer/config.json", "axes_dims_rope", {12, 12}},
      {"transformer/config.json", "attention_head_dim", 0},
      {"transformer/config.json", "num_layers", -1},
      {"transformer/config.json", "num_layers", 1e9},
      {"transformer/config.json", "num_attention_heads", uint64_t{1} << 63},
      {"transformer/config.json", "num_attention_heads", "24"},
      {"transformer/config.json", "num_attention_heads", 60000},
      {"transformer/config.json", "guidance_embeds", 1},
      {"transformer/config.json", "joint_attention_dim", 4096},
      {"transformer/config.json", "pooled_projection_dim", 768},
      {"transformer/config.json", "quantization_config", "nf4"},
      {"transformer/config.json", "quantization_config", {{"quant_method", "gptq"}, {"load_in_4bit", true}}},
      {"transformer/config.json", "quantization_config", {{"quant_method", "bitsandbytes"}}},
      {"text_encoder_2/config.json",
       "quantization_config",
       {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}}},
      {"transformer/config.json", "quantization_config", {{"load_in_4bit", true}, {"load_in_8bit", true}}},
      {"transformer/config.json", "quantization_config", {{"load_in_4bit", true}, {"bnb_4bit_quant_type", "int4"}}},
      {"transformer/config.json",
       "quantization_config",
       {{"load_in_4bit", true}, {"bnb_4bit_quant_storage", "bfloat16"}}},
      {"transformer/config.json", "quantization_config", {{"load_in_8bit", true}, {"llm_int8_has_fp16_weight", true}}},
      {"text_encoder_2/config.json", "quantization_config", {{"load_in_4bit", "yes"}}},
      {"text_encoder/config.json", "quantization_config", {{"load_in_8bit", true}}},
      {"vae/config.json", "quantization_config", {{"load_in_8bit", true}}},
      {"text_encoder_2/config.json", "model_type", "umt5"},
      {"text_encoder_2/config.json", "is_gated_act", false},
      {"text_encoder_2/config.json", "dense_act_fn", "relu"},
      {"text_encoder_2/config.json", "is_decoder", true},
      {"text_encoder_2/config.json", "hidden_size", 32},
      {"text_encoder_2/config.json", "head_dim", 8},
      {"text_encoder_2/config.json", "num_attention_heads", 2},
      {"text_encoder_2/config.json", "num_hidden_layers", 2},
      {"text_encoder_2/config.json", "relative_attention_num_buckets", 3},
      {"text_encoder_2/config.json", "relative_attention_max_distance", 8},
      {"text_encoder_2/config.json", "layer_norm_epsilon", 0},
      {"text_encoder/config.json", "model_type", "siglip_text_model"},
      {"text_encoder/config.json", "hidden_act", "relu"},
      {"text_encoder/config.json", "num_attention_heads", 5},
      {"text_encoder/config.json", "eos_token_id", {1, 2}},
      {"vae/config.json", "act_fn", "relu"},
      {"vae/config.json", "block_out_channels", {8, 12, 16}},
      {"vae/config.json", "block_out_channels", {8, 12, 16, 21}},
      {"vae/config.json", "block_out_channels", {8, 12, 16, 16, 16, 16, 16, 16, 16}},
      {"vae/config.json", "norm_num_groups", 0},
      {"vae/config.json",
       "up_block_types",
       {"UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "AttnUpDecoderBlock2D"}},
      {"vae/config.json", "shift_factor", nullptr},
      {"vae/config.json", "scaling_factor", 0},
      {"vae/config.json", "out_channels", 4},
      {"scheduler/scheduler_config.json", "use_karras_sigmas", true},
      {"scheduler/scheduler_config.json", "use_exponential_sigmas", true},
      {"scheduler/scheduler_config.json", "use_beta_sigmas", true},
      {"scheduler/scheduler_config.json", "invert_sigmas", true},
      {"scheduler/scheduler_config.json", "stochastic_sampling", true},
      {"scheduler/scheduler_config.json", "shift_terminal", 0.1},
      {"scheduler/scheduler_config.json", "time_shift_type", "linear"},
      {"scheduler/scheduler_config.json", "shift", 0},
      {"scheduler/scheduler_config.json", "max_image_seq_len", 256},
      {"scheduler/scheduler_config.json", "base_shift", 1e3},
      {"scheduler/scheduler_config.json", "base_shift", -1e3},
      {"scheduler/scheduler_config.json", "base_shift", 1e300},
      {"scheduler/scheduler_config.json", "max_shift", 89},
      {"scheduler/scheduler_config.json", "max_shift", -110},
      {"scheduler/scheduler_config.json", "num_train_timesteps", 0},
      {"scheduler/scheduler_config.json", "shift", -1},
      {"scheduler/scheduler_config.json", "shift", 1e-50},
      {"scheduler/scheduler_config.json", "shift", 1e39},
      {"text_encoder/config.json", "max_position_embeddings", 1},
      {"text_encoder/config.json", "layer_norm_eps", 1e-50},
      {"vae/config.json", "scaling_factor", 1e-50},
      {"vae/config.json", "shift_factor", -1e39},
      {"scheduler/scheduler_config.json", "_class_name", "FlowMatchHeunDiscreteScheduler"},
  };
  for (const auto& [file, field, value] : cases) {
    EXPECT_THAT(configs.complaint(file, field, value),
                testing::StartsWith((configs.path() / file).string() + ": " + field + ": "))
        << value;
  }
}

TEST(Config, RefusesAShiftThatLeavesNoNumbers) {
  Configs configs;
  configs.files_["scheduler/scheduler_config.json"]["use_dynamic_shifting"] = false;
  for (const double shift : {1e-30, 1e-9}) {
    EXPECT_THAT(configs.complaint("scheduler/scheduler_config.json", "shift", shift),
                HasSubstr("scheduler_config.json: shift: "));
  }
  EXPECT_EQ(configs.complaint("scheduler/scheduler_config.json", "base_shift", 1e3), "") << "is not used";
  EXPECT_EQ(configs.complaint("scheduler/scheduler_config.json", "shift", 1e30), "");
}

TEST(Config, RefusesATokenizerWithoutRoomForItsSpecialTokens) {
  Configs configs;
  for (const char* tokenizer : {"tokenizer", "tokenizer_2"}) {
    const auto file = std::string(tokenizer) + "/tokenizer_config.json";
    for (const char* length : {"1", "0", "-77"}) {
      configs.folder_.write(file, R"({"model_max_length": )" + std::string(length) + "}");
      EXPECT_THAT(configs.complaint(), HasSubstr(file + ": model_max_length: "));
    }
    configs.folder_.write(file, "{}");
    EXPECT_EQ(configs.complaint(), "");
  }
}

TEST(Config, IgnoresWhatChangesNothing) {
  Configs configs;
  EXPECT_EQ(configs.complaint("vae/config.json", "sample_size", 17), "");
  EXPECT_EQ(configs.complaint("vae/config.json", "force_upcast", false), "");
  EXPECT_EQ(configs.complaint("vae/config.json", "latents_mean", {0.5, 0.5, 0.5, 0.5}), "");
  EXPECT_EQ(configs.complaint("vae/config.json", "act_fn", "swish"), "");
  EXPECT_EQ(configs.complaint("text_encoder/config.json", "attention_dropout", 0.5), "");
  EXPECT_EQ(configs.complaint("text_encoder_2/config.json", "dense_act_fn", "gelu_pytorch_tanh"), "");
  EXPECT_EQ(configs.complaint("text_encoder_2/config.json", "tie_word_embeddings", true), "");
  EXPECT_EQ(configs.complaint("scheduler/scheduler_config.json", "shift_terminal", nullptr), "");
  EXPECT_EQ(configs.complaint("transformer/config.json", "out_channels", nullptr), "");
}

TEST(Config, TakesTheDefaultsOfDiffusersAndTransformers) {
  Configs configs;
  configs.files_["transformer/config.json"].erase("guidance_embeds");
  configs.files_["scheduler/scheduler_config.json"].erase("use_dynamic_shifting");
  configs.files_["scheduler/scheduler_config.json"].erase("shift");
  configs.files_["text_encoder/config.json"].erase("eos_token_id");
  configs.files_["vae/config.json"].erase("use_post_quant_conv");
  configs.write();
  const ModelFolder folder(configs.path());
  EXPECT_FALSE(folder.transformer.guidance_embeds);
  EXPECT_FALSE(folder.scheduler.use_dynamic_shifting);
  EXPECT_EQ(folder.scheduler.shift, 1.0);
  EXPECT_EQ(folder.text_encoder.eos_token_id, 49407);
  EXPECT_TRUE(folder.vae.use_post_quant_conv);
}

TEST(Config, RefusesFilesThatAreNoConfigs) {
  Configs configs;
  for (const std::string bad : {"", "{", "[]", "null", "{\"num_layers\":1,\"num_layers\":2}", "\xff\xfe"}) {
    configs.folder_.write("transformer/config.json", bad);
    EXPECT_THAT(configs.complaint(), HasSubstr("transformer/config.json: ")) << bad;
  }
  configs.folder_.write("transformer/config.json", std::string((1 << 20) + 1, ' '));
  EXPECT_THAT(configs.complaint(), HasSubstr("at most 1048576"));
  std::filesystem::remove(configs.path() / "transformer" / "config.json");
  EXPECT_THAT(configs.complaint(), HasSubstr("transformer/config.json: cannot be opened: No such file"));
}

TEST(ModelMaxLength, IsBoundedHoweverItIsWritten) {
  const ScratchFolder folder;
  EXPECT_EQ(model_max_length(folder.path(), 77), 77);
  const auto of = [&](const std::string& value) {
    folder.write("tokenizer_config.json", R"({"model_max_length": )" + value + "}");
    return model_max_length(folder.path(), 77);
  };
  EXPECT_EQ(of("16"), 16);
  EXPECT_EQ(of("512"), 77);
  EXPECT_EQ(of("1000000000000000019884624838656"), 77);  // Hugging Face's "no limit"
  EXPECT_EQ(of("null"), 77);
  for (const char* bad : {"0", "-1", "1", "\"77\"", "[]"}) EXPECT_THROW(of(bad), Invalid) << bad;
}

std::string complaint_of(const std::filesystem::path& model) {
  try {
    ModelFolder{model};
    return "";
  } catch (const Invalid& error) {
    return error.what();
  }
}

TEST(ModelPath, SaysWhatItExpects) {
  const ScratchFolder folder;
  EXPECT_THAT(complaint_of(folder.path() / "none"), HasSubstr("there is no such folder"));
  EXPECT_THAT(complaint_of(folder.path()), HasSubstr("has no model_index.json"));
  const auto file = folder.write("flux1-dev.safetensors", "");
  EXPECT_THAT(complaint_of(file), AllOf(HasSubstr("is a file"), HasSubstr("diffusers layout")));
}

/// One variable of the environment for the length of a test.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

TEST(ModelId, IsLookedUpInTheHuggingFaceCache) {
  Configs configs;
  const ScratchFolder cache;
  const auto repository = cache.path() / "hub" / "models--some-org--FLUX.1-tiny";
  cache.write("hub/models--some-org--FLUX.1-tiny/refs/main", "0123abc");
  std::filesystem::create_directories(repository / "snapshots");
  std::filesystem::create_directory_symlink(configs.path(), repository / "snapshots" / "0123abc");
  {
    const Variable hub("HF_HUB_CACHE", (cache.path() / "hub").string());
    EXPECT_EQ(ModelFolder("some-org/FLUX.1-tiny").path, repository / "snapshots" / "0123abc");
    EXPECT_THAT(complaint_of("some-org/other"), AllOf(HasSubstr("neither a folder here"), HasSubstr("hf download")));
    cache.write("hub/models--some-org--FLUX.1-tiny/refs/main", "../../elsewhere");
    EXPECT_THAT(complaint_of("some-org/FLUX.1-tiny"), HasSubstr("has no snapshot of 'main', only '0123abc'"));
    cache.write("hub/models--some-org--FLUX.1-tiny/refs/main", "0123abc\n");
  }
  const Variable hub("HF_HUB_CACHE", "");
  const Variable home("HF_HOME", cache.path().string());
  EXPECT_EQ(ModelFolder("some-org/FLUX.1-tiny").path, repository / "snapshots" / "0123abc");
  EXPECT_THAT(complaint_of("../some-org"), HasSubstr("there is no such folder"));
}

std::string revision_complaint(const std::string& id, const std::optional<std::string>& revision) {
  try {
    cached_model(id, revision);
    return "";
  } catch (const Invalid& error) {
    return error.what();
  }
}

TEST(ModelId, HasRevisions) {
  const ScratchFolder cache;
  const Variable hub("HF_HUB_CACHE", cache.path().string());
  const std::string id = "some-org/FLUX.1-tiny", repository = "models--some-org--FLUX.1-tiny/";
  const auto snapshot = [&](const std::string& commit) { return cache.path() / repository / "snapshots" / commit; };
  EXPECT_THAT(revision_complaint(id, "v2"), HasSubstr("hf download some-org/FLUX.1-tiny --revision v2"));
  std::filesystem::create_directories(snapshot("aaa"));
  EXPECT_EQ(cached_model(id, std::nullopt), snapshot("aaa")) << "the only one, though nothing says so";
  std::filesystem::create_directories(snapshot("bbb"));
  EXPECT_THAT(revision_complaint(id, std::nullopt),
              AllOf(HasSubstr("several snapshots ('aaa', 'bbb')"), HasSubstr("say --revision")));
  EXPECT_EQ(cached_model(id, "bbb"), snapshot("bbb"));
  cache.write(repository + "refs/main", "aaa");
  cache.write(repository + "refs/v2", "bbb");
  cache.write(repository + "refs/refs/pr/7", "bbb\n");
  cache.write(repository + "refs/gone", "ccc");
  EXPECT_EQ(cached_model(id, std::nullopt), snapshot("aaa"));
  EXPECT_EQ(cached_model(id, "v2"), snapshot("bbb"));
  EXPECT_EQ(cached_model(id, "refs/pr/7"), snapshot("bbb"));
  EXPECT_THAT(revision_complaint(id, "gone"), AllOf(HasSubstr("has no snapshot of 'gone'"), HasSubstr("'aaa', 'bbb'")));
  for (const std::string bad : {"", "/", "../refs/main", "v2/..", "/etc/passwd", ".", "a//b", "\x1b"}) {
    EXPECT_THAT(revision_complaint(id, bad), HasSubstr("is no branch, tag or commit")) << bad;
  }
  EXPECT_THAT(revision_complaint("configs/demo/", "v2"), HasSubstr("is no model id"));
}

}  // namespace
}  // namespace flux
