#include <algorithm>

#include "model/tokenizer/byte_pair_encoding.h"
#include "model/tokenizer/special_tokens.h"
#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/unicode.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

constexpr std::string_view kContractions[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
constexpr std::string_view kEndOfText = "<|endoftext|>";

bool is_other(int32_t code_point) { return !is_space(code_point) && !is_letter(code_point) && !is_number(code_point); }

/// The words of CLIP's pattern:
/// <|endoftext|> | 's|'t|'re|'ve|'m|'ll|'d | [\p{L}]+ | [\p{N}] | [^\s\p{L}\p{N}]+
class Words {
 public:
  explicit Words(std::string_view text) : rest_(text) {}

  /// Empty at the end.
  std::string_view next() {
    while (!rest_.empty()) {
      if (rest_.starts_with(kEndOfText)) return take(kEndOfText.size());
      for (const auto contraction : kContractions) {
        if (rest_.starts_with(contraction)) return take(contraction.size());
      }
      std::string_view tail = rest_;
      const int32_t first = take_code_point(tail);
      if (is_number(first)) return take(rest_.size() - tail.size());
      if (is_letter(first)) return take(run(is_letter));
      if (is_other(first)) return take(run(is_other));
      rest_ = tail;
    }
    return {};
  }

 private:
  size_t run(bool (*belongs)(int32_t)) const {
    std::string_view tail = rest_;
    while (!tail.empty()) {
      std::string_view after = tail;
      if (!belongs(take_code_point(after))) break;
      tail = after;
    }
    return rest_.size() - tail.size();
  }

  std::string_view take(size_t size) {
    const auto word = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return word;
  }

  std::string_view rest_;
};

std::string one_space_for_many(std::string_view text) {
  std::string folded;
  bool in_space = false;
  while (!text.empty()) {
    const int32_t code_point = take_code_point(text);
    const bool space = is_space(code_point);
    if (!space) append_code_point(folded, code_point);
    if (space && !in_space) folded += ' ';
    in_space = space;
  }
  return folded;
}

class ClipTokenizer : public Tokenizer {
 public:
  explicit ClipTokenizer(const std::filesystem::path& folder)
      : encoding_(folder / "vocab.json", folder / "merges.txt"),
        special_(folder / "tokenizer_config.json",
                 {{"bos_token", "<|startoftext|>"},
                  {"eos_token", std::string(kEndOfText)},
                  {"unk_token", std::string(kEndOfText)},
                  {"pad_token", std::string(kEndOfText)}},
                 [&](const std::string& token) { return encoding_.find(token); }),
        bos_(special_.id("bos_token")),
        eos_(special_.id("eos_token")),
        unknown_(special_.id("unk_token")),
        padding_(special_.id("pad_token")) {}

  Tokens operator()(std::string_view text, int64_t max_length) const override {
    if (max_length < 2) throw Invalid("CLIP needs a length of at least 2 tokens");
    std::vector<int64_t> ids = {bos_};
    special_.encode_around(text, false, [this](auto between, auto& all) { encode(between, all); }, ids);
    Tokens tokens;
    const auto room = static_cast<size_t>(max_length - 1);
    if (ids.size() > room) {
      tokens.dropped = encoding_.decode({ids.begin() + static_cast<std::ptrdiff_t>(room), ids.end()});
      ids.resize(room);
    }
    ids.push_back(eos_);
    tokens.ids = std::move(ids);
    return tokens;
  }

  int64_t padding() const override { return padding_; }

 private:
  void encode(std::string_view text, std::vector<int64_t>& ids) const {
    const std::string normalised = lower_case(one_space_for_many(nfc(text)));
    special_.encode_around(normalised, true, [this](auto between, auto& all) { encode_words(between, all); }, ids);
  }

  void encode_words(std::string_view normalised, std::vector<int64_t>& ids) const {
    Words words(normalised);
    for (auto word = words.next(); !word.empty(); word = words.next()) {
      // Lower-cased, it is not the special token, and ByteLevel's pattern takes it apart.
      if (word == kEndOfText) {
        for (const char* part : {"<|", "endoftext", "|>"}) encoding_.encode(part, unknown_, ids);
      } else {
        encoding_.encode(word, unknown_, ids);
      }
    }
  }

  BytePairEncoding encoding_;
  SpecialTokens special_;
  int64_t bos_, eos_, unknown_, padding_;
};

}  // namespace

std::unique_ptr<const Tokenizer> clip_tokenizer(const std::filesystem::path& folder) {
  return std::make_unique<ClipTokenizer>(folder);
}

}  // namespace flux
