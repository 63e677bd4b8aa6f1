#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <iostream>
#include <vector>

#include "tests/model/real_tokenizers.h"

namespace flux {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using Ids = std::vector<int64_t>;

constexpr const char* kClipFolders[] = {"clip", "clip_saved", "clip_used"};
constexpr const char* kT5Folders[] = {"t5", "t5_spiece", "t5_saved", "t5_used"};

class RealTokenizers : public RealFolders {
 protected:
  const std::unique_ptr<const Tokenizer> clip_ = clip_tokenizer(folder_ / "clip");
  const std::unique_ptr<const Tokenizer> t5_ = t5_tokenizer(folder_ / "t5");
};

TEST_F(RealFolders, GivePublishedVectors) {
  std::ifstream file(std::filesystem::path(FLUX_SOURCE_DIR) / "tests/model/tokenizer/published_vectors.json");
  const json published = json::parse(file);
  const auto check = [&](const char* folder, const json& vectors) {
    ASSERT_GE(vectors.size(), 6u);
    const auto tokenizer = load(folder_ / folder);
    for (const json& vector : vectors) {
      EXPECT_EQ((*tokenizer)(vector[0].get<std::string>(), kNoLimit).ids, vector[1].get<Ids>()) << folder << vector[0];
    }
  };
  for (const char* folder : kClipFolders) check(folder, published.at("clip"));
  for (const char* folder : kT5Folders) check(folder, published.at("t5"));
}

TEST_F(RealFolders, OfOlderVersionsNameTheirTokensElsewhere) {
  std::ifstream file(folder_ / "older.json");
  for (const json& row : json::parse(file)) {
    const auto tokenizer = load(folder_ / row["folder"].get<std::string>());
    EXPECT_EQ((*tokenizer)(row["text"].get<std::string>(), kNoLimit).ids, row["ids"].get<Ids>()) << row;
    EXPECT_EQ(tokenizer->padding(), row["padding"].get<int64_t>()) << row;
  }
}

/// strings.jsonl, a JSON object a line.
std::vector<json> unicode_strings(const std::filesystem::path& folder) {
  std::ifstream file(folder / "strings.jsonl");
  std::vector<json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(json::parse(line));
  return rows;
}

TEST_F(RealFolders, GiveHuggingFacesIdsForUnicode) {
  const auto rows = unicode_strings(folder_);
  for (const char* folder : {"clip", "clip_saved"}) {
    const auto clip = load(folder_ / folder);
    for (const json& row : rows) {
      EXPECT_EQ((*clip)(row["text"].get<std::string>(), kNoLimit).ids, row["clip"].get<Ids>()) << folder << row["text"];
    }
  }
  for (const char* folder : {"t5", "t5_spiece", "t5_saved"}) {
    const auto t5 = load(folder_ / folder);
    int same_asked = 0, excused = 0;
    for (const json& row : rows) {
      const bool same = (*t5)(row["text"].get<std::string>(), kNoLimit).ids == row["t5"].get<Ids>();
      if (row["t5_differs"]) {
        excused += !same;
      } else {
        ++same_asked;
        EXPECT_TRUE(same) << folder << row["text"];
      }
    }
    EXPECT_GE(same_asked, 2000);
    std::cout << folder << ": " << same_asked << " strings equal, " << excused << " with replaced graphemes differ\n";
  }
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

}  // namespace
}  // namespace flux
