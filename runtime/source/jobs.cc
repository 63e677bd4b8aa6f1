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

Prompt prompt_of(const proto::Options& options) {
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
                      .noise_dtype = dtype_of(options.noise_dtype())}};
}

/// diffusers draws the largest multiple of 16 that fits, and says so.
int64_t rounded(int64_t pixels, const std::string& what, const Warn& warn) {
  const int64_t multiple = pixels / 16 * 16;
  if (multiple != pixels) {
    warn(what + ": " + std::to_string(pixels) + " is not a multiple of 16; drawing " + std::to_string(multiple));
  }
  return multiple;
}

void check_tokens(int64_t tokens, int64_t longest, const std::string& where) {
  if (tokens <= longest) return;
  throw Invalid(where + ": " + std::to_string(tokens) + " is more than the " + std::to_string(longest) +
                " that the model's tokenizer allows");
}

/// The whole run's values, once: what they say wrong is said once.
proto::Options checked_defaults(const Settings& settings, int64_t longest, const Warn& warn) {
  proto::Options defaults = settings.message();
  check_tokens(defaults.max_sequence_length(), longest, settings.origin("max_sequence_length"));
  defaults.set_height(rounded(defaults.height(), settings.origin("height"), warn));
  defaults.set_width(rounded(defaults.width(), settings.origin("width"), warn));
  return defaults;
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
  Run(const proto::Options& defaults, int64_t longest, const Warn& warn)
      : defaults_(defaults), longest_(longest), warn_(warn) {}

  void add(const Request& request) {
    if (!request.error.empty()) return add_bad(request, request.error);
    proto::Options options = request.options;
    try {
      if (options.has_max_sequence_length()) {
        check_tokens(options.max_sequence_length(), longest_, request.origin + ": max_sequence_length");
      }
    } catch (const Invalid& error) {
      return add_bad(request, error.what());
    }
    if (options.has_height()) options.set_height(rounded(options.height(), request.origin + ": height", warn_));
    if (options.has_width()) options.set_width(rounded(options.width(), request.origin + ": width", warn_));
    proto::Options whole = defaults_;
    whole.MergeFrom(options);
    warn_without_effect(request, whole);
    for (int64_t i = 0; i < whole.num_images_per_prompt(); ++i) add_picture(request, whole, i);
  }

  std::vector<Job> jobs;

 private:
  /// Picture i of the run has seed + i; of a request with a seed of its own, picture i of that request.
  void add_picture(const Request& request, const proto::Options& options, int64_t i) {
    const auto index = static_cast<int64_t>(jobs.size());
    Job job{index, request.origin, prompt_of(options), {}};
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

  const proto::Options& defaults_;
  int64_t longest_;
  const Warn& warn_;
  size_t text_ = 0;
  bool warned_ = false;
};

}  // namespace

std::vector<Job> read_jobs(const Settings& settings, int64_t longest_sequence, std::istream& standard_input,
                           const Warn& warn) {
  const proto::Options defaults = checked_defaults(settings, longest_sequence, warn);
  Run run(defaults, longest_sequence, warn);
  for (const Request& request : requests_of(settings, standard_input)) run.add(request);
  return std::move(run.jobs);
}

}  // namespace flux
