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
};

/// One wave's result, an object that bench compare reads. Times are seconds, fractions and percents of the duration.
///   benchmark "throughput", schema 1, time                        what it is
///   scenario, request_rate, burstiness, max_concurrency, slo_ms, dataset, num_prompts, warmup_requests, pictures
///     ("dropped" or "written"), random_weights                    what was asked for; null: not given
///   duration, completed_requests, failed_requests, throughput_qps (completed requests a second), latency_mean,
///   latency_median, latency_p50, latency_p99, peak_memory_mb_max, peak_memory_mb_mean, peak_memory_mb_median
///     as SGLang's bench_serving has them; the memory (MiB) is over ranks: peak_memory_of says whether "card" (what
///     ATen took of it) or "process" (its largest resident set: of ranks on CPUs)
///   latency_p90, latency_p95, slo_attainment (of all requests that have an SLO, failed ones
///   too), completed_images, images_per_hour
///   stages     queue, encode, transfer, denoise, decode, write, each with mean, p50, p99; the six means are
///   latency_mean ranks      rank, host, device, card, ..., busy_percent (in any stage), encode_, denoise_,
///   decode_percent,
///              peak_memory_mb
///   replicas   ranks, busy, idle, and idle_by_cause: no_request, waiting_for_encoder, waiting_for_decoder, transfer,
///              straggler, drain, which are idle; busy and idle are the duration
///   program, model, dtype, quantize, seed                         as in a journal
///   requests   in the order of their arrivals: arrival, latency, the six stages, slo_ms, images, width, height,
///              num_inference_steps, replica; of one that failed error in place of latency and stages
/// Of no completed requests, latencies are null.
nlohmann::ordered_json throughput_json(const WaveResult& wave, std::optional<double> request_rate,
                                       const ThroughputSetting& setting);

/// The same for people, some lines.
std::string throughput_text(const nlohmann::ordered_json& result);

}  // namespace flux
