#include "model/tokenizer/byte_pair_encoding.h"

#include <nlohmann/json.hpp>

#include <array>
#include <queue>
#include <tuple>

#include "model/files/json_file.h"
#include "model/files/printable.h"
#include "model/files/readable_file.h"
#include "model/tokenizer/unicode.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

constexpr std::string_view kEndOfWord = "</w>";
constexpr int64_t kMaxFileBytes = 64u << 20;
constexpr int64_t kMaxTokenId = 1 << 24;

/// GPT-2's alphabet: every byte as a printable character, itself where it is one.
const std::array<std::string, 256>& byte_alphabet() {
  static const auto alphabet = [] {
    std::array<std::string, 256> letters;
    int32_t next = 256;
    for (int32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
      append_code_point(letters[static_cast<size_t>(byte)], printable ? byte : next++);
    }
    return letters;
  }();
  return alphabet;
}

const std::unordered_map<std::string, char>& alphabet_bytes() {
  static const auto bytes = [] {
    std::unordered_map<std::string, char> map;
    for (size_t byte = 0; byte < 256; ++byte) map[byte_alphabet()[byte]] = static_cast<char>(byte);
    return map;
  }();
  return bytes;
}

/// The symbols of a word as a linked list, so that a merge costs the same at any length.
struct Symbol {
  int64_t id;
  int32_t previous, next;  // -1: none
  bool merged = false;     // into its left neighbour
};

}  // namespace

BytePairEncoding::BytePairEncoding(const std::filesystem::path& vocab_file, const std::filesystem::path& merges_file) {
  read_vocab(vocab_file);
  read_merges(merges_file);
}

void BytePairEncoding::read_vocab(const std::filesystem::path& file) {
  const auto vocab = read_json_object(file, kMaxFileBytes);
  for (const auto& [token, id] : vocab.items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > kMaxTokenId) {
      throw Invalid(file.string() + ": the id of \"" + token + "\" is not a token id");
    }
    ids_[token] = id.get<int64_t>();
    tokens_[id.get<int64_t>()] = token;
  }
}

void BytePairEncoding::read_merges(const std::filesystem::path& file) {
  const std::string text = read_whole_file(file, kMaxFileBytes);
  int32_t rank = 0;
  size_t line_number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line(text.data() + begin, end - begin);
    begin = end + 1;
    ++line_number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    const size_t space = line.find(' ');
    const std::string left(line.substr(0, space)), right(space == line.npos ? "" : line.substr(space + 1));
    const auto left_id = find(left), right_id = find(right), merged = find(left + right);
    if (!left_id || !right_id || !merged) {
      throw Invalid(file.string() + ":" + std::to_string(line_number) + ": not a merge of two tokens of vocab.json");
    }
    merges_.insert_or_assign(pair_key(*left_id, *right_id), Merge{rank++, *merged});
  }
}

std::optional<int64_t> BytePairEncoding::find(const std::string& token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

void BytePairEncoding::encode(std::string_view word, int64_t unknown, std::vector<int64_t>& ids) const {
  std::vector<Symbol> symbols;
  for (size_t i = 0; i < word.size(); ++i) {
    std::string letter = byte_alphabet()[static_cast<uint8_t>(word[i])];
    if (i + 1 == word.size()) letter += kEndOfWord;
    const auto at = static_cast<int32_t>(i);
    symbols.push_back({find(letter).value_or(unknown), at - 1, i + 1 == word.size() ? -1 : at + 1});
  }

  // The lowest rank first, then the leftmost; an entry whose symbols have changed since is passed over.
  using Candidate = std::tuple<int32_t, int32_t, int64_t, int64_t>;  // rank, position, left id, right id
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto consider = [&](int32_t left) {
    if (left < 0 || symbols[static_cast<size_t>(left)].next < 0) return;
    const Symbol& a = symbols[static_cast<size_t>(left)];
    const Symbol& b = symbols[static_cast<size_t>(a.next)];
    const auto merge = merges_.find(pair_key(a.id, b.id));
    if (merge != merges_.end()) candidates.emplace(merge->second.rank, left, a.id, b.id);
  };
  for (size_t i = 0; i < symbols.size(); ++i) consider(static_cast<int32_t>(i));
  while (!candidates.empty()) {
    const auto [rank, position, left_id, right_id] = candidates.top();
    candidates.pop();
    Symbol& left = symbols[static_cast<size_t>(position)];
    if (left.merged || left.id != left_id || left.next < 0) continue;
    Symbol& right = symbols[static_cast<size_t>(left.next)];
    if (right.id != right_id) continue;
    left.id = merges_.at(pair_key(left_id, right_id)).id;
    right.merged = true;
    left.next = right.next;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = position;
    consider(left.previous);
    consider(position);
  }
  for (const Symbol& symbol : symbols) {
    if (!symbol.merged) ids.push_back(symbol.id);
  }
}

std::string BytePairEncoding::decode(const std::vector<int64_t>& ids) const {
  std::string text;
  for (const int64_t id : ids) {
    const auto found = tokens_.find(id);
    if (found == tokens_.end()) continue;
    std::string_view token = found->second;
    const bool ends = token.ends_with(kEndOfWord);
    if (ends) token.remove_suffix(kEndOfWord.size());
    while (!token.empty()) {
      const std::string_view before = token;
      take_code_point(token);
      const std::string letter(before.substr(0, before.size() - token.size()));
      const auto byte = alphabet_bytes().find(letter);
      if (byte != alphabet_bytes().end()) text += byte->second;
    }
    if (ends) text += ' ';
  }
  while (text.ends_with(' ')) text.pop_back();
  return valid_utf8(text);  // ids may begin or end within a character
}

}  // namespace flux
