#include "runtime/bench/arrivals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace flux {
namespace {

constexpr int64_t count = 20'000;
constexpr double rate = 0.01;  // a second: milliseconds do not show

/// Seconds.
std::vector<double> times_between(double burstiness) {
  const auto times = arrivals(count + 1, rate, burstiness, 7);
  EXPECT_EQ(times.front().count(), 0);
  std::vector<double> between;
  for (size_t i = 1; i < times.size(); ++i)
    between.push_back(static_cast<double>((times[i] - times[i - 1]).count()) / 1000);
  return between;
}

class Arrivals : public testing::TestWithParam<double> {};

TEST_P(Arrivals, HaveTheMeanAndTheVarianceOfAGammaDistribution) {
  const double shape = GetParam();
  const std::vector<double> between = times_between(shape);
  const double mean = std::accumulate(between.begin(), between.end(), 0.0) / count;
  double squares = 0;
  for (double time : between) squares += (time - 1 / rate) * (time - 1 / rate);
  const double variance = 1 / (rate * rate * shape), kurtosis = 3 + 6 / shape;
  EXPECT_NEAR(mean, 1 / rate, 1e-6);
  EXPECT_NEAR(squares / count, variance, 3 * variance * std::sqrt((kurtosis - 1) / count));
}

INSTANTIATE_TEST_SUITE_P(Burstiness, Arrivals, testing::Values(0.25, 1, 9));

TEST(Arrivals, OfBurstinessOneAreAPoissonProcess) {
  std::vector<double> between = times_between(1);
  std::ranges::sort(between);
  double largest = 0;  // Kolmogorov and Smirnov's distance to the exponential distribution
  for (size_t i = 0; i < between.size(); ++i)
    largest = std::max(largest, std::abs(1 - std::exp(-rate * between[i]) - (static_cast<double>(i) + 0.5) / count));
  EXPECT_LT(largest, 1.63 / std::sqrt(count)) << "more than one sample of a hundred has";
}

TEST(Arrivals, OfferTheRateThatIsAskedForOfFewRequestsToo) {
  for (const uint64_t seed : {1, 2, 3}) EXPECT_EQ(arrivals(12, 2, 1, seed).back().count(), 5500);
  EXPECT_EQ(arrivals(1, 2, 1, 1).size(), 1u);
}

TEST(Arrivals, FollowTheSeed) {
  EXPECT_EQ(arrivals(50, 2, 1, 3), arrivals(50, 2, 1, 3));
  EXPECT_NE(arrivals(50, 2, 1, 3), arrivals(50, 2, 1, 4));
}

}  // namespace
}  // namespace flux
