#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/component.h"
#include "model/checkpoint/computed.h"
#include "model/checkpoint/weights.h"
#include "parallel/rank/errors.h"
#include "tests/model/checkpoint/scratch_folder.h"
#include "tests/reference.h"

namespace flux {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// A safetensors file with `name` = [1, 2, ..., values].
std::string file_with(const std::string& name, int64_t values, const std::string& dtype = "U8") {
  std::string header = json{{name, {{"dtype", dtype}, {"shape", {values}}, {"data_offsets", {0, values}}}}}.dump();
  std::string bytes(8, '\0');
  bytes[0] = static_cast<char>(header.size());
  bytes += header;
  for (int64_t i = 1; i <= values; ++i) bytes += static_cast<char>(i);
  return bytes;
}

std::string complaint(const std::filesystem::path& folder) {
  try {
    open_component(folder);
    return "";
  } catch (const Invalid& error) {
    return error.what();
  }
}

std::string index_of(const json& weight_map) { return json{{"weight_map", weight_map}}.dump(); }

TEST(ComponentFolder, SaysWhatIsMissing) {
  const ScratchFolder folder;
  EXPECT_THAT(complaint(folder.path() / "none"), HasSubstr("there is no such folder"));
  EXPECT_THAT(complaint(folder.path()), HasSubstr("holds no safetensors weights"));
  folder.write("pytorch_model.bin", "pickle");
  EXPECT_THAT(complaint(folder.path()), HasSubstr("holds no safetensors weights"));
}

TEST(ComponentFolder, TakesOneVariantAndRefusesToGuess) {
  const ScratchFolder folder;
  folder.write("model.fp16.safetensors", file_with("a", 3));
  EXPECT_EQ(complaint(folder.path()), "");
  folder.write("model.bf16.safetensors", file_with("a", 3));
  EXPECT_THAT(complaint(folder.path()), HasSubstr("several variants"));
  folder.write("model.safetensors", file_with("a", 4));
  EXPECT_EQ(open_component(folder.path())->find("a")->shape, std::vector<int64_t>{4});
}

TEST(ComponentFolder, FollowsLinksAsTheHuggingFaceCacheHasThem) {
  const ScratchFolder folder;
  folder.write("blobs/abc", file_with("a", 3));
  std::filesystem::create_directories(folder.path() / "snapshot");
  std::filesystem::create_symlink("../blobs/abc", folder.path() / "snapshot" / "model.safetensors");
  EXPECT_EQ(complaint(folder.path() / "snapshot"), "");
  std::filesystem::remove(folder.path() / "blobs/abc");
  EXPECT_THAT(complaint(folder.path() / "snapshot"), HasSubstr("holds no safetensors weights"));
  std::filesystem::remove(folder.path() / "snapshot" / "model.safetensors");
  std::filesystem::create_symlink("model.safetensors", folder.path() / "snapshot" / "model.safetensors");  // a loop
  EXPECT_THAT(complaint(folder.path() / "snapshot"), HasSubstr("holds no safetensors weights"));
}

TEST(ComponentFolder, KnowsTheNamesOfIndexesOldAndNew) {
  for (const std::string name :
       {"diffusion_pytorch_model.safetensors.index.json", "model.safetensors.index.json",
        "diffusion_pytorch_model.safetensors.index.fp16.json", "diffusion_pytorch_model.fp16.safetensors.index.json",
        "model.safetensors.index.bf16.json", "model.bf16.safetensors.index.json"}) {
    const ScratchFolder folder;
    folder.write("shard.safetensors", file_with("a", 3));
    folder.write(name, index_of({{"a", "shard.safetensors"}}));
    EXPECT_EQ(complaint(folder.path()), "") << name;
  }
}

TEST(ComponentFolder, ReadsShardsWhoseIndexIsLost) {
  for (const std::string name :
       {"diffusion_pytorch_model-0000?-of-00002.safetensors", "model-0000?-of-00002.safetensors",
        "model.fp16-0000?-of-00002.safetensors", "diffusion_pytorch_model-0000?-of-00002.bf16.safetensors"}) {
    SCOPED_TRACE(name);
    const ScratchFolder folder;
    const auto shard = [&](char number) {
      std::string numbered = name;
      numbered[numbered.find('?')] = number;
      return numbered;
    };
    folder.write(shard('2'), file_with("b", 5));
    EXPECT_THAT(complaint(folder.path()),
                AllOf(HasSubstr(shard('2')), HasSubstr("of its 2 shards number 1 is missing")));
    folder.write(shard('1'), file_with("b", 3));
    EXPECT_THAT(complaint(folder.path()),
                AllOf(HasSubstr(shard('2') + ": tensor 'b' is also in"), HasSubstr(shard('1'))));
    folder.write(shard('1'), file_with("a", 3));
    EXPECT_EQ(open_component(folder.path())->names(), (std::vector<std::string>{"a", "b"}));
    folder.write("model-00001-of-00003.safetensors.part", "half a download");
    folder.write("model-1-of-3.safetensors", "another's");
    EXPECT_EQ(complaint(folder.path()), "");
  }
}

TEST(ComponentFolder, RefusesToChooseBetweenShards) {
  const ScratchFolder folder;
  folder.write("model-00001-of-00001.safetensors", file_with("a", 3));
  folder.write("diffusion_pytorch_model-00001-of-00001.safetensors", file_with("a", 3));
  EXPECT_THAT(complaint(folder.path()), HasSubstr("several variants"));
  folder.write("model.safetensors", file_with("a", 4));
  EXPECT_EQ(open_component(folder.path())->find("a")->shape, std::vector<int64_t>{4});
}

TEST(ComponentIndex, FindsTensorsInTheShardsItNames) {
  const ScratchFolder folder;
  folder.write("model-1.safetensors", file_with("a", 3));
  folder.write("model-2.safetensors", file_with("b", 5));
  folder.write("model.safetensors.index.json", index_of({{"a", "model-1.safetensors"}, {"b", "model-2.safetensors"}}));
  const auto source = open_component(folder.path());
  EXPECT_EQ(source->names(), (std::vector<std::string>{"a", "b"}));
  const at::Tensor b = at::empty({5}, at::kByte);
  source->read(*source->find("b"), 0, b);
  EXPECT_TRUE(at::equal(b, at::arange(1, 6).to(at::kByte)));
}

TEST(ComponentIndex, RefusesWhatIsNotBesideIt) {
  const ScratchFolder folder;
  folder.write("inside/model-1.safetensors", file_with("a", 3));
  folder.write("outside.safetensors", file_with("a", 3));
  const auto refused = [&](const json& file) {
    folder.write("inside/model.safetensors.index.json", index_of({{"a", file}}));
    return complaint(folder.path() / "inside");
  };
  EXPECT_EQ(refused("model-1.safetensors"), "");
  for (const json& file :
       {json("../outside.safetensors"), json("..safetensors"), json((folder.path() / "outside.safetensors").string()),
        json("./model-1.safetensors"), json("sub/model-1.safetensors"), json(""), json(7), json("/etc/passwd"),
        json(std::string("model-1.safetensors\0.safetensors", 32)), json("model-1.bin")}) {
    EXPECT_THAT(refused(file), AllOf(HasSubstr("index.json: tensor 'a'"), HasSubstr("not the plain name"))) << file;
  }
  EXPECT_THAT(refused("absent.safetensors"), HasSubstr("names the file 'absent.safetensors', which is not there"));
  folder.write("inside/model.safetensors.index.json", index_of({{"z", "model-1.safetensors"}}));
  EXPECT_THAT(complaint(folder.path() / "inside"), HasSubstr("tensor 'z' is not in 'model-1.safetensors'"));
  for (const std::string bad : {"{}", "[]", R"({"weight_map": []})", "{", "", R"({"weight_map":{"a":"x","a":"y"}})"}) {
    folder.write("inside/model.safetensors.index.json", bad);
    EXPECT_THAT(complaint(folder.path() / "inside"), HasSubstr("index.json: ")) << bad;
  }
}

TEST(Weights, NameFileTensorAndShapes) {
  const ScratchFolder folder;
  std::string file = file_with("block.0.norm.weight", 12, "F32");
  file.replace(file.find("[12]"), 4, "[03]");
  file.replace(file.find("[03]"), 4, " [3]");
  folder.write("model.safetensors", file);
  const Weights weights(open_component(folder.path()), {});
  const auto complaint_of = [](const std::function<void()>& call) -> std::string {
    try {
      call();
      return "";
    } catch (const Invalid& error) {
      return error.what();
    }
  };
  const Weights norm = weights["block"][0]["norm"];
  EXPECT_EQ(norm.full_name("weight"), "block.0.norm.weight");
  EXPECT_EQ(complaint_of([&] { norm.tensor("weight", {3}); }), "");
  EXPECT_THAT(complaint_of([&] { norm.tensor("bias", {3}); }),
              AllOf(HasSubstr(folder.path().string() + ": tensor 'block.0.norm.bias' is missing")));
  EXPECT_THAT(complaint_of([&] { norm.tensor("weight", {3, 1}); }),
              AllOf(HasSubstr("model.safetensors: tensor 'block.0.norm.weight' has shape [3]"), HasSubstr("[3, 1]")));
  EXPECT_THAT(complaint_of([&] { norm.read("weight", at::empty({4})); }), HasSubstr("has shape [3]"));
  folder.write("ints/model.safetensors", file_with("a", 3));
  const Weights ints(open_component(folder.path() / "ints"), {});
  EXPECT_THAT(complaint_of([&] { ints.tensor("a", {3}); }), HasSubstr("tensor 'a' is stored as U8"));
  folder.write("later/model.safetensors", file_with("a", 3, "F4"));
  const Weights later(open_component(folder.path() / "later"), {});
  EXPECT_THAT(
      complaint_of([&] { later.tensor("a", {3}); }),
      AllOf(HasSubstr("tensor 'a' is stored as F4"), HasSubstr("take this component from the published folder")));
}

TEST(Checkpoint, SaysWhatToDoAboutAnEncoderThatNoNoiseCanBeDrawnAs) {
  const ScratchFolder folder;
  const auto refused = [&](const std::string& dtype, int64_t bytes) -> std::string {
    folder.write("model.safetensors", file_with("shared.weight", bytes, dtype));
    try {
      default_noise_dtype({ModelFolder(source_folder() / "configs/demo"),
                           [&](const std::string&) { return open_component(folder.path()); }});
    } catch (const Invalid& error) {
      return error.what();
    }
    return "";
  };
  for (const std::string dtype : {"F8_E5M2", "F8_E8M0", "I8"}) {
    EXPECT_THAT(refused(dtype, 3), AllOf(HasSubstr("stored as " + dtype + ", "), HasSubstr("published folder"),
                                         Not(HasSubstr("--noise-dtype"))));
  }
}

/// Remembers the most that one read held.
class Measured : public TensorSource {
 public:
  explicit Measured(std::shared_ptr<const TensorSource> source) : source_(std::move(source)) {}

  std::string where() const override { return source_->where(); }
  const TensorInfo* find(std::string_view name) const override { return source_->find(name); }
  std::vector<std::string> names() const override { return source_->names(); }
  void read(const TensorInfo& tensor, int64_t row, const at::Tensor& into) const override {
    most_ = std::max(most_, into.nbytes());
    source_->read(tensor, row, into);
  }
  size_t most() const { return most_; }

 private:
  std::shared_ptr<const TensorSource> source_;
  mutable size_t most_ = 0;
};

TEST(Weights, ConvertInBlocksThatAreSmallBesideTheResult) {
  constexpr int64_t rows = 10'007, columns = 2'000;  // 40 MB stored; the last block is shorter
  const auto source = std::make_shared<Measured>(random_source({{"w", {rows, columns}}}, "random", 1));
  const at::Tensor converted = Weights(source, {.compute = at::kFloat}).tensor("w", {rows, columns});
  EXPECT_LE(source->most(), size_t{16} << 20);
  EXPECT_TRUE(
      at::equal(converted, Weights(source, {.compute = at::kBFloat16}).tensor("w", {rows, columns}).to(at::kFloat)));
}

}  // namespace
}  // namespace flux
