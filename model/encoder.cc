#include "model/encoder.h"

#include <algorithm>

#include "model/linear/linear.h"
#include "model/schedule.h"
#include "model/text/clip_text.h"
#include "model/text/t5_encoder.h"
#include "model/tokenizer/tokenizer.h"
#include "model/transformer/modulation.h"
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
  Parts(const Checkpoint& checkpoint, const ModelFolder& folder, const Placing& placing, const Weights& transformer)
      : scheduler(folder.scheduler),
        clip_tokens("text_encoder", clip_tokenizer(folder.path / "tokenizer"), folder.text_encoder.vocab_size,
                    placing.device),
        clip_tokens_length(model_max_length(folder.path / "tokenizer", folder.text_encoder.max_position_embeddings)),
        clip(Weights(checkpoint.open("text_encoder"), placing), folder.text_encoder),
        t5_tokens("text_encoder_2", t5_tokenizer(folder.path / "tokenizer_2"), folder.text_encoder_2.vocab_size,
                  placing.device),
        t5(Weights(checkpoint.open("text_encoder_2"), placing), folder.text_encoder_2),
        context_embedder(transformer, {"context_embedder"}, folder.transformer.hidden_size(),
                         folder.transformer.joint_attention_dim),
        modulation(transformer, folder.transformer) {}

  SchedulerConfig scheduler;
  TokenSequence clip_tokens;
  int64_t clip_tokens_length;
  ClipText clip;
  TokenSequence t5_tokens;
  T5Encoder t5;
  Linear context_embedder;
  Modulation modulation;
};

Encoder::Encoder(const Checkpoint& checkpoint, Placing placing)
    : parts_(new Parts(checkpoint, checkpoint.folder, placing, Weights(checkpoint.open("transformer"), placing))) {}

Encoder::~Encoder() = default;

Conditioning Encoder::operator()(const Prompt& prompt, const Warn& warn) const {
  const auto& [scheduler, clip_tokens, clip_tokens_length, clip, t5_tokens, t5, context_embedder, modulation] = *parts_;

  Conditioning result{.branches = {}, .sigmas = sigmas(scheduler, prompt), .true_cfg_scale = prompt.true_cfg_scale};
  const auto times = timesteps(scheduler, result.sigmas);

  const auto add_branch = [&](const std::string& for_clip, const std::string& for_t5) {
    const auto pooled = clip(clip_tokens(for_clip, clip_tokens_length, warn));
    const auto txt = t5(t5_tokens(for_t5, prompt.max_sequence_length, warn));
    result.branches.push_back({context_embedder(txt), modulation(times, prompt.guidance_scale, pooled)});
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
