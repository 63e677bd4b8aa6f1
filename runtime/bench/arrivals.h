#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace flux {

/// When requests come, from the first on, which comes at once. The times between them are gamma distributed with mean
/// 1 / rate (requests a second) and shape `burstiness`, so their standard deviation is 1 / (rate * sqrt(burstiness)):
/// 1 is a Poisson process, less comes in bursts, more is more even. vLLM's bench_serving draws them so.
std::vector<std::chrono::milliseconds> arrivals(int64_t count, double rate, double burstiness, uint64_t seed);

}  // namespace flux
