#include "runtime/source/without_effect.h"

#include <fmt/format.h>

namespace flux {
namespace {

/// What of the negative side is given and does nothing; empty when all is used. diffusers: do_true_cfg.
std::string unused_negative(const proto::Options& options) {
  const bool negative = options.has_negative_prompt() || options.has_negative_prompt_2();
  if (negative && options.true_cfg_scale() <= 1) {
    return "the negative prompt does nothing unless true_cfg_scale is over 1";
  }
  if (!options.has_negative_prompt() && (negative || options.true_cfg_scale() > 1)) {
    return "true_cfg_scale and negative_prompt_2 do nothing without negative_prompt";
  }
  return "";
}

}  // namespace

void WithoutEffect::check(const RequestLine& line, const proto::Options& whole) {
  const proto::Options& own = line.options;
  if (const std::string what = unused_negative(whole); !what.empty()) {
    say(own.has_negative_prompt() || own.has_negative_prompt_2() || own.has_true_cfg_scale(), negative_said_, line,
        what);
  }
  if (distilled_ && (own.has_guidance_scale() || settings_.given("guidance_scale"))) {
    say(own.has_guidance_scale(), guidance_said_, line, "guidance_scale does nothing: this model has no guidance");
  }
  const bool counted =
      own.has_num_inference_steps() || (own.sigmas().empty() && settings_.given("num_inference_steps"));
  if (counted && !whole.sigmas().empty() && whole.num_inference_steps() != whole.sigmas_size()) {
    say(own.has_num_inference_steps(), steps_said_, line,
        fmt::format("num_inference_steps does nothing beside sigmas, which are {}", whole.sigmas_size()));
  }
}

void WithoutEffect::say(bool own, bool& said, const RequestLine& line, const std::string& what) {
  if (!own && said) return;
  said = said || !own;
  warn_(own ? line.origin + ": " + what : what);
}

}  // namespace flux
