#include "runtime/source/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "model/schedule.h"
#include "model/transformer/flop.h"
#include "parallel/rank/errors.h"
#include "runtime/options.pb.h"
#include "runtime/options/convert.h"
#include "runtime/options/prompt.h"
#include "runtime/past_run.h"
#include "runtime/source/input.h"
#include "runtime/source/request_file.h"
#include "runtime/source/without_effect.h"

namespace flux {
namespace {

constexpr int64_t most_pictures = 1'000'000;
constexpr int most_failures = 2;               // of ranks that work on a request, which is then set aside
constexpr size_t most_text = size_t{1} << 30;  // bytes that all requests hold

std::vector<RequestLine> lines_of(const Settings& settings, std::istream& standard_input, const Warn& warn) {
  const proto::Options& options = settings.message();
  if (options.has_prompt()) return {{settings.origin("prompt"), {}, {}}};
  if (!options.has_prompts()) throw Invalid("nothing to draw: give --prompt TEXT, or --prompts FILE");
  const std::string& file = options.prompts();
  if (file == "-") return read_requests(read_stream(standard_input, "stdin"), "stdin", warn);
  return read_requests(read_input(file, operation_options(settings).startup_timeout, warn), file, warn);
}

using Origin = std::function<std::string(const char* field)>;  // for messages

/// `options` with sizes that this model draws. Throws Invalid.
proto::Options fitted(proto::Options options, int64_t token_side, const Origin& origin, const Warn& warn) {
  const auto drawn = [&](int64_t pixels, const char* field) {
    return drawn_pixels(pixels, token_side, origin(field), warn);
  };
  if (options.has_height()) options.set_height(drawn(options.height(), "height"));
  if (options.has_width()) options.set_width(drawn(options.width(), "width"));
  return options;
}

/// What the run says, and over it what the line says. A line that counts its steps itself leaves the run's sigmas.
proto::Options overlaid(proto::Options run, const proto::Options& line) {
  if (!line.sigmas().empty() || line.has_num_inference_steps()) run.clear_sigmas();
  run.MergeFrom(line);
  return run;
}

/// What is wrong where the last of the pictures would have a seed that there is not; empty when nothing is.
std::string seed_problem(uint64_t seed, int64_t last_picture) {
  constexpr uint64_t largest = std::numeric_limits<uint64_t>::max();
  if (seed <= largest - static_cast<uint64_t>(last_picture)) return "";
  return fmt::format("{} + {} is past the last seed, {}; take a smaller one", seed, last_picture, largest);
}

/// Requests that were all read and checked.
class ListedRequests : public Source {
 public:
  ListedRequests(Part part, bool retry_poisoned) : part_(part), retry_poisoned_(retry_poisoned) {}

  std::optional<Request> next() override {
    if (next_ == requests_.size()) return std::nullopt;
    return std::move(requests_[next_++]);
  }
  int64_t pictures() const override { return pictures_; }
  int64_t pictures_there() const override { return there_; }
  const Demand& largest() const override { return largest_; }

  /// The position in the run of the next request's first picture.
  int64_t next_picture() const { return next_picture_; }

  void add(Request request, const PastRun* past) {
    request.index = next_index_++;
    request.first_picture = std::exchange(next_picture_, next_picture_ + request.pictures);
    if (next_picture_ > most_pictures) too_much(request);
    if (!part_.has(request.index)) return;
    if (past != nullptr) recall(request, *past);
    pictures_ += request.pictures;
    there_ += static_cast<int64_t>(request.files.size());
    const Prompt& prompt = request.prompt;
    if (request.error.empty() && static_cast<int64_t>(request.files.size()) < request.pictures) {
      const Demand one{prompt.picture.tokens(), prompt.max_sequence_length};
      largest_ = {std::max(largest_.image_tokens, one.image_tokens), std::max(largest_.text_tokens, one.text_tokens)};
    }
    text_ += prompt.prompt.size() + prompt.prompt_2.value_or("").size() + prompt.negative_prompt.value_or("").size() +
             prompt.negative_prompt_2.value_or("").size();
    if (text_ > most_text) too_much(request);
    requests_.push_back(std::move(request));
  }

  void put_longest_first() {
    const auto cost = [](const Request& request) {
      return request.error.empty() ? request.cost : std::numeric_limits<double>::infinity();
    };
    std::ranges::stable_sort(requests_, std::ranges::greater(), cost);
  }

 private:
  void recall(Request& request, const PastRun& past) const {
    for (int64_t k = 0; k < request.pictures; ++k)
      if (std::string file = past.file_of(request, k); !file.empty()) request.files.emplace(k, std::move(file));
    const int failures = past.failures_of(request.id);
    request.suspect = request.error.empty() && failures > 0;
    if (!request.suspect || failures < most_failures || retry_poisoned_) return;
    request.error = fmt::format(
        "set aside: ranks failed {} times while they worked on it; draw it with --retry-poisoned", failures);
  }

  [[noreturn]] static void too_much(const Request& request) {
    throw Invalid(request.origin + ": the run is over 1,000,000 pictures or 1 GiB of text; split it");
  }

  const Part part_;
  const bool retry_poisoned_;
  std::vector<Request> requests_;
  size_t next_ = 0;
  int64_t next_index_ = 0, next_picture_ = 0;  // in the run, of which this may be a part
  int64_t pictures_ = 0, there_ = 0;
  size_t text_ = 0;
  Demand largest_{0, 0};
};

/// Makes requests of lines.
class Run {
 public:
  /// What concerns the whole run is said once, here.
  Run(const Settings& settings, const ModelFolder& model, const Warn& warn)
      : settings_(settings),
        model_(model),
        warn_(warn),
        defaults_(fitted(
            settings.message(), model.vae.token_side(), [&](const char* field) { return settings.origin(field); },
            warn)),
        effects_(settings, model.distilled(), warn) {}

  Request request_of(const RequestLine& line, int64_t first_picture) {
    Request request;
    request.origin = line.origin;
    request.error = line.error;
    if (!request.error.empty()) return request;
    try {
      fill(request, line, first_picture);
    } catch (const Invalid& error) {
      request.error = error.what();
    }
    return request;
  }

  /// Throws Invalid where the run's seed is too large for its pictures.
  void check_seed() const {
    const std::string problem = seed_problem(settings_.message().seed(), last_picture_);
    if (!problem.empty()) throw Invalid(settings_.origin("seed") + ": " + problem);
  }

 private:
  void fill(Request& request, const RequestLine& line, int64_t first_picture) {
    const Warn warn = [&](const std::string& text) { warn_(line.origin + ": " + text); };
    const int64_t side = model_.vae.token_side();
    const proto::Options whole =
        overlaid(defaults_, fitted(line.options, side, [](const char* field) { return field; }, warn));
    effects_.check(line, whole);
    request.prompt = prompt_of(whole, side);
    request.prompt.picture.seed += first_seed(line, first_picture, whole.num_images_per_prompt());
    sigmas(model_.scheduler, request.prompt);  // refused before anything loads where they are no numbers
    request.pictures = whole.num_images_per_prompt();
    request.cost = cost_of(request.prompt);
    request.id = identity_of(request.prompt);
  }

  double cost_of(const Prompt& prompt) const {
    const int64_t tokens = prompt.picture.tokens() + prompt.max_sequence_length;
    const auto steps = prompt.sigmas.empty() ? prompt.num_inference_steps : static_cast<int64_t>(prompt.sigmas.size());
    return step_flop(model_.transformer, tokens, tokens) * static_cast<double>(steps * (prompt.true_cfg() ? 2 : 1));
  }

  /// Picture i of the run has seed + i; of a request with a seed of its own, picture i of that request.
  uint64_t first_seed(const RequestLine& line, int64_t first_picture, int64_t pictures) {
    if (!line.options.has_seed()) {
      last_picture_ = first_picture + pictures - 1;
      return static_cast<uint64_t>(first_picture);
    }
    const std::string problem = seed_problem(line.options.seed(), pictures - 1);
    if (!problem.empty()) throw Invalid("seed: " + problem);
    return 0;
  }

  const Settings& settings_;
  const ModelFolder& model_;
  const Warn& warn_;
  const proto::Options defaults_;
  WithoutEffect effects_;
  int64_t last_picture_ = 0;  // of those that take the run's seed
};

std::unique_ptr<ListedRequests> listed(const std::vector<RequestLine>& lines, const Settings& settings,
                                       const ModelFolder& model, const Warn& warn, const PastRun* past) {
  auto source = std::make_unique<ListedRequests>(part(settings), settings.message().retry_poisoned());
  Run run(settings, model, warn);
  for (const RequestLine& line : lines) source->add(run.request_of(line, source->next_picture()), past);
  run.check_seed();
  return source;
}

}  // namespace

std::unique_ptr<Source> open_source(const Settings& settings, const ModelFolder& model, std::istream& standard_input,
                                    const Warn& warn, const PastRun* past) {
  auto source = listed(lines_of(settings, standard_input, warn), settings, model, warn, past);
  source->put_longest_first();
  return source;
}

std::unique_ptr<Source> source_of(const std::vector<RequestLine>& lines, const Settings& settings,
                                  const ModelFolder& model, const Warn& warn) {
  return listed(lines, settings, model, warn, nullptr);
}

}  // namespace flux
