#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include <iostream>

#include "launch/verbs.h"
#include "model/config.h"
#include "model/tokenizer/tokenizer.h"
#include "parallel/rank/errors.h"
#include "runtime/options/convert.h"
#include "runtime/source/model_defaults.h"

namespace flux {
namespace {

std::vector<int64_t> ids(const Tokenizer& tokenizer, const std::string& text, int64_t longest) {
  const Tokens tokens = tokenizer(text, longest);
  if (!tokens.dropped.empty()) spdlog::warn("over {} tokens, dropped: {}", longest, tokens.dropped);
  return tokens.ids;
}

}  // namespace

int tokenize(const Settings& settings) {
  const ModelFolder folder(model_path(settings));
  if (!settings.has("prompt")) throw Invalid("--prompt is missing: the text to tokenize");
  const TextOptions text = text_options(settings);
  const int64_t longest = text.max_sequence_length.value_or(longest_sequence(folder));
  const int64_t longest_clip = model_max_length(folder.path / "tokenizer", folder.text_encoder.max_position_embeddings);
  const auto clip = clip_tokenizer(folder.path / "tokenizer");
  const auto t5 = t5_tokenizer(folder.path / "tokenizer_2");
  const nlohmann::ordered_json result = {
      {"clip", ids(*clip, text.prompt, longest_clip)},
      {"t5", ids(*t5, text.for_t5(), longest)},
  };
  std::cout << result.dump() << std::endl;
  return 0;
}

}  // namespace flux
