#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "parallel/rank/errors.h"
#include "tests/model/real_tokenizers.h"

namespace flux {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using Ids = std::vector<int64_t>;

/// A writable copy of a tokenizer's folder, gone after the test.
class TokenizerFolder : public RealFolders {
 protected:
  TokenizerFolder() {
    std::filesystem::remove_all(copy_);
    std::filesystem::copy(folder_, copy_, std::filesystem::copy_options::recursive);
  }
  ~TokenizerFolder() override { std::filesystem::remove_all(copy_); }

  void write(const std::string& file, const std::string& text) const { std::ofstream(copy_ / file) << text; }

  std::string text_of(const std::string& file) const {
    std::ifstream stream(copy_ / file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  /// The demo's CLIP in place of FLUX.1's, which takes a second to read under sanitizers.
  void take_small_clip() const {
    std::filesystem::remove_all(copy_ / "clip");
    std::filesystem::copy(source_folder() / "configs/demo/tokenizer", copy_ / "clip");
  }

  /// Damages `file` ("clip/vocab.json") and mends it after.
  void expect_refused(const std::string& file, const std::string& text, const std::string& why) const {
    const std::string before = text_of(file);
    write(file, text);
    try {
      load(copy_ / std::filesystem::path(file).parent_path());
      ADD_FAILURE() << "accepted: " << text.substr(0, 80);
    } catch (const Invalid& error) {
      const std::string message = error.what();
      EXPECT_THAT(message, HasSubstr(std::filesystem::path(file).filename().string()));
      EXPECT_THAT(message, HasSubstr(why));
      EXPECT_LT(message.size(), 500u);
      EXPECT_TRUE(std::all_of(message.begin(), message.end(), [](char c) { return c >= ' ' && c < 0x7f; })) << message;
    }
    write(file, before);
  }

  json read(const std::string& file) const {
    std::ifstream stream(folder_ / file);
    return json::parse(stream);
  }

  const std::filesystem::path copy_ =
      std::filesystem::path(testing::TempDir()) / ("tokenizer_" + std::to_string(::getpid()));
};

TEST_F(TokenizerFolder, TakesSpecialTokensFromTheConfig) {
  for (const char* folder : {"t5_spiece", "clip"}) std::filesystem::remove(copy_ / folder / "special_tokens_map.json");
  write("t5_spiece/tokenizer_config.json", R"({"extra_ids": 3})");
  const auto t5 = t5_tokenizer(copy_ / "t5_spiece");
  EXPECT_EQ((*t5)("<extra_id_0>", kNoLimit).ids, (Ids{32002, 1}));
  write("t5_spiece/tokenizer_config.json",
        R"({"additional_special_tokens": []})");  // then the sentinels are pieces alone
  EXPECT_EQ((*t5_tokenizer(copy_ / "t5_spiece"))("<extra_id_0>", kNoLimit).ids, (Ids{3, 32099, 1}));
  write("clip/tokenizer_config.json", R"({"pad_token": {"content": "!</w>"}, "eos_token": "<|endoftext|>"})");
  EXPECT_EQ(clip_tokenizer(copy_ / "clip")->padding(), 256);
}

/// As transformers: what tokenizer.json adds counts where the config has no added_tokens_decoder.
TEST_F(TokenizerFolder, TakesSpecialTokensFromTokenizerJson) {
  json tokenizer = read("t5_saved/tokenizer.json");
  tokenizer["added_tokens"].push_back({{"id", 32100}, {"content", "zzz"}, {"normalized", false}});
  write("t5_saved/tokenizer.json", tokenizer.dump());
  EXPECT_EQ((*t5_tokenizer(copy_ / "t5_saved"))("a zzz b", kNoLimit).ids, (Ids{3, 9, 32100, 3, 115, 1}));
  tokenizer["added_tokens"].back()["id"] = 5000;  // transformers gives it the next id whatever the file says
  expect_refused("t5_saved/tokenizer.json", tokenizer.dump(), "'zzz' has the id 5000");
}

TEST_F(TokenizerFolder, RefusesOlderFilesThatItCannotUse) {
  take_small_clip();
  write("clip/tokenizer_config.json", "{}");
  expect_refused("clip/special_tokens_map.json", R"({"eos_token": 3})", "eos_token is neither");
  expect_refused("clip/special_tokens_map.json", "[]", "object");
  write("clip/added_tokens.json", "{}");
  EXPECT_NO_THROW(load(copy_ / "clip"));
  for (const auto& [text, why] : {std::pair{R"({"zzz": -1})", "'zzz' has no id"}, {R"({"zzz": 7})", "has the id 7"}}) {
    write("clip/added_tokens.json", text);
    try {
      load(copy_ / "clip");
      ADD_FAILURE() << text;
    } catch (const Invalid& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr("added_tokens.json: "), HasSubstr(why)));
    }
  }
  write("t5_spiece/tokenizer_config.json",
        R"({"added_tokens_decoder": {"32100": {"content": "zzz", "normalized": true}}})");
  EXPECT_THROW(load(copy_ / "t5_spiece"), Invalid);
}

TEST_F(TokenizerFolder, SaysWhichFilesItReads) {
  using testing::ElementsAre;
  EXPECT_THAT(clip_tokenizer_files(copy_ / "clip"), ElementsAre("vocab.json", "merges.txt", "tokenizer_config.json"));
  EXPECT_THAT(clip_tokenizer_files(copy_ / "clip_saved"), ElementsAre("tokenizer.json", "tokenizer_config.json"));
  EXPECT_THAT(t5_tokenizer_files(copy_ / "t5"), ElementsAre("tokenizer.json", "tokenizer_config.json"));
  EXPECT_THAT(t5_tokenizer_files(copy_ / "t5_spiece"), ElementsAre("spiece.model", "tokenizer_config.json"));
  for (const char* folder : {"clip_saved", "t5_saved"}) {
    std::filesystem::remove(copy_ / folder / "tokenizer_config.json");
    EXPECT_THROW(load(copy_ / folder), Invalid);
  }
}

TEST_F(TokenizerFolder, RefusesWhatItCannotUse) {
  take_small_clip();
  const std::string config = "clip/tokenizer_config.json";
  std::filesystem::remove(copy_ / "clip/special_tokens_map.json");
  expect_refused(config, "{", "JSON");
  expect_refused(config, "[]", "object");
  expect_refused(config, R"({"eos_token": 3})", "eos_token");
  expect_refused(config, R"({"eos_token": "no such\u001b[31m\ntoken"})", "no such\\x1b[31m\\x0atoken");
  expect_refused(config, R"({"added_tokens_decoder": {"-1": {"content": "x"}}})", "-1");
  expect_refused(config, R"({"added_tokens_decoder": {"7": {"content": ""}}})", "empty");
  expect_refused(config, R"({"added_tokens_decoder": {"7": {"content": "x", "lstrip": true}}})", "lstrip");
  expect_refused(config, R"({"added_tokens_decoder": {"7": {"content": "x"}}})", "has the id 7");
  expect_refused(config, R"({"extra_special_tokens": 7})", "extra_special_tokens");
  expect_refused(config, R"({"extra_special_tokens": [7]})", "extra_special_tokens");
  expect_refused(config, R"({"padding_side": "left"})", "padding_side");
  expect_refused(config, R"({"truncation_side": "left"})", "truncation_side");
  expect_refused(config, R"({"split_special_tokens": true})", "split_special_tokens");
  expect_refused(config, std::string(100'000, '['), "deep");
  expect_refused("clip/merges.txt", "#version: 0.2\nt h\nthere nothing\n", ":3:");
  expect_refused("clip/vocab.json", R"({"a": -3})", "'a'");
  expect_refused("clip/vocab.json", R"({"a": 3, "b": 3})", "'b' has the id 3 of another");
  expect_refused("t5_spiece/spiece.model", "no model", "sentencepiece");
  expect_refused("t5_spiece/tokenizer_config.json", R"({"extra_ids": 1e9})", "extra_ids");
  std::filesystem::remove(copy_ / "t5_spiece/spiece.model");
  EXPECT_THROW(t5_tokenizer(copy_ / "t5_spiece"), Invalid);
  ASSERT_EQ(::mkfifo((copy_ / "t5_spiece/spiece.model").c_str(), 0600), 0);  // opening it would wait for a writer
  EXPECT_THROW(t5_tokenizer(copy_ / "t5_spiece"), Invalid);
}

/// A tokenizer.json that says otherwise than FLUX.1's is refused by the name of the field.
TEST_F(TokenizerFolder, RefusesOtherTokenizers) {
  const auto refuse = [&](const std::string& folder, const char* pointer, const json& value, const std::string& why) {
    json tokenizer = read(folder + "/tokenizer.json");
    tokenizer[json::json_pointer(pointer)] = value;
    expect_refused(folder + "/tokenizer.json", tokenizer.dump(), why);
  };
  for (const std::string folder : {"small_t5", "small_clip"}) {
    refuse(folder, "/model/type", "WordPiece", "model.type");
    refuse(folder, "/model/byte_fallback", true, "model.byte_fallback");
    refuse(folder, "/model/vocab", 3, "model.vocab");
    refuse(folder, "/model/new\u202efield", 3, "model: has 'new\\xe2\\x80\\xaefield'");
    refuse(folder, "/model", 3, "model: is not as FLUX.1's");
    refuse(folder, "/normalizer", {{"type", "NFKC"}}, "normalizer");
    refuse(folder, "/pre_tokenizer/type", "Digits", "pre_tokenizer.type");
    refuse(folder, "/pre_tokenizer/pretokenizers", json::array(), "pre_tokenizer.pretokenizers");
    refuse(folder, "/post_processor/type", "BertProcessing", "post_processor.type");
    refuse(folder, "/truncation", {{"direction", "Left"}}, "truncation.direction");
    refuse(folder, "/padding", {{"direction", "Left"}}, "padding.direction");
    refuse(folder, "/padding", {{"pad_id", 7}}, "padding.pad_id");
    refuse(folder, "/added_tokens", 7, "added_tokens");
    refuse(folder, "/added_tokens/0/id", "7", "added_tokens");
    refuse(folder, "/added_tokens/0/rstrip", true, "rstrip");
  }
  refuse("small_t5", "/model/unk_id", 3, "model.unk_id");
  refuse("small_t5", "/model/vocab/7", {"a"}, "model.vocab[7]");
  refuse("small_t5", "/model/vocab/7", {"a", 1e39}, "piece 7");
  refuse("small_t5", "/model/vocab/7", {"</s>", -1}, "twice");
  refuse("small_t5", "/model/vocab/7", {std::string(1, '\0'), -1}, "piece 7");
  refuse("small_t5", "/normalizer/precompiled_charsmap", "abc", "character map");
  refuse("small_t5", "/normalizer/precompiled_charsmap", "\"}", "base64");
  refuse("small_t5", "/normalizer/precompiled_charsmap", 3, "precompiled_charsmap");
  refuse("small_t5", "/normalizer", nullptr, "character map");
  refuse("small_t5", "/post_processor/special_tokens/<~1s>/ids", {7}, "post_processor.special_tokens");
  refuse("small_clip", "/post_processor/cls/1", 7, "post_processor.cls[1]");
  refuse("small_clip", "/normalizer/normalizers/1/content", "\x1b", "normalizer.normalizers[1].content");
  refuse("small_clip", "/model/end_of_word_suffix", "", "model.end_of_word_suffix");
  refuse("small_clip", "/model/dropout", 0.1, "model.dropout");
  refuse("small_clip", "/model/vocab/!", -1, "'!'");
  refuse("small_clip", "/model/merges/5", "a", "model.merges[5]");
  refuse("small_clip", "/model/merges/5", {"a"}, "model.merges[5]");
  refuse("small_clip", "/model/merges/5", {"never", "seen"}, "model.merges[5]");
}

/// Earlier versions wrote merges as "a b", other splits and fewer fields; transformers reads them alike.
TEST_F(TokenizerFolder, ReadsEarlierTokenizerJson) {
  json tokenizer = read("clip_saved/tokenizer.json");
  for (json& merge : tokenizer["model"]["merges"])
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] =
      R"('s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";
  tokenizer["model"].erase("byte_fallback");
  write("clip_saved/tokenizer.json", tokenizer.dump());
  const std::string text = "It's 4 NAÏVE cats, <|endoftext|>!";
  EXPECT_EQ((*clip_tokenizer(copy_ / "clip_saved"))(text, kNoLimit).ids, (*load(folder_ / "clip"))(text, kNoLimit).ids);
}

/// Changes of the text of each file: refused, or read and harmless. (Run under AddressSanitizer too.)
TEST_F(TokenizerFolder, SurvivesDamagedFiles) {
  take_small_clip();
  const std::string pieces[] = {"\"", "{", "]", ",", ":", "null", "-1", "1e400", "\\u0000", "\xff", "\n", " "};
  std::mt19937 random(7);
  int refused = 0, tried = 0;
  for (const std::string file : {"clip/vocab.json", "clip/merges.txt", "clip/tokenizer_config.json",
                                 "small_clip/tokenizer.json", "small_t5/tokenizer.json"}) {
    const std::string whole = text_of(file);
    for (int i = 0; i < 24; ++i, ++tried) {
      std::string damaged = whole;
      for (int change = 0; change <= i % 3; ++change) {
        const std::string& piece = pieces[random() % std::size(pieces)];
        damaged.replace(random() % (i % 2 ? damaged.size() : std::min<size_t>(damaged.size(), 3000)), random() % 4,
                        piece);
      }
      if (i % 5 == 4) damaged.resize(random() % damaged.size());
      write(file, damaged);
      try {
        (*load(copy_ / std::filesystem::path(file).parent_path()))("Ａ red ½ circle ﬁne e\u0301 日本", kNoLimit);
      } catch (const Invalid&) {
        ++refused;
      }
    }
    write(file, whole);
  }
  EXPECT_GT(refused, tried / 3);
  EXPECT_LT(refused, tried);
}

}  // namespace
}  // namespace flux
