#include "model/tokenizer/tokenizer.h"

#include "parallel/rank/errors.h"

namespace flux {

Tokens Tokenizer::operator()(std::string_view text, int64_t max_length) const {
  Tokens tokens{.ids = frame().begin, .dropped = {}};
  const auto framing = static_cast<int64_t>(tokens.ids.size()) + 1;
  if (max_length < framing) {
    throw Invalid("a length of " + std::to_string(max_length) + " tokens has no room for the special tokens (" +
                  std::to_string(framing) + ")");
  }
  encode(text, tokens.ids);
  const auto room = static_cast<size_t>(max_length - 1);
  if (tokens.ids.size() > room) {
    tokens.dropped = decode({tokens.ids.begin() + static_cast<std::ptrdiff_t>(room), tokens.ids.end()});
    tokens.ids.resize(room);
  }
  tokens.ids.push_back(frame().end);
  return tokens;
}

}  // namespace flux
