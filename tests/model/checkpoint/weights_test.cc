#include "model/checkpoint/weights.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <memory>

#include "tests/model/checkpoint/held.h"

namespace flux {
namespace {

/// As a stage reads them: what it reads into is an inference tensor, which only threads in that mode may write.
TEST(Weights, AreReadByAllThreadsOfAStage) {
  const c10::InferenceMode no_gradients;
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  const at::Tensor values = at::randn({64, 1 << 15});  // 8 MiB, of which a thread reads 1 or more
  const Weights weights(std::make_shared<Held>(std::map<std::string, at::Tensor, std::less<>>{{"a.weight", values}}),
                        {at::kCPU, at::kFloat});
  const at::Tensor into = at::zeros(values.sizes());
  weights.read("a.weight", into);
  EXPECT_TRUE(at::equal(into, values));
  at::set_num_threads(threads);
}

}  // namespace
}  // namespace flux
