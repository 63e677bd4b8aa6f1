#include "runtime/bench/arrivals.h"

#include <cmath>
#include <random>

namespace flux {

std::vector<std::chrono::milliseconds> arrivals(int64_t count, double rate, double burstiness, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::gamma_distribution<double> between(burstiness, 1);
  std::vector<double> drawn;
  double last = 0;
  for (int64_t i = 0; i < count; ++i) {
    drawn.push_back(last);
    if (i + 1 < count) last += between(random);
  }
  const double seconds = last > 0 ? static_cast<double>(count - 1) / rate / last : 0;  // of what was drawn as 1
  std::vector<std::chrono::milliseconds> times;
  times.reserve(drawn.size());
  for (double time : drawn) times.emplace_back(std::llround(time * seconds * 1000));
  return times;
}

}  // namespace flux
