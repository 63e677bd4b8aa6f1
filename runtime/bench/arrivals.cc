#include "runtime/bench/arrivals.h"

#include <cmath>
#include <random>

namespace flux {

std::vector<std::chrono::milliseconds> arrivals(int64_t count, double rate, double burstiness, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::gamma_distribution<double> between(burstiness, 1 / (rate * burstiness));
  std::vector<std::chrono::milliseconds> times;
  double seconds = 0;
  for (int64_t i = 0; i < count; ++i) {
    times.emplace_back(std::llround(seconds * 1000));
    seconds += between(random);
  }
  return times;
}

}  // namespace flux
