#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <set>
#include <utility>

#include "model/files/json_lines.h"
#include "model/files/printable.h"
#include "parallel/rank/errors.h"
#include "runtime/bench/comparison.h"
#include "runtime/bench/simulation.h"

namespace flux {
namespace {

using Parsed = nlohmann::json;

constexpr int64_t kMostBytes = 1 << 28;
constexpr double kMostTimes = 1000;       // as long as denoising, of what is simulated
constexpr double kLeastDenoising = 1e-6;  // of denoising, likewise
constexpr double kMaxSeconds = 1e9;       // seconds

/// One line, and where it stands for messages.
struct Line {
  std::string where;
  Parsed json;

  [[noreturn]] void refuse(const std::string& why) const { throw Invalid(where + ": " + why); }

  const Parsed& at(const Parsed& object, const char* key) const {
    if (!object.is_object() || !object.contains(key)) refuse(fmt::format("\"{}\" is missing", key));
    return object[key];
  }
  double number(const Parsed& object, const char* key) const {
    const Parsed& value = at(object, key);
    if (!value.is_number()) refuse(fmt::format("\"{}\" is no number", key));
    const double result = value;
    if (!(result >= 0 && result <= kMaxSeconds)) refuse(fmt::format("\"{}\" is {}, no time or count", key, result));
    return result;
  }
  std::string text(const Parsed& object, const char* key) const {
    const Parsed& value = at(object, key);
    if (!value.is_string()) refuse(fmt::format("\"{}\" is no text", key));
    return printable_line(value.get<std::string>());
  }
  /// Of an option that may be absent: null.
  std::string optional(const char* key, const char* before, const char* after) const {
    return at(json, key).is_null() ? "" : fmt::format("{}{:g}{}", before, number(json, key), after);
  }
};

/// Two runs are compared where it is the same.
std::string load_of(const Line& line, const Parsed& requests) {
  std::set<std::string> sizes;
  for (const Parsed& request : requests)
    sizes.insert(fmt::format("{:g} x {:g} in {:g} steps", line.number(request, "width"), line.number(request, "height"),
                             line.number(request, "num_inference_steps")));
  const auto dataset = std::filesystem::path(line.text(line.json, "dataset")).filename().string();
  return line.text(line.json, "scenario") + line.optional("request_rate", ", ", " a second") +
         line.optional("burstiness", ", burstiness ", "") +
         line.optional("max_concurrency", ", at most ", " at a time") +
         fmt::format(", {}, {}", dataset, fmt::join(sizes, " and "));
}

void require_result(const Line& line) {
  if (line.text(line.json, "benchmark") != "throughput") line.refuse("is no result of bench throughput");
  if (line.number(line.json, "schema") != 1)
    line.refuse("is of another version of this program: its \"schema\" is not 1");
}

LoadResults results_of(const Line& line) {
  require_result(line);
  const Parsed& requests = line.at(line.json, "requests");
  if (!requests.is_array()) line.refuse("\"requests\" is no array");
  LoadResults results{load_of(line, requests), {}, {}};
  std::vector<double> done;
  for (const Parsed& request : requests) {
    if (request.contains("error")) continue;
    results.latencies.push_back(line.number(request, "latency"));
    done.push_back(line.number(request, "arrival") + results.latencies.back());
  }
  std::ranges::sort(done);
  for (size_t i = 0; i < done.size(); ++i) results.gaps.push_back(done[i] - (i > 0 ? done[i - 1] : 0));
  if (done.empty() || done.back() <= 0) line.refuse("no request was completed");
  return results;
}

void add(std::vector<LoadResults>& all, LoadResults&& one) {
  const auto same = std::ranges::find(all, one.load, &LoadResults::load);
  if (same == all.end()) return all.push_back(std::move(one));
  same->latencies.insert(same->latencies.end(), one.latencies.begin(), one.latencies.end());
  same->gaps.insert(same->gaps.end(), one.gaps.begin(), one.gaps.end());
}

/// At least one.
void each_line(const std::filesystem::path& file, const std::function<void(const Line&)>& visit) {
  const auto lines =
      each_json_line(file, kMostBytes, [&](const std::string& where, Parsed json) { visit({where, std::move(json)}); });
  if (lines == 0) throw Invalid(file.string() + ": holds no results; bench throughput --output-file writes them");
}

int ranks_of(const Line& line, const Parsed& object) {
  const Parsed& ranks = line.at(object, "ranks");
  if (!ranks.is_array() || ranks.empty() || ranks.size() > size_t{kMostRanks})
    line.refuse("\"ranks\" is no list of ranks");
  return static_cast<int>(ranks.size());
}

MeasuredStages stages_of(const Line& line) {
  require_result(line);
  const Parsed& stages = line.at(line.json, "stages");
  const auto mean = [&](const char* stage) { return line.number(line.at(stages, stage), "mean"); };
  const Parsed& replicas = line.at(line.json, "replicas");
  if (!replicas.is_array() || replicas.empty()) line.refuse("\"replicas\" is no list of replicas");
  const int each = ranks_of(line, replicas.front()), ranks = ranks_of(line, line.json);
  for (const Parsed& replica : replicas)
    if (ranks_of(line, replica) != each) line.refuse("is of replicas of different sizes");
  const int encoders = ranks - each * static_cast<int>(replicas.size());
  if (encoders < 0) line.refuse("\"replicas\" have more ranks than the run");
  if (mean("denoise") < kLeastDenoising) line.refuse("\"denoise\" takes no time");
  if (line.number(line.json, "coordinator_ms") > 1000 * kMostTimes * mean("denoise"))
    line.refuse(fmt::format("\"coordinator_ms\" is over {:g} times as long as \"denoise\"", kMostTimes));
  for (const char* stage : {"encode", "decode", "write", "transfer"})
    if (mean(stage) > kMostTimes * mean("denoise"))
      line.refuse(fmt::format("\"{}\" takes over {:g} times as long as \"denoise\"", stage, kMostTimes));
  const double pictures = line.number(line.json, "completed_images");
  if (!(pictures >= 1)) line.refuse("no request was completed");
  return {.encode = mean("encode"),
          .denoise = mean("denoise"),
          .decode = mean("decode"),
          .write = mean("write"),
          .transfer = mean("transfer"),
          .coordinator = line.number(line.json, "coordinator_ms") / 1000,
          .ranks = ranks,
          .ranks_per_replica = each,
          .encoders = std::max(1, encoders),
          .pictures_per_replica = pictures / static_cast<double>(replicas.size())};
}

}  // namespace

std::vector<LoadResults> read_results(const std::filesystem::path& file) {
  std::vector<LoadResults> all;
  each_line(file, [&](const Line& line) { add(all, results_of(line)); });
  return all;
}

MeasuredStages read_stages(const std::filesystem::path& result) {
  std::optional<MeasuredStages> last;
  each_line(result, [&](const Line& line) { last = stages_of(line); });
  return *last;
}

}  // namespace flux
