#include <nlohmann/json.hpp>

#include "model/tokenizer/byte_pair_encoding.h"
#include "model/tokenizer/special_tokens.h"
#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/tokenizer_folder.h"
#include "model/tokenizer/unicode.h"

namespace flux {
namespace {

using nlohmann::json;
using namespace nlohmann::literals;

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

std::string normalised(std::string_view text) { return lower_case(one_space_for_many(nfc(text))); }

/// What a tokenizer.json of CLIP says; transformers' class does the same whatever it says. The second pattern is
/// transformers 4's, which splits special tokens first as well.
void expect_clip(const TokenizerFolder& folder) {
  folder.expect("normalizer", {R"({"type": "Sequence", "normalizers": [
                                 {"type": "NFC"},
                                 {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
                                 {"type": "Lowercase"}]})"_json});
  const std::string words = R"('s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";
  json split = R"({"type": "Sequence", "pretokenizers": [
                    {"type": "Split", "pattern": {}, "behavior": "Removed", "invert": true},
                    {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": null, "use_regex": true}]})"_json;
  json& pattern = split["pretokenizers"][0]["pattern"]["Regex"];
  pattern = words;
  const json without_special = split;
  pattern = R"(<\|startoftext\|>|<\|endoftext\|>|)" + words;
  folder.expect("pre_tokenizer", {split, without_special});
  folder.expect("model", {R"({"type": "BPE", "dropout": 0, "unk_token": null, "continuing_subword_prefix": "",
                              "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false,
                              "ignore_merges": false, "vocab": null, "merges": null})"_json});
}

BytePairEncoding read_encoding(const TokenizerFolder& folder) {
  if (!folder.has_tokenizer_json()) return {folder.file("vocab.json"), folder.file("merges.txt")};
  expect_clip(folder);
  return {folder.tokenizer("model"), folder.tokenizer_file()};
}

class ClipTokenizer : public Tokenizer {
 public:
  explicit ClipTokenizer(const TokenizerFolder& folder)
      : encoding_(read_encoding(folder)),
        special_(folder,
                 {{"bos_token", "<|startoftext|>"},
                  {"eos_token", std::string(kEndOfText)},
                  {"unk_token", std::string(kEndOfText)},
                  {"pad_token", std::string(kEndOfText)}},
                 {},
                 {[this](const std::string& token) { return encoding_.find(token); }, encoding_.size(), normalised}),
        unknown_(special_.id("unk_token")),
        frame_{{special_.id("bos_token")}, special_.id("eos_token"), special_.id("pad_token")} {
    folder.expect("padding", {special_.padding()});
    json processor = R"({"type": "RobertaProcessing", "trim_offsets": null, "add_prefix_space": null})"_json;
    processor["sep"] = {special_.content("eos_token"), frame_.end};
    processor["cls"] = {special_.content("bos_token"), frame_.begin.front()};
    folder.expect("post_processor", {processor});
  }

 private:
  const Frame& frame() const override { return frame_; }

  void encode(std::string_view text, std::vector<int64_t>& ids) const override {
    special_.encode_around(text, false, [this](auto between, auto& all) { encode_normalised(between, all); }, ids);
  }

  std::string decode(const std::vector<int64_t>& ids) const override { return encoding_.decode(ids); }

  void encode_normalised(std::string_view text, std::vector<int64_t>& ids) const {
    special_.encode_around(
        normalised(text), true, [this](auto between, auto& all) { encode_words(between, all); }, ids);
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
  int64_t unknown_;
  Frame frame_;
};

}  // namespace

std::unique_ptr<const Tokenizer> clip_tokenizer(const std::filesystem::path& folder) {
  return std::make_unique<ClipTokenizer>(TokenizerFolder(folder));
}

std::vector<std::string> clip_tokenizer_files(const std::filesystem::path& folder) {
  if (TokenizerFolder::has_tokenizer_json(folder)) return {"tokenizer.json", "tokenizer_config.json"};
  return {"vocab.json", "merges.txt", "tokenizer_config.json"};
}

}  // namespace flux
