#include <nlohmann/json.hpp>

#include "model/files/readable_file.h"
#include "model/tokenizer/sentencepiece_model.h"
#include "model/tokenizer/special_tokens.h"
#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/tokenizer_folder.h"
#include "model/tokenizer/unigram.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

using nlohmann::json;
using namespace nlohmann::literals;

constexpr int64_t kMaxModelBytes = 16u << 20;  // FLUX.1's has 0.8 MB

/// T5's sentinels, `extra_ids` of tokenizer_config.json, absent: 100.
std::vector<std::string> sentinels(const TokenizerFolder& folder) {
  const json& count = folder.config("extra_ids");
  if (!count.is_null() && (!count.is_number_unsigned() || count.get<uint64_t>() > 1000)) {
    throw Invalid(folder.config_file() + ": extra_ids is no count up to 1000");
  }
  const int64_t how_many = count.is_null() ? 100 : count.get<int64_t>();
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(how_many));
  for (int64_t i = 0; i < how_many; ++i) names.push_back("<extra_id_" + std::to_string(i) + ">");
  return names;
}

/// What a tokenizer.json of T5 says; transformers' class does the same whatever it says. The longer normalisers and the
/// shorter split are those of its earlier versions.
void expect_t5(const TokenizerFolder& folder) {
  folder.expect("normalizer", {R"({"type": "Precompiled", "precompiled_charsmap": null})"_json,
                               R"({"type": "Sequence", "normalizers": [
                                 {"type": "Precompiled", "precompiled_charsmap": null},
                                 {"type": "Strip", "strip_left": false, "strip_right": true},
                                 {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u2581"}]})"_json,
                               R"({"type": "Sequence", "normalizers": [
                                 {"type": "Precompiled", "precompiled_charsmap": null},
                                 {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]})"_json});
  const json words = R"({"type": "Metaspace", "replacement": "\u2581", "str_rep": "\u2581",
                         "add_prefix_space": true, "prepend_scheme": "always", "split": true})"_json;
  json split = R"({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}]})"_json;
  split["pretokenizers"].push_back(words);
  folder.expect("pre_tokenizer", {split, words});
  folder.expect("model", {R"({"type": "Unigram", "unk_id": 2, "vocab": null, "byte_fallback": false})"_json});
}

/// The character map of the normaliser that has one.
std::string character_map(const TokenizerFolder& folder) {
  const json& normalizer = folder.tokenizer("normalizer");
  if (normalizer.is_null()) return {};
  const json& map = normalizer.contains("normalizers") ? normalizer["normalizers"].front() : normalizer;
  const auto found = map.find("precompiled_charsmap");
  if (found == map.end() || !found->is_string()) {
    throw Invalid(folder.tokenizer_file() + ": normalizer: precompiled_charsmap is no text");
  }
  return from_base64(found->get_ref<const std::string&>(), folder.tokenizer_file());
}

Vocabulary read_tokenizer_json(const TokenizerFolder& folder) {
  expect_t5(folder);
  Vocabulary vocabulary;
  vocabulary.character_map = character_map(folder);
  const json& model = folder.tokenizer("model");
  if (!model.is_object() || !model.contains("vocab") || !model["vocab"].is_array()) {
    throw Invalid(folder.tokenizer_file() + ": model.vocab is not a list");
  }
  for (const json& piece : model["vocab"]) {
    if (!piece.is_array() || piece.size() != 2 || !piece[0].is_string() || !piece[1].is_number()) {
      throw Invalid(folder.tokenizer_file() + ": model.vocab[" + std::to_string(vocabulary.pieces.size()) +
                    "] is not a piece and its score");
    }
    vocabulary.pieces.push_back({piece[0].get<std::string>(), piece[1].get<double>()});
  }
  return vocabulary;
}

/// As transformers: the sentinels are pieces too, the highest first.
Vocabulary read_spiece_model(const TokenizerFolder& folder, const std::vector<std::string>& sentinels) {
  const auto file = folder.file("spiece.model");
  Vocabulary vocabulary = read_sentencepiece_model(read_whole_file(file, kMaxModelBytes), file.string());
  for (auto name = sentinels.rbegin(); name != sentinels.rend(); ++name) vocabulary.pieces.push_back({*name, 0});
  return vocabulary;
}

class T5Tokenizer : public Tokenizer {
 public:
  T5Tokenizer(const TokenizerFolder& folder, const Vocabulary& vocabulary, const std::vector<std::string>& extra)
      : pieces_(vocabulary, folder.file(folder.has_tokenizer_json() ? "tokenizer.json" : "spiece.model").string()),
        special_(folder, {{"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}}, extra,
                 {[this](const std::string& token) { return pieces_.find(token); }, pieces_.size()}),
        frame_{{}, special_.id("eos_token"), special_.id("pad_token")} {
    folder.expect("padding", {special_.padding()});
    const std::string& eos = special_.content("eos_token");
    json processor = R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": null}},
                                                                  {"SpecialToken": {"type_id": null}}],
                         "pair": null})"_json;
    processor["single"][1]["SpecialToken"]["id"] = eos;
    processor["special_tokens"][eos] = {
        {"id", eos}, {"ids", json::array({frame_.end})}, {"tokens", json::array({eos})}};
    folder.expect("post_processor", {processor});
  }

 private:
  const Frame& frame() const override { return frame_; }

  void encode(std::string_view text, std::vector<int64_t>& ids) const override {
    special_.encode_around(text, false, [this](auto between, auto& all) { pieces_.encode(between, all); }, ids);
  }

  std::string decode(const std::vector<int64_t>& ids) const override { return pieces_.decode(ids); }

  Unigram pieces_;
  SpecialTokens special_;
  Frame frame_;
};

}  // namespace

std::unique_ptr<const Tokenizer> t5_tokenizer(const std::filesystem::path& path) {
  const TokenizerFolder folder(path);
  std::vector<std::string> extra = sentinels(folder);
  const Vocabulary vocabulary =
      folder.has_tokenizer_json() ? read_tokenizer_json(folder) : read_spiece_model(folder, extra);
  for (const auto& piece : vocabulary.pieces) {
    if (piece.control) extra.push_back(piece.text);
  }
  return std::make_unique<T5Tokenizer>(folder, vocabulary, extra);
}

std::vector<std::string> t5_tokenizer_files(const std::filesystem::path& folder) {
  return {TokenizerFolder::has_tokenizer_json(folder) ? "tokenizer.json" : "spiece.model", "tokenizer_config.json"};
}

}  // namespace flux
