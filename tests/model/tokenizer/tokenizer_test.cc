#include "model/tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>

#include "parallel/rank/errors.h"
#include "tests/reference.h"

namespace flux {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using Ids = std::vector<int64_t>;

constexpr int64_t kNoLimit = 1'000'000;

class RealTokenizers : public testing::Test {
 protected:
  const std::filesystem::path folder_ = reference("token_ids");
  const std::unique_ptr<const Tokenizer> clip_ = clip_tokenizer(folder_ / "clip");
  const std::unique_ptr<const Tokenizer> t5_ = t5_tokenizer(folder_ / "t5");
};

TEST_F(RealTokenizers, GivePublishedVectors) {
  std::ifstream file(std::filesystem::path(FLUX_SOURCE_DIR) / "tests/model/tokenizer/published_vectors.json");
  const json vectors = json::parse(file);
  for (const auto& [name, tokenizer] : {std::pair{"clip", clip_.get()}, std::pair{"t5", t5_.get()}}) {
    ASSERT_GE(vectors.at(name).size(), 6u);
    for (const json& vector : vectors.at(name)) {
      EXPECT_EQ((*tokenizer)(vector[0].get<std::string>(), kNoLimit).ids, vector[1].get<Ids>()) << vector[0];
    }
  }
}

TEST_F(RealTokenizers, GiveHuggingFacesIdsForUnicode) {
  std::ifstream file(folder_ / "strings.jsonl");
  int same_asked = 0, excused = 0;
  for (std::string line; std::getline(file, line);) {
    const json row = json::parse(line);
    const auto text = row["text"].get<std::string>();
    EXPECT_EQ((*clip_)(text, kNoLimit).ids, row["clip"].get<Ids>()) << line;
    const bool same = (*t5_)(text, kNoLimit).ids == row["t5"].get<Ids>();
    if (row["t5_differs"]) {
      excused += !same;
      if (!same) std::cout << "differs as the README says: " << json(text).dump(-1, ' ', true).substr(0, 100) << "\n";
    } else {
      ++same_asked;
      EXPECT_TRUE(same) << line;
    }
  }
  EXPECT_GE(same_asked, 2000);
  std::cout << same_asked << " strings equal, " << excused << " with replaced graphemes differ\n";
}

TEST_F(RealTokenizers, TruncateAndSayWhatWasDropped) {
  const Tokens clip = (*clip_)("a red circle Above a blue square", 6);
  EXPECT_EQ(clip.ids, (*clip_)("a red circle above", 6).ids);
  EXPECT_EQ(clip.dropped, "a blue square");
  const Tokens t5 = (*t5_)("a red circle above a blue square", 5);
  EXPECT_EQ(t5.ids.size(), 5u);
  EXPECT_EQ(t5.ids.back(), 1);
  EXPECT_THAT(t5.dropped, HasSubstr("a blue square"));
  EXPECT_EQ((*t5_)("short", 5).dropped, "");
}

TEST_F(RealTokenizers, DropWholeCharacters) {
  const std::string text = "\U0001F408\u732B\u00E9 \U0001F9D1\u200D\U0001F680 caf\u00E9\u0301 \U0001F408";
  for (int64_t length = 2; length < 24; ++length) {  // CLIP's ids are of bytes, so a cut may fall between two of one
    EXPECT_NO_THROW(json((*clip_)(text, length).dropped).dump()) << length;  // dump() checks the encoding
    EXPECT_NO_THROW(json((*t5_)(text, length).dropped).dump()) << length;
  }
}

TEST_F(RealTokenizers, PadAsFlux) {
  EXPECT_EQ(clip_->padding(), 49407);
  EXPECT_EQ(t5_->padding(), 0);
}

/// A writable copy of a tokenizer's folder, gone after the test.
class TokenizerFolder : public RealTokenizers {
 protected:
  TokenizerFolder() {
    std::filesystem::remove_all(copy_);
    std::filesystem::copy(folder_, copy_, std::filesystem::copy_options::recursive);
  }
  ~TokenizerFolder() override { std::filesystem::remove_all(copy_); }

  void write(const std::string& file, const std::string& text) const { std::ofstream(copy_ / file) << text; }

  void expect_refused(const char* name, const std::string& file, const std::string& text,
                      const std::string& why) const {
    write(file, text);
    try {
      name == std::string("clip") ? clip_tokenizer(copy_ / "clip") : t5_tokenizer(copy_ / "t5");
      FAIL() << "accepted: " << text.substr(0, 80);
    } catch (const Invalid& error) {
      EXPECT_THAT(error.what(), HasSubstr(file.substr(file.find('/') + 1)));
      EXPECT_THAT(error.what(), HasSubstr(why));
    }
  }

  const std::filesystem::path copy_ =
      std::filesystem::path(testing::TempDir()) / ("tokenizer_" + std::to_string(::getpid()));
};

TEST_F(TokenizerFolder, TakesSpecialTokensFromTheConfig) {
  write("t5/tokenizer_config.json", R"({"extra_ids": 3})");
  const auto t5 = t5_tokenizer(copy_ / "t5");
  EXPECT_EQ((*t5)("<extra_id_0>", kNoLimit).ids, (Ids{32002, 1}));
  write("clip/tokenizer_config.json", R"({"pad_token": {"content": "!</w>"}, "eos_token": "<|endoftext|>"})");
  EXPECT_EQ(clip_tokenizer(copy_ / "clip")->padding(), 256);
}

TEST_F(TokenizerFolder, RefusesWhatItCannotUse) {
  const std::string config = "clip/tokenizer_config.json";
  expect_refused("clip", config, "{", "JSON");
  expect_refused("clip", config, "[]", "object");
  expect_refused("clip", config, R"({"eos_token": 3})", "eos_token");
  expect_refused("clip", config, R"({"eos_token": "no such token"})", "no such token");
  expect_refused("clip", config, R"({"added_tokens_decoder": {"-1": {"content": "x"}}})", "-1");
  expect_refused("clip", config, R"({"added_tokens_decoder": {"7": {"content": ""}}})", "empty");
  expect_refused("clip", config, R"({"added_tokens_decoder": {"7": {"content": "x", "lstrip": true}}})", "lstrip");
  expect_refused("clip", config, std::string(100'000, '['), "deep");
  std::filesystem::copy(folder_ / config, copy_ / config, std::filesystem::copy_options::overwrite_existing);
  expect_refused("clip", "clip/merges.txt", "#version: 0.2\nt h\nthere nothing\n", ":3:");
  expect_refused("clip", "clip/vocab.json", R"({"a": -3})", "\"a\"");
  expect_refused("t5", "t5/spiece.model", "no model", "sentencepiece");
  std::filesystem::remove(copy_ / "t5/spiece.model");
  EXPECT_THROW(t5_tokenizer(copy_ / "t5"), Invalid);
  ASSERT_EQ(::mkfifo((copy_ / "t5/spiece.model").c_str(), 0600), 0);  // opening it would wait for a writer
  EXPECT_THROW(t5_tokenizer(copy_ / "t5"), Invalid);
}

/// Damaged models are refused or load and stay inside their memory. (Run under AddressSanitizer too.)
TEST_F(TokenizerFolder, SurvivesDamagedSentencepieceModels) {
  std::ifstream file(folder_ / "t5/spiece.model", std::ios::binary);
  const std::string model((std::istreambuf_iterator<char>(file)), {});
  constexpr size_t kCharacterMap = 250'000;  // bytes at the end of the file
  std::mt19937 random(7);
  int refused = 0;
  for (int i = 0; i < 60; ++i) {
    std::string damaged = model;
    for (int flip = 0; flip < 1 + i; ++flip) {
      const size_t at = i % 2 ? random() % damaged.size() : damaged.size() - 1 - random() % kCharacterMap;
      damaged[at] ^= static_cast<char>(1 << random() % 8);
    }
    if (i % 5 == 0) damaged.resize(random() % damaged.size());
    write("t5/spiece.model", damaged);
    try {
      (*t5_tokenizer(copy_ / "t5"))("Ａ red ½ circle ﬁne e\u0301 日本", kNoLimit);
    } catch (const Invalid&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 20);
  EXPECT_LT(refused, 60);
}

}  // namespace
}  // namespace flux
