#include "model/encoder.h"

#include <algorithm>

#include "model/encoder_modules.h"
#include "model/schedule.h"
#include "model/tokenizer/tokenizer.h"
#include "parallel/rank/errors.h"

namespace flux {

namespace {

using Warn = std::function<void(const std::string&)>;

/// A tokenizer and what its ids are for.
class TokenSequence {
 public:
  TokenSequence(std::string component, std::unique_ptr<const Tokenizer> tokenizer, int64_t vocab_size,
                at::Device device)
      : component_(std::move(component)), tokenizer_(std::move(tokenizer)), vocab_size_(vocab_size), device_(device) {}

  /// [length] ids, filled up with padding.
  at::Tensor operator()(const std::string& text, int64_t length, const Warn& warn) const {
    auto [ids, dropped] = (*tokenizer_)(text, length);
    if (!dropped.empty()) {
      warn(component_ + " takes " + std::to_string(length) +
           " tokens; this part of the prompt was dropped: " + dropped);
    }
    ids.resize(static_cast<size_t>(length), tokenizer_->padding());
    for (const auto id : ids) {
      if (id < 0 || id >= vocab_size_) {
        throw Invalid("token id " + std::to_string(id) + " is past the " + std::to_string(vocab_size_) +
                      " embeddings of " + component_ + ": its tokenizer is of another model");
      }
    }
    return at::tensor(ids, at::kLong).to(device_);
  }

 private:
  std::string component_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  int64_t vocab_size_;
  at::Device device_;
};

/// As diffusers: an empty second prompt counts as none.
std::string second(const std::optional<std::string>& prompt_2, const std::string& prompt) {
  return prompt_2 && !prompt_2->empty() ? *prompt_2 : prompt;
}

void require_finite(const Branch& branch) {
  for (const auto& [values, what] :
       {std::pair(branch.txt, "embedded text"), std::pair(branch.modulation, "modulation")})
    if (!values.isfinite().all().item<bool>())
      throw Invalid(std::string("its ") + what +
                    " is not finite: damaged weights, or a --dtype too narrow for them (try bf16 or fp32)");
}

}  // namespace

struct Encoder::Parts {
  Parts(const Checkpoint& checkpoint, const ModelFolder& folder, const Placing& placing, const Formats& formats)
      : scheduler(folder.scheduler),
        clip_tokens("text_encoder", clip_tokenizer(folder.path / "tokenizer"), folder.text_encoder.vocab_size,
                    placing.device),
        clip_tokens_length(model_max_length(folder.path / "tokenizer", folder.text_encoder.max_position_embeddings)),
        t5_tokens("text_encoder_2", t5_tokenizer(folder.path / "tokenizer_2"), folder.text_encoder_2.vocab_size,
                  placing.device),
        modules(checkpoint, placing, formats) {}

  SchedulerConfig scheduler;
  TokenSequence clip_tokens;
  int64_t clip_tokens_length;
  TokenSequence t5_tokens;
  EncoderModules modules;
};

Encoder::Encoder(const Checkpoint& checkpoint, Placing placing, const Formats& formats)
    : parts_(new Parts(checkpoint, checkpoint.folder, placing, formats)) {}

Encoder::~Encoder() = default;

Conditioning Encoder::operator()(const Prompt& prompt, const Warn& warn) const {
  const auto& [scheduler, clip_tokens, clip_tokens_length, t5_tokens, modules] = *parts_;

  Conditioning result{.branches = {}, .sigmas = sigmas(scheduler, prompt), .true_cfg_scale = prompt.true_cfg_scale};
  const auto times = timesteps(scheduler, result.sigmas);

  const auto add_branch = [&](const std::string& for_clip, const std::string& for_t5) {
    const auto pooled = modules.clip(clip_tokens(for_clip, clip_tokens_length, warn));
    const auto txt = modules.t5(t5_tokens(for_t5, prompt.max_sequence_length, warn));
    result.branches.push_back(
        {modules.context_embedder(txt), modules.modulation(times, prompt.guidance_scale, pooled)});
    require_finite(result.branches.back());
  };
  add_branch(prompt.prompt, second(prompt.prompt_2, prompt.prompt));
  if (prompt.true_cfg()) {
    const auto negative = prompt.negative_prompt.value_or("");
    add_branch(negative, second(prompt.negative_prompt_2, negative));
  }
  return result;
}

}  // namespace flux
