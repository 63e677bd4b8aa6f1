#include "runtime/bench/throughput_result.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace flux {
namespace {

/// A stage's own seconds within the time that the coordinator saw it take; the rest is on the way.
struct Stage {
  Stage(const std::optional<Time>& from, const std::optional<Time>& to, double seconds) {
    if (!from || !to) return;
    const double whole = in_seconds(*to - *from);
    own = std::min(seconds, whole);
    transfer = whole - own;
    end = to;
  }
  double own = 0, transfer = 0;
  std::optional<Time> end;  // absent: it did not come to it
};

double between(const std::optional<Time>& from, const std::optional<Time>& to) {
  return from && to ? in_seconds(*to - *from) : 0;
}

/// The seconds that any of the spans cover.
double covered(std::vector<std::pair<double, double>> spans) {
  std::ranges::sort(spans);
  double seconds = 0, end = 0;
  for (const auto& [from, to] : spans) {
    seconds += std::max(0.0, to - std::max(from, end));
    end = std::max(end, to);
  }
  return seconds;
}

/// Where stages were at work: what a stage takes ends when the coordinator hears of it.
class Spans {
 public:
  Spans(Time beginning, const Placement& placement) : beginning_(beginning), placement_(placement) {}

  /// `is`: which picture of which request. `first`: of its request, which is encoded once.
  void add(const PictureTimes& picture, const Span& is, bool first) {
    const StageSeconds& seconds = picture.seconds;
    if (first) add(is, picture.encoder, "encode", {picture.to_encoder, picture.encoded, seconds.encode});
    if (picture.replica >= 0)
      for (int rank : placement_.replicas[picture.replica].ranks)
        add(is, rank, "denoise", {picture.denoising, picture.denoised, seconds.denoise});
    add(is, picture.decoder, "decode", {picture.to_decoder, picture.decoded, seconds.decode});
  }

  std::vector<Span> all;

 private:
  void add(Span span, int rank, const char* stage, const Stage& took) {
    if (!took.end) return;
    span.rank = rank;
    span.stage = stage;
    span.to = in_seconds(*took.end - beginning_);
    span.from = span.to - took.own;
    all.push_back(span);
  }

  const Time beginning_;
  const Placement& placement_;
};

RequestResult request_result(const Load::Asked& asked, const PictureTimes& last, Time beginning) {
  const Prompt& prompt = asked.request.prompt;
  return {.arrival = in_seconds(asked.arrival - beginning),
          .latency = in_seconds(last.done - asked.arrival),
          .split = split_of(last, asked.arrival),
          .slo = asked.slo ? std::optional(in_seconds(*asked.slo)) : std::nullopt,
          .pictures = asked.request.pictures,
          .width = prompt.picture.width,
          .height = prompt.picture.height,
          .steps = prompt.num_inference_steps,
          .replica = last.replica,
          .prompt = prompt.prompt,
          .error = last.error};
}

std::vector<RankUse> rank_uses(const std::vector<Span>& spans, size_t ranks) {
  std::vector<RankUse> uses(ranks);
  std::vector<std::vector<std::pair<double, double>>> busy(ranks);
  for (const Span& span : spans) {
    RankUse& use = uses[span.rank];
    const std::string stage = span.stage;
    (stage == "encode" ? use.encode : stage == "denoise" ? use.denoise : use.decode) += span.to - span.from;
    busy[span.rank].emplace_back(span.from, span.to);
  }
  for (size_t rank = 0; rank < ranks; ++rank) uses[rank].busy = covered(std::move(busy[rank]));
  return uses;
}

}  // namespace

Split split_of(const PictureTimes& picture, Time arrival) {
  const Stage encode(picture.to_encoder, picture.encoded, picture.seconds.encode);
  const Stage denoise(picture.denoising, picture.denoised, picture.seconds.denoise);
  const Stage decode(picture.to_decoder, picture.decoded, picture.seconds.decode);
  return {.queue = between(arrival, picture.to_encoder) + between(picture.encoded, picture.denoising) +
                   between(picture.denoised, picture.to_decoder),
          .encode = encode.own,
          .transfer = encode.transfer + denoise.transfer + decode.transfer,
          .denoise = denoise.own,
          .decode = decode.own,
          .write = between(picture.decoded, picture.done)};
}

WaveResult wave_result(const Load& load, const PictureLog& log, size_t wave, const Placement& placement) {
  const Time beginning = load.beginnings().at(wave);
  WaveResult result;
  std::vector<PictureTimes> pictures;
  Spans spans(beginning, placement);
  for (const Load::Asked& asked : load.asked()) {
    if (asked.wave != wave) continue;
    const size_t first = pictures.size();
    for (int64_t k = 0; k < asked.request.pictures; ++k) {
      const int64_t number = asked.request.first_picture + k;
      pictures.push_back(log.pictures().at(number));
      spans.add(pictures.back(), {.picture = number, .request = result.requests.size()}, k == 0);
    }
    const auto failed_or_last = std::ranges::max_element(
        pictures.begin() + static_cast<std::ptrdiff_t>(first), pictures.end(), {},
        [](const PictureTimes& picture) { return std::pair(!picture.error.empty(), picture.done); });
    result.requests.push_back(request_result(asked, *failed_or_last, beginning));
  }
  Time end = beginning;
  for (const PictureTimes& picture : pictures) end = std::max(end, picture.done);
  result.duration = in_seconds(end - beginning);
  result.replicas = replica_use(pictures, static_cast<int>(placement.replicas.size()), beginning, end);
  result.ranks = rank_uses(spans.all, placement.ranks.size());
  result.spans = std::move(spans.all);
  return result;
}

double percentile(std::vector<double> values, double part) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  const double at = part * static_cast<double>(values.size() - 1);
  const auto below = values.begin() + static_cast<std::ptrdiff_t>(at);
  std::nth_element(values.begin(), below, values.end());
  const auto above = below + 1 == values.end() ? below : std::min_element(below + 1, values.end());
  return std::lerp(*below, *above, at - std::floor(at));
}

double mean(const std::vector<double>& values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace flux
