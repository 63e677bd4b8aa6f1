#include "runtime/source/request_maker.h"

#include <fmt/format.h>

#include <functional>
#include <limits>
#include <utility>

#include "model/schedule.h"
#include "model/transformer/flop.h"
#include "parallel/rank/errors.h"
#include "runtime/options/prompt.h"
#include "runtime/source/picture_size.h"

namespace flux {
namespace {

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

/// What is wrong where the last of the pictures would have a seed that there is not; empty when nothing is.
std::string seed_problem(uint64_t seed, int64_t last_picture) {
  constexpr uint64_t largest = std::numeric_limits<uint64_t>::max();
  if (seed <= largest - static_cast<uint64_t>(last_picture)) return "";
  return fmt::format("{} + {} is past the last seed, {}; take a smaller one", seed, last_picture, largest);
}

/// Picture i of the run has seed + i; of a request with a seed of its own, picture i of that request.
uint64_t first_seed(const RequestLine& line, int64_t first_picture, int64_t pictures) {
  if (!line.options.has_seed()) return static_cast<uint64_t>(first_picture);
  const std::string problem = seed_problem(line.options.seed(), pictures - 1);
  if (!problem.empty()) throw Invalid("seed: " + problem);
  return 0;
}

}  // namespace

RequestMaker::RequestMaker(const Settings& settings, ModelFolder model, const Warn& warn)
    : model_(std::move(model)),
      run_(fitted(
          settings.message(), model_.vae.token_side(), [&](const char* field) { return settings.origin(field); },
          warn)),
      origin_of_seed_(settings.origin("seed")) {}

Request RequestMaker::request_of(const RequestLine& line, int64_t first_picture, const Warn& warn) const {
  Request request;
  request.origin = line.origin;
  request.error = line.error;
  if (!request.error.empty()) return request;
  try {
    fill(request, line, first_picture, [&](const std::string& text) { warn(line.origin + ": " + text); });
  } catch (const Invalid& error) {
    request.error = error.what();
  }
  return request;
}

void RequestMaker::fill(Request& request, const RequestLine& line, int64_t first_picture, const Warn& warn) const {
  const proto::Options whole = overlaid(line, warn);
  request.prompt = prompt_of(whole, model_.vae.token_side());
  request.prompt.picture.seed += first_seed(line, first_picture, whole.num_images_per_prompt());
  sigmas(model_.scheduler, request.prompt);  // refused before anything loads where they are no numbers
  request.pictures = whole.num_images_per_prompt();
  request.cost = cost_of(request.prompt);
  request.id = identity_of(request.prompt);
}

/// A line that counts its steps itself leaves the run's sigmas.
proto::Options RequestMaker::overlaid(const RequestLine& line, const Warn& warn) const {
  const proto::Options own =
      fitted(line.options, model_.vae.token_side(), [](const char* field) { return field; }, warn);
  proto::Options whole = run_;
  if (!own.sigmas().empty() || own.has_num_inference_steps()) whole.clear_sigmas();
  whole.MergeFrom(own);
  return whole;
}

proto::Options RequestMaker::whole(const RequestLine& line) const {
  return overlaid(line, [](const std::string&) {});
}

double RequestMaker::cost_of(const Prompt& prompt) const {
  const int64_t tokens = prompt.picture.tokens() + prompt.max_sequence_length;
  const auto steps = prompt.sigmas.empty() ? prompt.num_inference_steps : static_cast<int64_t>(prompt.sigmas.size());
  return step_cost(tokens) * static_cast<double>(steps * (prompt.true_cfg() ? 2 : 1));
}

double RequestMaker::step_cost(int64_t tokens) const { return step_flop(model_.transformer, tokens, tokens); }

void RequestMaker::check_seed(int64_t last_picture) const {
  const std::string problem = seed_problem(run_.seed(), last_picture);
  if (!problem.empty()) throw Invalid(origin_of_seed_ + ": " + problem);
}

}  // namespace flux
