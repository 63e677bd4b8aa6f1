#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace flux {

/// When requests come, from the first on, which comes at once. The times between them are gamma distributed with shape
/// `burstiness`, so their standard deviation is their mean / sqrt(burstiness): 1 is a Poisson process, less comes in
/// bursts, more is more even. Their mean is 1 / rate (requests a second), of few requests too: all are scaled so, as
/// vLLM's bench does it, or what is offered would be another load than was asked for.
std::vector<std::chrono::milliseconds> arrivals(int64_t count, double rate, double burstiness, uint64_t seed);

}  // namespace flux
