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

namespace flux {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

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
