#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/parallel/ranks.h"

namespace flux {
namespace {

/// More bytes than an int counts, so more than one MPI message holds.
TEST(LargeMessage, OfMoreThanTwoGibibytesArrives) {
  const int64_t size = (int64_t{1} << 31) + 12345;
  World& world = *world_of_this_process();
  if (world.size() != 2) GTEST_SKIP() << "two ranks are enough";
  const bool room = sysconf(_SC_AVPHYS_PAGES) * sysconf(_SC_PAGESIZE) > 3 * size;
  for (const std::string& theirs : world.exchange(room ? "room" : ""))
    if (theirs.empty()) GTEST_SKIP() << "less than " << 3 * size << " bytes of memory are free";
  run_ranks(2, [&](World& here) {
    const std::vector<int64_t> places = {0, 1, (int64_t{1} << 26) - 1, int64_t{1} << 26, int64_t{1} << 31, size - 1};
    if (here.rank() == 0) {
      const at::Tensor large = at::zeros({size}, at::kByte);
      for (size_t i = 0; i < places.size(); ++i) large[places[i]] = static_cast<int64_t>(i + 1);
      here.mailbox().send(1, {"large", {large, at::full({3}, 7)}});
      return;
    }
    const auto received = here.mailbox().receive(std::chrono::minutes(2));
    ASSERT_TRUE(received.has_value());
    const at::Tensor large = received->parcel.tensors.at(0);
    ASSERT_EQ(large.numel(), size);
    for (size_t i = 0; i < places.size(); ++i) EXPECT_EQ(large[places[i]].item<int64_t>(), static_cast<int64_t>(i + 1));
    EXPECT_EQ(at::count_nonzero(large).item<int64_t>(), static_cast<int64_t>(places.size()));
    EXPECT_EQ(received->parcel.tensors.at(1)[2].item<int64_t>(), 7);
  });
}

}  // namespace
}  // namespace flux
