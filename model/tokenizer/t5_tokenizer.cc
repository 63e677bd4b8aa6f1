#include <sentencepiece_processor.h>

#include "model/files/readable_file.h"
#include "model/tokenizer/character_map.h"
#include "model/tokenizer/special_tokens.h"
#include "model/tokenizer/tokenizer.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

constexpr int64_t kMaxModelBytes = 64u << 20;

/// Hugging Face splits words at U+0085; sentencepiece's normaliser would drop it.
std::string next_line_as_space(std::string_view text) {
  constexpr std::string_view kNextLine = "\xc2\x85";
  std::string spaced(text);
  for (size_t at = spaced.find(kNextLine); at != spaced.npos; at = spaced.find(kNextLine, at)) {
    spaced.replace(at, kNextLine.size(), " ");
  }
  return spaced;
}

/// A unigram model of sentencepiece.
class Pieces {
 public:
  explicit Pieces(const std::filesystem::path& file) {
    const std::string model = read_whole_file(file, kMaxModelBytes);
    check_character_map(model, file);
    const auto status = processor_.LoadFromSerializedProto(model);
    if (!status.ok()) throw Invalid(file.string() + ": is no sentencepiece model: " + status.ToString());
    for (int id = 0; id < processor_.GetPieceSize(); ++id) {
      if (processor_.IsByte(id)) throw Invalid(file.string() + ": byte_fallback is not implemented");
    }
  }

  std::optional<int64_t> find(const std::string& piece) const {
    const int id = processor_.PieceToId(piece);
    return processor_.IdToPiece(id) == piece ? std::optional<int64_t>(id) : std::nullopt;
  }

  int64_t size() const { return processor_.GetPieceSize(); }

  void encode(std::string_view text, std::vector<int64_t>& ids) const {
    std::vector<int> found;
    const auto status = processor_.Encode(next_line_as_space(text), &found);
    if (!status.ok()) throw Invalid("the text cannot be tokenized: " + status.ToString());
    ids.insert(ids.end(), found.begin(), found.end());
  }

  /// Ids past the vocabulary (sentinels) are left out.
  std::string decode(const std::vector<int64_t>& ids) const {
    std::vector<int> known;
    for (const int64_t id : ids) {
      if (id < size()) known.push_back(static_cast<int>(id));
    }
    std::string text;
    return processor_.Decode(known, &text).ok() ? text : std::string();
  }

 private:
  sentencepiece::SentencePieceProcessor processor_;
};

class T5Tokenizer : public Tokenizer {
 public:
  explicit T5Tokenizer(const std::filesystem::path& folder)
      : pieces_(folder / "spiece.model"),
        special_(folder / "tokenizer_config.json",
                 {{"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}},
                 [&](const std::string& token) { return pieces_.find(token); }),
        eos_(special_.id("eos_token")),
        padding_(special_.id("pad_token")) {
    special_.add_extra_ids(pieces_.size());
  }

  Tokens operator()(std::string_view text, int64_t max_length) const override {
    if (max_length < 1) throw Invalid("T5 needs a length of at least 1 token");
    std::vector<int64_t> ids;
    special_.encode_around(text, false, [this](auto between, auto& all) { pieces_.encode(between, all); }, ids);
    Tokens tokens;
    const auto room = static_cast<size_t>(max_length - 1);
    if (ids.size() > room) {
      tokens.dropped = pieces_.decode({ids.begin() + static_cast<std::ptrdiff_t>(room), ids.end()});
      ids.resize(room);
    }
    ids.push_back(eos_);
    tokens.ids = std::move(ids);
    return tokens;
  }

  int64_t padding() const override { return padding_; }

 private:
  Pieces pieces_;
  SpecialTokens special_;
  int64_t eos_, padding_;
};

}  // namespace

std::unique_ptr<const Tokenizer> t5_tokenizer(const std::filesystem::path& folder) {
  return std::make_unique<T5Tokenizer>(folder);
}

}  // namespace flux
