#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <random>

#include "model/tokenizer/sentencepiece_model.pb.h"
#include "model/tokenizer/tokenizer.h"
#include "parallel/rank/errors.h"
#include "tests/reference.h"

namespace flux {
namespace {

using testing::HasSubstr;
using wire::sentencepiece::ModelProto;
using Type = ModelProto::SentencePiece;

std::string whole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void put(std::string& bytes, uint32_t word) { bytes.append(reinterpret_cast<const char*>(&word), 4); }

/// A character map whose keys are `a` up to so many times, each for the replacement at 0. Those of `forever` go on
/// without end.
std::string map_of_a(uint32_t longest, bool forever = false) {
  constexpr uint32_t kEnds = 1 << 8, kValue = 1u << 31;
  std::vector<uint32_t> units(256 * (longest + 2), kValue);  // that are no letter
  units[0] = 256 << 10;  // the base for what may follow a key of n bytes is 256 (n + 1)
  for (uint32_t n = 1; n <= longest; ++n) {
    const uint32_t at = 256 * n + 'a';
    const uint32_t base = forever && n == longest ? 256 : 256 * (n + 1);
    units[at] = (at ^ base) << 10 | kEnds | 'a';
    units[base] = kValue;
  }
  std::string map;
  put(map, static_cast<uint32_t>(4 * units.size()));
  for (const uint32_t unit : units) put(map, unit);
  return map + std::string("x\0", 2);
}

/// The demo's small model in a folder of its own, gone after the test.
class HostileModels : public testing::Test {
 protected:
  HostileModels() : model_(parsed(whole(demo_ / "spiece.model"))) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    std::filesystem::copy(demo_ / "tokenizer_config.json", folder_);
  }
  ~HostileModels() override { std::filesystem::remove_all(folder_); }

  static ModelProto parsed(const std::string& bytes) {
    ModelProto model;
    EXPECT_TRUE(model.ParseFromString(bytes));
    return model;
  }

  /// The ids of `text`, by a model of these bytes.
  std::vector<int64_t> ids(const std::string& bytes, const std::string& text) const {
    std::ofstream(folder_ / "spiece.model", std::ios::binary) << bytes;
    return (*t5_tokenizer(folder_))(text, 1'000'000).ids;
  }

  void expect_refused(const std::string& bytes, const std::string& why) const {
    try {
      ids(bytes, "a red circle");
      ADD_FAILURE() << "accepted, not refused with: " << why;
    } catch (const Invalid& error) {
      EXPECT_THAT(error.what(), HasSubstr("spiece.model: "));
      EXPECT_THAT(error.what(), HasSubstr(why));
      EXPECT_LT(std::string(error.what()).size(), 400u);
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }

  void expect_refused(const std::function<void(ModelProto&)>& change, const std::string& why) const {
    ModelProto model = model_;
    change(model);
    expect_refused(model.SerializeAsString(), why);
  }

  void expect_map_refused(const std::string& map) const {
    expect_refused([&](ModelProto& model) { model.mutable_normalizer_spec()->set_precompiled_charsmap(map); },
                   "character map");
  }

  const std::filesystem::path demo_ = std::filesystem::path(FLUX_SOURCE_DIR) / "configs/demo/tokenizer_2";
  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) / ("hostile_models_" + std::to_string(::getpid()));
  const ModelProto model_;
};

/// What sentencepiece's own parser reads, ours must have read too.
TEST_F(HostileModels, HideNoMapFromTheCheck) {
  const std::string hostile = map_of_a(40, true), sound = model_.SerializeAsString();
  ModelProto map;
  map.mutable_normalizer_spec()->set_precompiled_charsmap(hostile);
  expect_refused(sound + map.SerializeAsString(), "character map");  // a second normalizer_spec, which is merged
  const std::string group("\x4b\x08\x01\x4c", 4);                    // field 9, with a number inside
  expect_refused(group + sound, "damaged");
  expect_refused(sound + group, "damaged");
  std::string spec = group + map.normalizer_spec().SerializeAsString();
  std::string length;
  for (size_t rest = spec.size(); rest > 0; rest >>= 7)
    length += static_cast<char>((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
  expect_refused(sound + '\x1a' + length + spec, "damaged");  // the group inside normalizer_spec, before the map
  expect_refused(sound + std::string("\x1a\x02\x10\x07", 4), "damaged");  // the map as a number
  expect_refused(sound + std::string("\x12\x02\x1a\x00", 4), "damaged");  // model_type as text
  expect_refused(sound + std::string("\x1a\x80", 2), "damaged");          // a length that does not end
  expect_refused(sound + '\0', "damaged");
  expect_refused(sound.substr(0, sound.size() - 1), "damaged");
  expect_refused(std::string(), "lacks the unknown piece");
}

/// Only prompts are normalised. sentencepiece never sees the other map.
TEST_F(HostileModels, AreNotFollowedWhereNothingNeedsThem) {
  ModelProto model = model_, map;
  const auto ids_before = ids(model.SerializeAsString(), "a red circle");
  map.mutable_normalizer_spec()->set_precompiled_charsmap(map_of_a(40, true));
  model.set_denormalizer_spec(map.normalizer_spec().SerializeAsString());
  model.set_self_test_data("no message");
  EXPECT_EQ(ids(model.SerializeAsString(), "a red circle"), ids_before);
  EXPECT_EQ((*t5_tokenizer(folder_))("a red circle", 3).dropped, "circle");
}

/// sentencepiece has room for 32 matches at one place of the text.
TEST_F(HostileModels, HaveCharacterMapsThatEnd) {
  ModelProto model = model_;
  const std::string many(100, 'a');
  model.mutable_normalizer_spec()->set_precompiled_charsmap(map_of_a(32));
  EXPECT_EQ(ids(model.SerializeAsString(), many), ids(model.SerializeAsString(), "xxxx"));
  expect_map_refused(map_of_a(33));
  expect_map_refused(map_of_a(2, true));
}

TEST_F(HostileModels, HaveCharacterMapsThatStayInside) {
  expect_map_refused("");
  expect_map_refused("abc");
  std::string map;
  put(map, 0xffffffff);
  expect_map_refused(map + map);
  map.clear();
  put(map, 4);
  put(map, 1 << 10);  // children past the only unit
  expect_map_refused(map + std::string("x\0", 2));
  map = map_of_a(1);
  expect_map_refused(map.substr(0, map.size() - 1));  // the replacement does not end
  expect_map_refused(map.substr(0, map.size() - 2));  // or is not there
  const std::string trie = map.substr(0, map.size() - 2);
  expect_map_refused(trie + std::string("\xff\0", 2));      // or is not UTF-8
  expect_map_refused(trie + std::string(300, 'x') + '\0');  // or fills the memory
  std::string past = map;
  past[4 + 4 * 512] = 2;  // the value: past the replacements
  expect_map_refused(past);
  expect_map_refused(map + std::string(2 << 20, '\0'));
}

TEST_F(HostileModels, HavePiecesThatSentencepieceHolds) {
  const auto piece = [](const std::string& text, float score = -3, Type::Type type = Type::NORMAL) {
    return [=](ModelProto& model) {
      auto* added = model.add_pieces();
      added->set_piece(text);
      added->set_score(score);
      added->set_type(type);
    };
  };
  expect_refused(piece(""), "is empty");
  expect_refused(piece("</s>"), "'</s>' is there twice");
  expect_refused(piece("a\nb"), "control character");
  expect_refused(piece(std::string("a\0b", 3)), "control character");
  expect_refused(piece("\xff"), "'\\xff' is not UTF-8");
  expect_refused(piece(std::string(10'000'000, 'a')), "is too long");
  expect_refused(piece(std::string(20'000'000, 'a')), "at most");
  expect_refused(piece("new", std::nanf("")), "score");
  expect_refused(piece("new", -std::numeric_limits<float>::infinity()), "score");
  expect_refused(piece("new", -1, Type::UNKNOWN), "<unk>");
  expect_refused(piece("new", -1, Type::BYTE), "BYTE");
  expect_refused(piece("new", -1, Type::USER_DEFINED), "USER_DEFINED");
  expect_refused(piece("new", -1, Type::UNUSED), "UNUSED");
  expect_refused([](ModelProto& model) { model.mutable_pieces(2)->set_type(Type::NORMAL); }, "<unk>");
  expect_refused([](ModelProto& model) { model.mutable_trainer_spec()->set_model_type(2); }, "unigram");
  expect_refused([](ModelProto& model) { model.mutable_trainer_spec()->set_byte_fallback(true); }, "byte_fallback");
  expect_refused([](ModelProto& model) { model.clear_pieces(); }, "lacks the unknown piece");
  expect_refused(
      [&](ModelProto& model) {
        for (int i = 0; i < 70'000; ++i) piece("p" + std::to_string(i))(model);
      },
      "at most");
}

/// Flag settings of sentencepiece that Hugging Face's T5 does not look at change nothing.
TEST_F(HostileModels, AreReadAsHuggingFaceReadsThem) {
  ModelProto model = model_;
  const auto before = ids(model.SerializeAsString(), " a  red circle");
  model.mutable_normalizer_spec()->set_add_dummy_prefix(false);
  model.mutable_normalizer_spec()->set_remove_extra_whitespaces(false);
  model.mutable_normalizer_spec()->set_escape_whitespaces(false);
  EXPECT_EQ(ids(model.SerializeAsString(), " a  red circle"), before);
}

/// Changes of the message, its map's units and its bytes, a few at once. FLUX_MUTATIONS asks for more than the sample.
class Mutation {
 public:
  explicit Mutation(uint32_t seed) : random_(seed) {}

  std::string operator()(ModelProto model) {
    for (int i = 0; i <= below(3); ++i) change(model);
    std::string bytes = model.SerializeAsString();
    for (int i = below(3); i > 0; --i) change(bytes);
    return bytes;
  }

 private:
  int below(size_t end) { return static_cast<int>(random_() % end); }

  std::string text() {
    static const std::vector<std::string> parts = {
        "a", "\u2581", "\xc3", "\u00e9", "\n", "</s>", std::string(1, '\0'), "\u2581red"};
    std::string joined;
    for (int i = below(4); i > 0; --i) joined += parts[random_() % parts.size()];
    return joined;
  }

  float score() {
    const float scores[] = {0, -1, 3e38f, -3e38f, 1e-40f, std::nanf(""), std::numeric_limits<float>::infinity()};
    return scores[below(std::size(scores))];
  }

  void change(ModelProto& model) {
    auto* piece = model.mutable_pieces(below(static_cast<size_t>(model.pieces_size())));
    switch (below(8)) {
      case 0:
        piece->set_piece(text());
        break;
      case 1:
        piece->set_score(score());
        break;
      case 2:
        piece->set_type(static_cast<Type::Type>(1 + below(6)));
        break;
      case 3:
        model.add_pieces()->set_piece(text());
        break;
      case 4:
        model.mutable_pieces()->SwapElements(2, below(static_cast<size_t>(model.pieces_size())));
        break;
      default:
        change_map(*model.mutable_normalizer_spec()->mutable_precompiled_charsmap());
    }
  }

  /// Units near the root are those that texts meet.
  void change_map(std::string& map) {
    if (map.size() < 2048) return;
    const size_t at = below(2) ? 4 * random_() % 2048 : random_() % map.size();
    switch (below(4)) {
      case 0:
        map[at] = static_cast<char>(random_());
        break;
      case 1:
        map[at] ^= static_cast<char>(1 << below(8));
        break;
      case 2:
        map.replace(at & ~size_t{3}, 4, map, random_() % (map.size() - 4) & ~size_t{3}, 4);
        break;
      default:
        map.resize(map.size() - random_() % 2048);
    }
  }

  void change(std::string& bytes) {
    const size_t at = random_() % bytes.size();
    switch (below(5)) {
      case 0:
        bytes[at] ^= static_cast<char>(1 << below(8));
        break;
      case 1:
        bytes.resize(at + 1);
        break;
      case 2:
        bytes.insert(at, "\x4b\x08\x01\x4c", 4);
        break;
      case 3:
        bytes += bytes.substr(at, random_() % 300);
        break;
      default:
        bytes.erase(at, random_() % 8);
    }
  }

  std::mt19937 random_;
};

TEST_F(HostileModels, MutatedAreRefusedOrDoNoHarm) {
  const char* asked = std::getenv("FLUX_MUTATIONS");
  const uint32_t mutations = asked ? static_cast<uint32_t>(std::atoi(asked)) : 150;
  uint32_t refused = 0;
  for (uint32_t seed = 0; seed < mutations; ++seed) {
    SCOPED_TRACE(seed);
    try {
      ids(Mutation(seed)(model_), "Ａ red ½ circle ﬁne e\u0301 日本 \x01\t\u0085 </s> \u1100\u1161\u11a8 ͅ ﷺ …");
    } catch (const Invalid& error) {
      EXPECT_THAT(error.what(), HasSubstr(folder_.string()));  // which file: the config may name a piece that went
      ++refused;
    }
  }
  EXPECT_GT(refused, mutations / 4);
  EXPECT_LT(refused, mutations);
}

}  // namespace
}  // namespace flux
