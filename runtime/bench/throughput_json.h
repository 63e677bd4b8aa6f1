#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/bench/throughput_result.h"
#include "runtime/options/throughput_options.h"
#include "runtime/record.h"

namespace flux {

/// What all waves of a run share.
struct ThroughputSetting {
  const ThroughputOptions& options;
  const RunFacts& facts;
  bool random_weights = false;
  int64_t warmup_requests = 0;
  const std::vector<int64_t>& peak_memory;  // bytes, by rank
  double coordinating = 0;                  // seconds a request
};

/// One wave's result, an object that bench compare reads. Times are seconds, on the coordinator's clock, which counts
/// milliseconds; percents are of the duration; null is what was not given, or is not known: latencies of no completed
/// request.
/// - benchmark ("throughput"), schema (1), time: what it is.
/// - scenario, request_rate, burstiness, max_concurrency, slo_ms, dataset, num_prompts, warmup_requests, pictures
///   ("dropped" or "written"), random_weights: what was asked for.
/// - duration, completed_requests, failed_requests, throughput_qps (completed requests a second), latency_mean,
///   latency_median, latency_p50, latency_p99, peak_memory_mb_max, peak_memory_mb_mean, peak_memory_mb_median: named as
///   SGLang's bench_serving does. The memory (MiB) is over ranks; peak_memory_of says whether "card" (what ATen took of
///   it) or "process" (its largest resident set, of ranks on CPUs).
/// - latency_p90, latency_p95, completed_images, images_per_hour, and slo_attainment: of all requests that have an SLO,
///   failed ones too, the part that kept it.
/// - cards: how many the ranks use; energy_joules: what all of them used, idle too and each counted once, as their
///   drivers count; energy_per_image_joules, mean_power_watts: by completed_images, by duration. null on CPUs, and
///   where a card's driver does not say.
/// - coordinator_ms: what a request costs the thread that coordinates, of its core, over all waves.
/// - stages: queue, encode, transfer, denoise, decode, write, each with mean, p50, p99; the six means add up to
///   latency_mean.
/// - ranks: rank, host, device, card, ... as in a journal, busy_percent (in any stage), encode_percent,
///   denoise_percent, decode_percent, peak_memory_mb, card_energy_joules: of its card, which ranks may share, or null.
/// - replicas: ranks, text_ranks, busy, idle, which add up to the duration, and idle_by_cause: no_request,
///   waiting_for_encoder, waiting_for_decoder, transfer, straggler, drain, which add up to idle.
/// - program, model, dtype, quantize, seed: as in a journal.
/// - requests, as they came: arrival, latency, the six stages, slo_ms, images, width, height, num_inference_steps,
///   replica; of one that failed error in place of latency and stages.
nlohmann::ordered_json throughput_json(const WaveResult& wave, std::optional<double> request_rate,
                                       const ThroughputSetting& setting);

/// The same for people, some lines.
std::string throughput_text(const nlohmann::ordered_json& result);

}  // namespace flux
