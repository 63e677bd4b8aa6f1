#include "runtime/source/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "parallel/rank/errors.h"
#include "runtime/options/convert.h"
#include "runtime/past_run.h"
#include "runtime/source/input.h"
#include "runtime/source/request_file.h"
#include "runtime/source/request_maker.h"
#include "runtime/source/without_effect.h"

namespace flux {
namespace {

constexpr int64_t most_pictures = 1'000'000;
constexpr int most_failures = 2;  // of ranks that work on a request, which is then set aside

RequestLines lines_of(const Settings& settings, std::istream& standard_input, const Warn& warn) {
  const proto::Options& options = settings.message();
  RequestLines one;
  one.add({settings.origin("prompt"), {}, {}});
  if (options.has_prompt()) return one;
  if (!options.has_prompts()) throw Invalid("nothing to draw: give --prompt TEXT, or --prompts FILE");
  const std::string& file = options.prompts();
  if (file == "-") return read_requests(read_stream(standard_input, "stdin").text(), "stdin", warn);
  return read_requests(read_input(file, operation_options(settings).startup_timeout, warn).text(), file, warn);
}

/// What the run to be resumed knows of a request.
struct Recalled {
  std::map<int64_t, std::string> files;
  bool suspect = false;
  std::string error;
};

Recalled recalled(const Request& request, const PastRun& past, bool retry_poisoned) {
  Recalled known;
  for (int64_t k = 0; k < request.pictures; ++k)
    if (std::string file = past.file_of(request, k); !file.empty()) known.files.emplace(k, std::move(file));
  const int failures = past.failures_of(request.id);
  known.suspect = request.error.empty() && failures > 0;
  if (known.suspect && failures >= most_failures && !retry_poisoned)
    known.error = fmt::format("set aside: ranks failed {} times while they worked on it; draw it with --retry-poisoned",
                              failures);
  return known;
}

/// Warns of the first id that a request before had.
class RepeatedIds {
 public:
  explicit RepeatedIds(const Warn& warn) : warn_(warn) {}

  void check(const RequestLine& line) {
    const std::string& id = line.options.id();
    if (id.empty() || said_ || known_.insert(std::hash<std::string>()(id)).second) return;
    warn_(fmt::format("{}: the id {} is that of a request before; both are drawn, into files of their own", line.origin,
                      id));
    said_ = true;
  }

 private:
  const Warn& warn_;
  std::unordered_set<size_t> known_;  // what is kept of a million is to be little
  bool said_ = false;
};

/// Requests that were all read and checked, and are made again of their lines when it is their turn.
class ListedRequests : public Source {
 public:
  ListedRequests(RequestLines lines, const Settings& settings, const ModelFolder& model, const Warn& warn)
      : part_(part(settings)),
        retry_poisoned_(settings.message().retry_poisoned()),
        lines_(std::move(lines)),
        maker_(settings, model, warn) {}

  std::optional<Request> next() override {
    if (next_ == entries_.size()) return std::nullopt;
    Entry& entry = entries_[next_++];
    Request request =
        maker_.request_of(lines_[static_cast<size_t>(entry.index)], entry.first_picture, [](const std::string&) {});
    request.index = entry.index;
    request.first_picture = entry.first_picture;
    if (entry.past) give(request, std::move(*entry.past));
    return request;
  }
  int64_t pictures() const override { return pictures_; }
  int64_t pictures_there() const override { return there_; }
  Workload workload() const override {
    if (drawable_ == 0) return {largest_, 0, 0};
    const double step = maker_.step_cost(largest_.image_tokens + largest_.text_tokens);
    return {largest_, drawable_, cost_ / static_cast<double>(drawable_) / step};
  }

  /// All lines, in their order. `effects` hears of the good ones.
  void check(const Warn& warn, WithoutEffect& effects, const PastRun* past) {
    int64_t next_picture = 0, last_of_seed = 0;
    RepeatedIds ids(warn);
    for (size_t i = 0; i < lines_.size(); ++i) {
      const RequestLine line = lines_[i];
      Request request = maker_.request_of(line, next_picture, warn);
      request.index = static_cast<int64_t>(i);
      request.first_picture = std::exchange(next_picture, next_picture + request.pictures);
      if (request.error.empty()) effects.check(line, maker_.whole(line));
      if (request.error.empty()) ids.check(line);
      if (request.error.empty() && !line.options.has_seed()) last_of_seed = next_picture - 1;
      if (next_picture > most_pictures)
        throw Invalid(request.origin + ": the run is over 1,000,000 pictures; split it");
      if (part_.has(request.index)) add(request, past);
    }
    maker_.check_seed(last_of_seed);
  }

  void put_longest_first() { std::ranges::stable_sort(entries_, std::ranges::greater(), &Entry::cost); }

 private:
  struct Entry {
    int64_t index;
    int64_t first_picture;
    double cost;                     // infinite of what cannot be drawn
    std::unique_ptr<Recalled> past;  // null: nothing
  };

  static void give(Request& request, Recalled past) {
    request.files = std::move(past.files);
    request.suspect = past.suspect;
    if (!past.error.empty()) request.error = std::move(past.error);
  }

  void add(Request& request, const PastRun* past) {
    Entry& entry = entries_.emplace_back(request.index, request.first_picture);
    if (past != nullptr) {
      Recalled known = recalled(request, *past, retry_poisoned_);
      give(request, known);
      if (!known.files.empty() || known.suspect) entry.past = std::make_unique<Recalled>(std::move(known));
    }
    entry.cost = request.error.empty() ? request.cost : std::numeric_limits<double>::infinity();
    pictures_ += request.pictures;
    there_ += static_cast<int64_t>(request.files.size());
    if (!request.error.empty() || static_cast<int64_t>(request.files.size()) == request.pictures) return;
    const Demand one{request.prompt.picture.tokens(), request.prompt.max_sequence_length};
    const int64_t left = request.pictures - static_cast<int64_t>(request.files.size());
    drawable_ += left;
    cost_ += request.cost * static_cast<double>(left);
    largest_ = {std::max(largest_.image_tokens, one.image_tokens), std::max(largest_.text_tokens, one.text_tokens)};
  }

  const Part part_;
  const bool retry_poisoned_;
  const RequestLines lines_;
  const RequestMaker maker_;
  std::vector<Entry> entries_;
  size_t next_ = 0;
  int64_t pictures_ = 0, there_ = 0;
  int64_t drawable_ = 0;  // pictures that are not there
  double cost_ = 0;       // of these
  Demand largest_{0, 0};
};

std::unique_ptr<ListedRequests> listed(RequestLines lines, const Settings& settings, const ModelFolder& model,
                                       const Warn& warn, const PastRun* past) {
  auto source = std::make_unique<ListedRequests>(std::move(lines), settings, model, warn);
  WithoutEffect effects(settings, model.distilled(), warn);
  source->check(warn, effects, past);
  return source;
}

}  // namespace

std::unique_ptr<Source> open_source(const Settings& settings, const ModelFolder& model, std::istream& standard_input,
                                    const Warn& warn, const PastRun* past) {
  auto source = listed(lines_of(settings, standard_input, warn), settings, model, warn, past);
  source->put_longest_first();
  return source;
}

std::unique_ptr<Source> source_of(RequestLines lines, const Settings& settings, const ModelFolder& model,
                                  const Warn& warn) {
  return listed(std::move(lines), settings, model, warn, nullptr);
}

}  // namespace flux
