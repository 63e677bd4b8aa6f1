#include "runtime/interruptions.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "parallel/rank/device.h"
#include "runtime/device_memory.h"

namespace flux {
namespace {

TEST(Interruptions, CountsWarningsOfWaitsAndPassesOthersOn) {
  struct Other : c10::WarningHandler {
    void process(const c10::Warning&) override { ++heard; }
    int heard = 0;
  } other;
  const c10::WarningUtils::WarningHandlerGuard heard(&other);
  {
    const Interruptions interruptions(at::kCPU);
    TORCH_WARN("called a synchronizing CUDA operation");
    testing::internal::CaptureStderr();
    TORCH_WARN("something else");
    EXPECT_NE(testing::internal::GetCapturedStderr().find("something else"), std::string::npos);
    EXPECT_EQ(interruptions.waits(), 1);
    EXPECT_EQ(interruptions.allocations(), 0);
  }
  TORCH_WARN("called a synchronizing CUDA operation");
  EXPECT_EQ(other.heard, 1);
}

TEST(InterruptionsGpu, CountsWaitsAndMemoryThatIsNew) {
  if (visible_cards().empty()) GTEST_SKIP() << "no CUDA device";
  const at::Device card(at::kCUDA, 0);
  const at::Tensor ones = at::ones({4}, card);
  DeviceMemory(card).give_back();
  const Interruptions interruptions(card);
  const at::Tensor sum = ones.sum();
  EXPECT_EQ(interruptions.waits(), 0);
  EXPECT_EQ(sum.item<float>(), 4);
  EXPECT_GE(interruptions.waits(), 1);
  const at::Tensor large = at::empty({int64_t{1} << 30}, at::dtype(at::kByte).device(card));
  EXPECT_EQ(interruptions.allocations(), 1);
}

}  // namespace
}  // namespace flux
