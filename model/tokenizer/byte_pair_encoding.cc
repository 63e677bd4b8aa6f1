#include "model/tokenizer/byte_pair_encoding.h"

#include <nlohmann/json.hpp>

#include <array>
#include <queue>
#include <tuple>
#include <unordered_map>

#include "model/files/json_file.h"
#include "model/files/printable.h"
#include "model/files/readable_file.h"
#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/tokenizer_folder.h"
#include "model/tokenizer/unicode.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

using nlohmann::json;

constexpr std::string_view kEndOfWord = "</w>";

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

/// The two tokens of "left right".
std::pair<std::string_view, std::string_view> halves(std::string_view merge) {
  const size_t space = merge.find(' ');
  return {merge.substr(0, space), space == merge.npos ? std::string_view() : merge.substr(space + 1)};
}

/// The symbols of a word as a linked list, so that a merge costs the same at any length.
struct Symbol {
  int64_t id;
  int32_t previous, next;  // -1: none
  bool merged = false;     // into its left neighbour
};

}  // namespace

BytePairEncoding::BytePairEncoding(const std::filesystem::path& vocab_file, const std::filesystem::path& merges_file) {
  read_vocab(read_json_object(vocab_file, kMaxTokenizerFileBytes), vocab_file.string());
  read_merges(merges_file);
}

BytePairEncoding::BytePairEncoding(const json& model, const std::string& file) {
  if (!model.is_object() || !model.contains("vocab") || !model["vocab"].is_object()) {
    throw Invalid(file + ": model.vocab is not an object");
  }
  if (!model.contains("merges") || !model["merges"].is_array()) throw Invalid(file + ": model.merges is not a list");
  read_vocab(model["vocab"], file + ": model.vocab");
  size_t number = 0;
  for (const json& merge : model["merges"]) {
    const std::string where = file + ": model.merges[" + std::to_string(number++) + "]";
    if (merge.is_string()) {
      const auto [left, right] = halves(merge.get_ref<const std::string&>());
      add_merge(left, right, where);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      add_merge(merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>(), where);
    } else {
      throw Invalid(where + ": not a merge of two tokens");
    }
  }
}

void BytePairEncoding::read_vocab(const json& vocab, const std::string& file) {
  for (const auto& [token, id] : vocab.items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > kMaxTokenId) {
      throw Invalid(file + ": the id of " + quoted_name(token) + " is not a token id");
    }
    ids_.emplace_hint(ids_.end(), token, id.get<int64_t>());
    if (!tokens_.emplace(id.get<int64_t>(), token).second) {
      throw Invalid(file + ": " + quoted_name(token) + " has the id " + id.dump() + " of another token");
    }
  }
}

void BytePairEncoding::read_merges(const std::filesystem::path& file) {
  const std::string text = read_whole_file(file, kMaxTokenizerFileBytes);
  size_t line_number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line(text.data() + begin, end - begin);
    begin = end + 1;
    ++line_number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    const auto [left, right] = halves(line);
    add_merge(left, right, file.string() + ":" + std::to_string(line_number));
  }
}

void BytePairEncoding::add_merge(std::string_view left, std::string_view right, const std::string& where) {
  const auto left_id = find(left), right_id = find(right), merged = find(std::string(left).append(right));
  if (!left_id || !right_id || !merged) throw Invalid(where + ": not a merge of two tokens of the vocabulary");
  merges_.insert_or_assign({*left_id, *right_id}, Merge{merges_read_++, *merged});
}

std::optional<int64_t> BytePairEncoding::find(std::string_view token) const {
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
    const auto merge = merges_.find({a.id, b.id});
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
    left.id = merges_.at({left_id, right_id}).id;
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
