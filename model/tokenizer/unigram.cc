#include "model/tokenizer/unigram.h"

#include <algorithm>

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

constexpr std::string_view kWordBegins = "\xe2\x96\x81";  // U+2581
constexpr double kUnknownPenalty = 10;

/// The likeliest way to write a text up to some byte: its last piece.
struct Way {
  bool exists = false;
  double score = 0;
  size_t begins = 0;  // the last piece
  int64_t id = 0;

  void offer(const Way& other) {
    if (!exists || other.score > score) *this = other;
  }
};

/// Its length in bytes.
size_t first_character(std::string_view text) {
  size_t length = 1;
  while (length < text.size() && (text[length] & 0xc0) == 0x80) ++length;
  return length;
}

}  // namespace

Unigram::Unigram(const Vocabulary& vocabulary, const std::string& file) {
  check(vocabulary, file);
  if (!processor_.LoadFromSerializedProto(sentencepiece_model(vocabulary)).ok()) {
    throw Invalid(file + ": sentencepiece cannot load this vocabulary");
  }
  for (const auto& [text, score, control] : vocabulary.pieces)
    pieces_.push_back({text, static_cast<int64_t>(pieces_.size()), score});
  std::ranges::sort(pieces_, {}, &Piece::text);
  unknown_score_ = std::ranges::min(pieces_, {}, &Piece::score).score - kUnknownPenalty;
}

std::optional<int64_t> Unigram::find(const std::string& piece) const {
  const int id = processor_.PieceToId(piece);
  return processor_.IdToPiece(id) == piece ? std::optional<int64_t>(own(id)) : std::nullopt;
}

void Unigram::encode(std::string_view text, std::vector<int64_t>& ids) const {
  const std::string whole = normalised(text);
  std::string_view rest = whole;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(kWordBegins, 1), rest.size());
    encode_word(rest.substr(0, end), ids);
    rest.remove_prefix(end);
  }
}

/// Its pieces, put together again: this version of sentencepiece has no other way to ask for it.
std::string Unigram::normalised(std::string_view text) const {
  std::vector<std::string> pieces;
  const auto status = processor_.Encode(next_line_as_space(text), &pieces);
  if (!status.ok()) throw Invalid("the text cannot be tokenized by sentencepiece");
  std::string whole;
  for (const std::string& piece : pieces) whole += piece;
  return whole;
}

/// Viterbi's. Of ways that are equally likely the one whose last piece is the longest.
void Unigram::encode_word(std::string_view word, std::vector<int64_t>& ids) const {
  std::vector<Way> ways(word.size() + 1);  // by where they end
  ways[0].exists = true;
  for (size_t at = 0; at < word.size();) {
    const size_t character = first_character(word.substr(at));
    bool known = false;
    find_prefixes(word.substr(at), [&](const Piece& piece) {
      const size_t length = piece.text.size();
      known |= length == character;
      ways[at + length].offer({true, ways[at].score + piece.score, at, piece.id});
    });
    if (!known) ways[at + character].offer({true, ways[at].score + unknown_score_, at, Vocabulary::kUnknown});
    at += character;
  }
  std::vector<int64_t> backwards;
  for (size_t end = word.size(); end > 0; end = ways[end].begins) {
    const bool again = !backwards.empty() && backwards.back() == ways[end].id;
    if (!(again && ways[end].id == Vocabulary::kUnknown))
      backwards.push_back(ways[end].id);  // unknown neighbours are one
  }
  ids.insert(ids.end(), backwards.rbegin(), backwards.rend());
}

/// The pieces that the text begins with, the shortest first.
void Unigram::find_prefixes(std::string_view text, const Found& found) const {
  auto first = pieces_.begin(), last = pieces_.end();
  for (size_t length = 1; length <= text.size(); ++length) {
    // Those in between agree up to here; a piece that ends comes before those that go on.
    const auto next = [length](const Piece& piece) {
      return piece.text.size() < length ? -1 : piece.text[length - 1] & 0xff;
    };
    const int byte = text[length - 1] & 0xff;
    first = std::partition_point(first, last, [&](const Piece& piece) { return next(piece) < byte; });
    last = std::partition_point(first, last, [&](const Piece& piece) { return next(piece) == byte; });
    if (first == last) return;
    if (first->text.size() == length) found(*first);
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
