#include "runtime/worker.h"

#include <gtest/gtest.h>

#include <chrono>

#include "runtime/messages.h"
#include "tests/parallel/ranks.h"
#include "tests/reference.h"

namespace flux {
namespace {

/// What a rank alone reports of the first of two prompts that it is told to encode with the demo.
void encode_alone(World& world, at::Device device, Encoded& encoded) {
  Placement placement;
  placement.ranks.resize(1);
  placement.ranks[0].encodes = true;
  placement.ranks[0].device = device;
  Worker worker(published(ModelFolder(source_folder() / "configs/demo")), placement, world);
  for (const auto& [request, prompt] : {std::pair(0, "a red circle"), std::pair(1, "a blue square")}) {
    Encode order{.request = request, .prompt = {}};
    order.prompt.prompt = prompt;
    order.prompt.num_inference_steps = 2;
    worker.put(order);
  }
  for (;;) {
    auto received = world.mailbox().receive(std::chrono::seconds(60));
    ASSERT_TRUE(received) << "nothing came within a minute";
    Message message = unpack(std::move(received->parcel));
    auto* report = std::get_if<Report>(&message);
    ASSERT_NE(report, nullptr);
    ASSERT_FALSE(std::holds_alternative<RankFailed>(*report)) << std::get<RankFailed>(*report).why;
    auto* found = std::get_if<Encoded>(report);
    if (found != nullptr && found->request == 1) return;
    if (found != nullptr) encoded = std::move(*found);
  }
}

TEST(Worker, EncodesForItself) {
  run_ranks(1, [](World& world) {
    Encoded encoded;
    encode_alone(world, at::kCPU, encoded);
    ASSERT_EQ(encoded.conditioning.branches.size(), 1);
    EXPECT_EQ(encoded.conditioning.branches.front().modulation.size(0), 2);  // steps
  });
}

TEST(WorkerGpu, WhatARankEncodesForItselfStaysOnItsCard) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  run_ranks(1, [](World& world) {
    Encoded on_card, on_host;
    encode_alone(world, {at::kCUDA, 0}, on_card);
    encode_alone(world, at::kCPU, on_host);
    const Branch &ours = on_card.conditioning.branches.at(0), &expected = on_host.conditioning.branches.at(0);
    for (const auto& [values, same] :
         {std::pair(ours.txt, expected.txt), std::pair(ours.modulation, expected.modulation)}) {
      EXPECT_TRUE(values.is_cuda());
      EXPECT_TRUE(at::allclose(values.cpu(), same, 1e-3, 1e-3));
    }
  });
}

}  // namespace
}  // namespace flux
