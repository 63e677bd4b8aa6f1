#include "runtime/bench/throughput_json.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "model/dtype_name.h"
#include "runtime/journal.h"
#include "runtime/json_line.h"

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

constexpr double mib = 1 << 20;

struct NamedPart {
  const char* name;
  double Split::* seconds;
};
constexpr std::array<NamedPart, 6> parts = {{{"queue", &Split::queue},
                                             {"encode", &Split::encode},
                                             {"transfer", &Split::transfer},
                                             {"denoise", &Split::denoise},
                                             {"decode", &Split::decode},
                                             {"write", &Split::write}}};

struct NamedCause {
  const char* name;
  double ReplicaUse::* seconds;
};
constexpr std::array<NamedCause, 6> causes = {{{"no_request", &ReplicaUse::no_request},
                                               {"waiting_for_encoder", &ReplicaUse::waiting_for_encoder},
                                               {"waiting_for_decoder", &ReplicaUse::waiting_for_decoder},
                                               {"transfer", &ReplicaUse::transfer},
                                               {"straggler", &ReplicaUse::straggler},
                                               {"drain", &ReplicaUse::drain}}};

/// JSON has no NaN.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

template <typename Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

std::vector<double> of_completed(const WaveResult& wave, const auto& value) {
  std::vector<double> values;
  for (const RequestResult& request : wave.requests)
    if (request.error.empty()) values.push_back(value(request));
  return values;
}

Json asked_for(const ThroughputSetting& setting, std::optional<double> request_rate, size_t requests) {
  const ThroughputOptions& options = setting.options;
  const bool server = request_rate.has_value();
  return {{"scenario", scenario_name(options.scenario)},
          {"request_rate", or_null(request_rate)},
          {"burstiness", server ? Json(options.burstiness) : Json()},
          {"max_concurrency", or_null(options.max_concurrency)},
          {"slo_ms", options.slo ? Json(options.slo->count()) : Json()},
          {"dataset", options.dataset},
          {"num_prompts", requests},
          {"warmup_requests", setting.warmup_requests},
          {"pictures", options.output_dir.empty() ? "dropped" : "written"},
          {"random_weights", setting.random_weights}};
}

Json latencies(const WaveResult& wave) {
  const std::vector<double> all = of_completed(wave, [](const RequestResult& request) { return request.latency; });
  Json json = {{"latency_mean", number(mean(all))}, {"latency_median", number(percentile(all, 0.5))}};
  for (const int percent : {50, 90, 95, 99})
    json[fmt::format("latency_p{}", percent)] = number(percentile(all, percent / 100.0));
  return json;
}

Json peak_memory(const ThroughputSetting& setting) {
  std::vector<double> all;
  for (int64_t bytes : setting.peak_memory) all.push_back(static_cast<double>(bytes) / mib);
  const bool on_cpus = setting.facts.placement.ranks.front().device.is_cpu();
  return {{"peak_memory_mb_max", number(percentile(all, 1))},
          {"peak_memory_mb_mean", number(mean(all))},
          {"peak_memory_mb_median", number(percentile(all, 0.5))},
          {"peak_memory_of", on_cpus ? "process" : "card"}};
}

/// Of the requests that have a latency to keep.
Json slo_attainment(const WaveResult& wave) {
  const auto has_one = [](const RequestResult& request) { return request.slo.has_value(); };
  const auto kept = [&](const RequestResult& request) {
    return has_one(request) && request.error.empty() && request.latency <= *request.slo;
  };
  return number(static_cast<double>(std::ranges::count_if(wave.requests, kept)) /
                static_cast<double>(std::ranges::count_if(wave.requests, has_one)));
}

/// `drawn`: pictures.
Json energy(const WaveResult& wave, double drawn, const Placement& placement) {
  const std::optional<double> joules = energy_of_cards(placement, wave.energy);
  const auto by = [&](double value) { return joules ? number(*joules / value) : Json(); };
  return {{"cards", card_count(placement)},
          {"energy_joules", or_null(joules)},
          {"energy_per_image_joules", by(drawn)},
          {"mean_power_watts", by(wave.duration)}};
}

/// SGLang's keys, and those beside them.
Json totals(const WaveResult& wave, const ThroughputSetting& setting) {
  const auto completed = of_completed(wave, [](const RequestResult& request) { return request.latency; });
  const auto images =
      of_completed(wave, [](const RequestResult& request) { return static_cast<double>(request.pictures); });
  const double drawn = images.empty() ? 0 : mean(images) * static_cast<double>(images.size());
  Json json = {{"duration", wave.duration},
               {"completed_requests", completed.size()},
               {"failed_requests", wave.requests.size() - completed.size()},
               {"throughput_qps", number(static_cast<double>(completed.size()) / wave.duration)}};
  json.update(latencies(wave));
  json.update(peak_memory(setting));
  json["slo_attainment"] = slo_attainment(wave);
  json["completed_images"] = std::llround(drawn);
  json["images_per_hour"] = number(3600 * drawn / wave.duration);
  json["coordinator_ms"] = number(1000 * setting.coordinating);
  json.update(energy(wave, drawn, setting.facts.placement));
  return json;
}

Json stages(const WaveResult& wave) {
  Json json;
  for (const auto& [name, seconds] : parts) {
    const std::vector<double> all =
        of_completed(wave, [part = seconds](const RequestResult& request) { return request.split.*part; });
    json[name] = {
        {"mean", number(mean(all))}, {"p50", number(percentile(all, 0.5))}, {"p99", number(percentile(all, 0.99))}};
  }
  return json;
}

/// `of_journal`: the journal's rows.
Json ranks(Json of_journal, const WaveResult& wave, const ThroughputSetting& setting) {
  for (size_t rank = 0; rank < of_journal.size(); ++rank) {
    const RankUse& use = wave.ranks[rank];
    const auto percent = [&](double seconds) { return number(100 * seconds / wave.duration); };
    of_journal[rank].update({{"busy_percent", percent(use.busy)},
                             {"encode_percent", percent(use.encode)},
                             {"denoise_percent", percent(use.denoise)},
                             {"decode_percent", percent(use.decode)},
                             {"peak_memory_mb", static_cast<double>(setting.peak_memory[rank]) / mib},
                             {"card_energy_joules", or_null(wave.energy.at(rank))}});
  }
  return of_journal;
}

Json replicas(Json of_journal, const WaveResult& wave) {
  for (size_t replica = 0; replica < of_journal.size(); ++replica) {
    const ReplicaUse& use = wave.replicas[replica];
    double idle = 0;
    Json by_cause;
    for (const auto& [name, seconds] : causes) {
      by_cause[name] = use.*seconds;
      idle += use.*seconds;
    }
    of_journal[replica].update({{"busy", use.busy}, {"idle", idle}, {"idle_by_cause", by_cause}});
  }
  return of_journal;
}

Json request_json(const RequestResult& request) {
  Json json = {{"arrival", request.arrival}};
  if (request.error.empty()) {
    json["latency"] = request.latency;
    for (const auto& [name, seconds] : parts) json[name] = request.split.*seconds;
  } else {
    json["error"] = request.error;
  }
  if (request.slo) json["slo_ms"] = 1000 * *request.slo;
  json.update({{"images", request.pictures},
               {"width", request.width},
               {"height", request.height},
               {"num_inference_steps", request.steps},
               {"replica", request.replica}});
  return json;
}

/// `digits`: behind the point.
std::string shown(const Json& value, int digits) {
  return value.is_null() ? "-" : fmt::format("{:.{}f}", value.get<double>(), digits);
}

std::string seconds_text(const Json& value) { return shown(value, 3) + " s"; }

std::string of_cards(int cards) { return cards == 1 ? "one card" : fmt::format("{} cards", cards); }

std::string of_asked(const Json& result) {
  std::string text = result["scenario"].get<std::string>();
  if (!result["request_rate"].is_null())
    text += fmt::format(", {:g} requests a second", result["request_rate"].get<double>());
  if (!result["max_concurrency"].is_null()) text += fmt::format(", {} at a time", result["max_concurrency"].get<int>());
  return text;
}

}  // namespace

Json throughput_json(const WaveResult& wave, std::optional<double> request_rate, const ThroughputSetting& setting) {
  const Json journal = Json::parse(run_line(setting.facts, 0));
  Json json = {{"benchmark", "throughput"}, {"schema", 1}, {"time", utc_now()}};
  json.update(asked_for(setting, request_rate, wave.requests.size()));
  json.update(totals(wave, setting));
  json["stages"] = stages(wave);
  json["ranks"] = ranks(journal["ranks"], wave, setting);
  json["replicas"] = replicas(journal["replicas"], wave);
  for (const char* key : {"program", "model", "dtype", "quantize", "seed"}) json[key] = journal[key];
  json["requests"] = Json::array();
  for (const RequestResult& request : wave.requests) json["requests"].push_back(request_json(request));
  return json;
}

std::string throughput_text(const Json& result) {
  std::string text = fmt::format("{}: {} of {} requests in {}, {} a second, {} pictures an hour\n", of_asked(result),
                                 result["completed_requests"].get<int64_t>(), result["num_prompts"].get<int64_t>(),
                                 seconds_text(result["duration"]), shown(result["throughput_qps"], 3),
                                 shown(result["images_per_hour"], 0));
  text += fmt::format("  latency   mean {}  p50 {}  p90 {}  p95 {}  p99 {}\n", seconds_text(result["latency_mean"]),
                      seconds_text(result["latency_p50"]), seconds_text(result["latency_p90"]),
                      seconds_text(result["latency_p95"]), seconds_text(result["latency_p99"]));
  if (!result["slo_attainment"].is_null())
    text += fmt::format("  within the SLO: {:.1f} %\n", 100 * result["slo_attainment"].get<double>());
  for (const auto& [name, stage] : result["stages"].items())
    text += fmt::format("  {:<9} mean {}  p50 {}  p99 {}\n", name, seconds_text(stage["mean"]),
                        seconds_text(stage["p50"]), seconds_text(stage["p99"]));
  if (!result["energy_joules"].is_null())
    text += fmt::format("  energy    {} J a picture: {} J of {}, {} W on average\n",
                        shown(result["energy_per_image_joules"], 1), shown(result["energy_joules"], 0),
                        of_cards(result["cards"].get<int>()), shown(result["mean_power_watts"], 0));
  text += fmt::format("  coordinator {} ms a request\n", shown(result["coordinator_ms"], 2));
  for (const Json& rank : result["ranks"])
    text += fmt::format("  rank {:<4} {} {}  busy {} %, {:.0f} MiB of its {} at most\n", rank["rank"].get<int>(),
                        rank["host"].get<std::string>(), rank.value("card", "cpu"), shown(rank["busy_percent"], 1),
                        rank["peak_memory_mb"].get<double>(), result["peak_memory_of"].get<std::string>());
  for (size_t number = 0; number < result["replicas"].size(); ++number) {
    const Json& replica = result["replicas"][number];
    text += fmt::format("  replica {} idle {:.3f} s:", number, replica["idle"].get<double>());
    for (const auto& [cause, seconds] : replica["idle_by_cause"].items())
      text += fmt::format(" {} {:.3f}", cause, seconds.get<double>());
    text += '\n';
  }
  return text;
}

}  // namespace flux
