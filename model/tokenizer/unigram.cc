#include "model/tokenizer/unigram.h"

#include "model/tokenizer/sentencepiece_model.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

/// Hugging Face splits words at U+0085; sentencepiece's normaliser would drop it.
std::string next_line_as_space(std::string_view text) {
  constexpr std::string_view kNextLine = "\xc2\x85";
  std::string spaced;
  while (!text.empty()) {
    const size_t end = std::min(text.find(kNextLine), text.size());
    spaced += text.substr(0, end);
    text.remove_prefix(end);
    if (text.empty()) break;
    spaced += ' ';
    text.remove_prefix(kNextLine.size());
  }
  return spaced;
}

}  // namespace

Unigram::Unigram(const Vocabulary& vocabulary, const std::string& file) {
  check(vocabulary, file);
  if (!processor_.LoadFromSerializedProto(sentencepiece_model(vocabulary)).ok()) {
    throw Invalid(file + ": sentencepiece cannot load this vocabulary");
  }
}

std::optional<int64_t> Unigram::find(const std::string& piece) const {
  const int id = processor_.PieceToId(piece);
  return processor_.IdToPiece(id) == piece ? std::optional<int64_t>(own(id)) : std::nullopt;
}

void Unigram::encode(std::string_view text, std::vector<int64_t>& ids) const {
  std::vector<int> found;
  const auto status = processor_.Encode(next_line_as_space(text), &found);
  if (!status.ok()) throw Invalid("the text cannot be tokenized by sentencepiece");
  bool after_unknown = false;
  for (const int id : found) {  // neighbours that are unknown are one, as sentencepiece has it of its own
    const bool unknown = own(id) == Vocabulary::kUnknown;
    if (!(unknown && after_unknown)) ids.push_back(own(id));
    after_unknown = unknown;
  }
}

int64_t Unigram::own(int id) const { return id < size() ? id : Vocabulary::kUnknown; }

std::string Unigram::decode(const std::vector<int64_t>& ids) const {
  std::vector<int> known;
  for (const int64_t id : ids) {
    if (id < size()) known.push_back(static_cast<int>(id));
  }
  std::string text;
  return processor_.Decode(known, &text).ok() ? text : std::string();
}

}  // namespace flux
