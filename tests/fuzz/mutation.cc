#include "tests/fuzz/mutation.h"

#include <algorithm>
#include <array>

namespace flux::fuzz {
namespace {

std::vector<std::string> split_lines(const std::string& bytes) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', begin), bytes.size());
    lines.push_back(bytes.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::string of_format(const std::string& bytes, Format format, const std::string& other, Random& random) {
  if (format == Format::protobuf) return mutated_protobuf(bytes, random);
  if (format == Format::lines) return mutated_lines(bytes, other, random);
  // One document, or one a line.
  std::vector<std::string> lines = split_lines(bytes);
  if (lines.size() < 2 || lines.front().empty() || lines.front().back() != '}') return mutated_json(bytes, random);
  std::string& line = lines[pick(lines.size(), random)];
  line = mutated_json(line, random);
  std::string joined;
  for (const std::string& each : lines) joined += each + "\n";
  return joined;
}

}  // namespace

uint64_t interesting_number(Random& random) {
  switch (random() % 4) {
    case 0:
      return random() % 4;
    case 1:
      return (uint64_t{1} << (random() % 64)) + random() % 3 - 1;
    case 2:
      return ~(random() % 4);
    default:
      return random() >> (random() % 64);
  }
}

std::string mutated_lines(const std::string& bytes, const std::string& other, Random& random) {
  std::vector<std::string> lines = split_lines(bytes);
  const std::vector<std::string> more = split_lines(other);
  if (lines.empty()) return other;
  const size_t at = pick(lines.size(), random);
  switch (random() % 5) {
    case 0:
      lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(at));
      break;
    case 1:
      lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(at), lines[pick(lines.size(), random)]);
      break;
    case 2:
      std::swap(lines[at], lines[pick(lines.size(), random)]);
      break;
    case 3:
      if (!more.empty()) lines[at] = more[pick(more.size(), random)];
      break;
    default:
      lines[at] = mutated_bytes(lines[at], other, random);
  }
  std::string joined;
  for (const std::string& line : lines) joined += line + "\n";
  return joined;
}

std::string mutated_bytes(std::string bytes, const std::string& other, Random& random) {
  static const std::array<std::string, 12> tokens = {std::string(1, '\0'),
                                                     "\xff",
                                                     "\xc3",
                                                     "\xed\xa0\x80",
                                                     "\xf0\x9f\x98\x80",
                                                     "\xef\xbb\xbf",
                                                     "\"",
                                                     "\\",
                                                     "{",
                                                     "[",
                                                     "-1",
                                                     "1e999"};
  const size_t at = pick(bytes.size() + 1, random);
  const size_t length = pick(std::min<size_t>(bytes.size() - at, 64) + 1, random);
  switch (random() % 6) {
    case 0:
      if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
      break;
    case 1:
      bytes.erase(at, length);
      break;
    case 2:
      bytes.insert(at, bytes.substr(pick(bytes.size() + 1, random), pick(64, random)));
      break;
    case 3:
      bytes.replace(at, length, other.substr(pick(other.size() + 1, random), pick(64, random)));
      break;
    case 4:
      bytes.insert(at, random() % 2 ? tokens[pick(tokens.size(), random)] : std::to_string(interesting_number(random)));
      break;
    default:
      bytes.resize(at);
  }
  return bytes;
}

std::string mutated(const std::string& bytes, Format format, const std::vector<std::string>& others, Random& random) {
  std::string result = bytes;
  const std::string& other = others[pick(others.size(), random)];
  for (size_t count = 1 + pick(4, random); count > 0; --count) result = of_format(result, format, other, random);
  if (random() % 4 == 0) result = mutated_bytes(std::move(result), other, random);
  constexpr size_t longest = 1 << 19;  // what is longer is slow and finds little
  if (result.size() > longest) result.resize(longest);
  return result;
}

}  // namespace flux::fuzz
