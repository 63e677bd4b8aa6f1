#include "runtime/bench/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "parallel/rank/errors.h"
#include "tests/runtime/options/scratch_folder.h"

namespace flux {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

LoadResults exponential(size_t count, double scale, unsigned seed) {
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> of(1 / scale);
  LoadResults results{"offline", {}, {}};
  while (results.gaps.size() < count) {
    results.latencies.push_back(of(random));
    results.gaps.push_back(of(random));
  }
  return results;
}

const Warn silent = [](const std::string&) {};

TEST(Comparison, OfTwiceTheLatenciesIsTwo) {
  const LoadResults one = exponential(300, 1, 1);
  LoadResults other = one;
  for (double& latency : other.latencies) latency *= 2;
  const auto ratios = compare({one}, {other}, silent).front().ratios;
  ASSERT_EQ(ratios.size(), 3u);
  EXPECT_NEAR(ratios[0].ratio, 2, 1e-9);
  EXPECT_NEAR(ratios[1].ratio, 2, 1e-9);
  EXPECT_NEAR(ratios[2].ratio, 1, 1e-9);
  for (const Ratio& ratio : ratios) {
    EXPECT_LT(ratio.low, ratio.ratio);
    EXPECT_GT(ratio.high, ratio.ratio);
  }
}

TEST(Comparison, HasIntervalsAsWideAsTheLawOfLargeNumbersSays) {
  const size_t count = 400;
  const Ratio throughput = compare({exponential(count, 1, 2)}, {exponential(count, 1, 3)}, silent).front().ratios[2];
  // The logarithm of a mean of exponentials has a standard deviation of 1 / sqrt(count).
  const double expected = 2 * 1.96 * std::sqrt(2.0 / count);
  EXPECT_NEAR(std::log(throughput.high / throughput.low), expected, 0.15 * expected);
}

TEST(Comparison, HoldsTheTruthNineteenTimesOfTwenty) {
  int held = 0;
  constexpr int trials = 100;
  for (int trial = 0; trial < trials; ++trial) {
    const Ratio ratio = compare({exponential(100, 1, 2 * trial + 10)}, {exponential(100, 1.5, 2 * trial + 11)}, silent)
                            .front()
                            .ratios[2];
    held += ratio.low <= 1 / 1.5 && 1 / 1.5 <= ratio.high ? 1 : 0;
  }
  EXPECT_NEAR(held, 0.95 * trials, 3 * std::sqrt(trials * 0.95 * 0.05) + 4);  // the bootstrap's own error
}

TEST(Comparison, IsOfTheSameLoadAlone) {
  LoadResults one = exponential(10, 1, 1), other = one;
  other.load = "server";
  std::vector<std::string> said;
  EXPECT_EQ(compare({one, other}, {one}, [&](const std::string& text) { said.push_back(text); }).size(), 1u);
  EXPECT_THAT(said, testing::ElementsAre("only in the first file, and not compared: server"));
  EXPECT_THROW(compare({one}, {other}, silent), Invalid);
}

class Results : public testing::Test {
 protected:
  std::string problem(const std::string& content) const {
    const auto file = folder.write("a.jsonl", content);
    try {
      read_results(file);
    } catch (const Invalid& error) {
      return error.what();
    }
    return "read";
  }

  /// A line of results with `change` in place of `of`.
  static std::string line(const std::string& of = "", const std::string& change = "") {
    std::string text =
        R"({"benchmark": "throughput", "schema": 1, "scenario": "server", "request_rate": 2, "burstiness": 1, )"
        R"("max_concurrency": null, "dataset": "/a/demo.txt", "requests": [)"
        R"({"arrival": 0, "latency": 2.5, "width": 64, "height": 32, "num_inference_steps": 4}, )"
        R"({"arrival": 1, "latency": 0.5, "width": 64, "height": 32, "num_inference_steps": 4}, )"
        R"({"arrival": 1, "error": "no", "width": 64, "height": 32, "num_inference_steps": 4}]})";
    if (!of.empty()) text.replace(text.find(of), of.size(), change);
    return text + "\n";
  }

  ScratchFolder folder;
};

TEST_F(Results, AreReadAndThoseOfTheSameLoadPooled) {
  const auto all = read_results(folder.write("a.jsonl", line() + "\n" + line() + line("64", "128")));
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].load, "server, 2 a second, burstiness 1, demo.txt, 64 x 32 in 4 steps");
  EXPECT_THAT(all[0].latencies, testing::ElementsAre(2.5, 0.5, 2.5, 0.5));
  EXPECT_THAT(all[0].gaps, testing::ElementsAre(1.5, 1, 1.5, 1));
  EXPECT_THAT(all[1].load, HasSubstr("128 x 32 in 4 steps and 64 x 32 in 4 steps"));
}

TEST_F(Results, ThatAreBrokenAreNamed) {
  EXPECT_THAT(problem(""), HasSubstr("holds no results"));
  EXPECT_THAT(problem("\n{"), HasSubstr("a.jsonl:2"));
  EXPECT_THAT(problem("[1]\n"), HasSubstr("a.jsonl:1"));
  EXPECT_THAT(problem("{}\n"), EndsWith("a.jsonl:1: \"benchmark\" is missing"));
  EXPECT_THAT(problem(line("throughput", "step")), EndsWith("is no result of bench throughput"));
  EXPECT_THAT(problem(line("\"schema\": 1", "\"schema\": 2")), HasSubstr("of another version"));
  EXPECT_THAT(problem(line() + line("2.5", "\"fast\"")), EndsWith("a.jsonl:2: \"latency\" is no number"));
  EXPECT_THAT(problem(line("2.5", "-1")), HasSubstr("\"latency\" is -1"));
  EXPECT_THAT(problem(line("2.5", "1e300")), HasSubstr("\"latency\" is 1e+300"));
  EXPECT_THAT(problem(line("\"requests\": [", "\"requests\": [7, ")), EndsWith("is missing"));
  EXPECT_THAT(problem(line("[{\"arrival\": 0, \"latency\": 2.5", "[{\"arrival\": 0, \"error\": 1")), EndsWith("read"));
  EXPECT_THAT(problem(R"({"benchmark": "throughput", "schema": 1, "scenario": "offline", "request_rate": null, )"
                      R"("burstiness": null, "max_concurrency": null, "dataset": "random", "requests": []})"),
              EndsWith("no request was completed"));
}

}  // namespace
}  // namespace flux
