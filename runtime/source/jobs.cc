#include "runtime/source/jobs.h"

#include <fstream>
#include <optional>

#include "parallel/rank/errors.h"
#include "runtime/options.pb.h"
#include "runtime/source/request_file.h"

namespace flux {
namespace {

constexpr size_t most_pictures = 1'000'000;
constexpr size_t most_text = size_t{1} << 30;  // bytes that all jobs hold

std::vector<Request> requests_of(const Settings& settings, std::istream& standard_input) {
  const proto::Options& options = settings.message();
  if (options.has_prompt()) return {{settings.origin("prompt"), {}, {}}};
  if (!options.has_prompts()) throw Invalid("nothing to draw: give --prompt TEXT, or --prompts FILE");
  if (options.prompts() == "-") return read_requests(standard_input, "stdin");
  std::ifstream file(options.prompts(), std::ios::binary);
  if (!file || std::filesystem::is_directory(options.prompts())) {
    throw Invalid(settings.origin("prompts") + ": " + options.prompts() + " cannot be read as a file of prompts");
  }
  return read_requests(file, options.prompts());
}

at::ScalarType dtype_of(proto::NoiseDtype::Value value) {
  switch (value) {
    case proto::NoiseDtype::fp32:
      return at::kFloat;
    case proto::NoiseDtype::bf16:
      return at::kBFloat16;
    case proto::NoiseDtype::fp16:
      return at::kHalf;
  }
  throw std::logic_error("noise_dtype");
}

std::optional<std::string> given(bool there, const std::string& text) {
  return there ? std::optional(text) : std::nullopt;
}

Prompt prompt_of(const proto::Options& options, int64_t token_side) {
  return {.prompt = options.prompt(),
          .prompt_2 = given(options.has_prompt_2(), options.prompt_2()),
          .negative_prompt = given(options.has_negative_prompt(), options.negative_prompt()),
          .negative_prompt_2 = given(options.has_negative_prompt_2(), options.negative_prompt_2()),
          .true_cfg_scale = options.true_cfg_scale(),
          .guidance_scale = options.guidance_scale(),
          .num_inference_steps = options.num_inference_steps(),
          .max_sequence_length = options.max_sequence_length(),
          .picture = {.height = options.height(),
                      .width = options.width(),
                      .seed = options.seed(),
                      .noise_dtype = dtype_of(options.noise_dtype()),
                      .token_side = token_side}};
}

using Origin = std::function<std::string(const char* field)>;  // for messages

/// `options` as this model takes them. Throws Invalid.
proto::Options fitted(proto::Options options, int64_t token_side, const Origin& origin, const Warn& warn) {
  const auto drawn = [&](int64_t pixels, const char* field) {
    return drawn_pixels(pixels, token_side, origin(field), warn);
  };
  if (options.has_height()) options.set_height(drawn(options.height(), "height"));
  if (options.has_width()) options.set_width(drawn(options.width(), "width"));
  return options;
}

/// What of the negative side is given and does nothing; empty when all is used. diffusers: do_true_cfg.
std::string without_effect(const proto::Options& options) {
  const bool negative = options.has_negative_prompt() || options.has_negative_prompt_2();
  if (negative && options.true_cfg_scale() <= 1) {
    return "the negative prompt does nothing unless true_cfg_scale is over 1";
  }
  if (!options.has_negative_prompt() && (negative || options.true_cfg_scale() > 1)) {
    return "true_cfg_scale and negative_prompt_2 do nothing without negative_prompt";
  }
  return "";
}

class Run {
 public:
  /// What concerns the whole run is said once, here.
  Run(const Settings& settings, int64_t token_side, const Warn& warn)
      : defaults_(fitted(
            settings.message(), token_side, [&](const char* field) { return settings.origin(field); }, warn)),
        token_side_(token_side),
        warn_(warn) {}

  void add(const Request& request) {
    if (!request.error.empty()) return add_bad(request, request.error);
    const Warn warn = [&](const std::string& text) { warn_(request.origin + ": " + text); };
    proto::Options whole = defaults_;
    try {
      whole.MergeFrom(fitted(request.options, token_side_, [](const char* field) { return field; }, warn));
    } catch (const Invalid& error) {
      return add_bad(request, error.what());
    }
    warn_without_effect(request, whole);
    for (int64_t i = 0; i < whole.num_images_per_prompt(); ++i) add_picture(request, whole, i);
  }

  std::vector<Job> jobs;

 private:
  /// Picture i of the run has seed + i; of a request with a seed of its own, picture i of that request.
  void add_picture(const Request& request, const proto::Options& options, int64_t i) {
    const auto index = static_cast<int64_t>(jobs.size());
    Job job{index, request.origin, prompt_of(options, token_side_), {}};
    job.prompt.picture.seed += static_cast<uint64_t>(request.options.has_seed() ? i : index);
    text_ += options.prompt().size() + options.prompt_2().size() + options.negative_prompt().size() +
             options.negative_prompt_2().size();
    if (jobs.size() >= most_pictures || text_ > most_text) {
      throw Invalid(request.origin + ": the run is over 1,000,000 pictures or 1 GiB of text; split it");
    }
    jobs.push_back(std::move(job));
  }

  /// Once for what the whole run is given, and for every request that says it itself.
  void warn_without_effect(const Request& request, const proto::Options& whole) {
    const std::string what = without_effect(whole);
    const proto::Options& own = request.options;
    const bool said = own.has_negative_prompt() || own.has_negative_prompt_2() || own.has_true_cfg_scale();
    if (what.empty() || (!said && warned_)) return;
    warned_ = warned_ || !said;
    warn_(said ? request.origin + ": " + what : what);
  }

  void add_bad(const Request& request, const std::string& error) {
    jobs.push_back({static_cast<int64_t>(jobs.size()), request.origin, {}, error});
  }

  const proto::Options defaults_;
  const int64_t token_side_;
  const Warn& warn_;
  size_t text_ = 0;
  bool warned_ = false;
};

}  // namespace

int64_t drawn_pixels(int64_t pixels, int64_t token_side, const std::string& what, const Warn& warn) {
  const std::string asked = what + ": " + std::to_string(pixels), side = std::to_string(token_side);
  if (pixels < token_side) throw Invalid(asked + " is less than " + side);
  const int64_t multiple = pixels / token_side * token_side;
  if (multiple != pixels) {
    warn(asked + " is not a multiple of " + side + "; drawing " + std::to_string(multiple));
  }
  return multiple;
}

std::vector<Job> read_jobs(const Settings& settings, int64_t token_side, std::istream& standard_input,
                           const Warn& warn) {
  Run run(settings, token_side, warn);
  for (const Request& request : requests_of(settings, standard_input)) run.add(request);
  return std::move(run.jobs);
}

}  // namespace flux
