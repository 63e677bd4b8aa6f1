#pragma once

// What every transport's mailbox and groups do. Instantiated over threads and under mpirun.

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/parallel/collectives_suite.h"

namespace flux::collectives {

using namespace std::chrono_literals;

inline Received next(World& world) {
  std::optional<Received> received = world.mailbox().receive(60s);
  if (!received) throw std::runtime_error("nothing came");
  return std::move(*received);
}

class Mailboxes : public testing::TestWithParam<int> {};

TEST_P(Mailboxes, EveryDtypeAndShapeArrivesAsItWasSent) {
  run_ranks(GetParam(), [](World& world) {
    const std::vector<at::ScalarType> dtypes = {at::kByte,  at::kChar,   at::kShort,         at::kInt,
                                                at::kLong,  at::kBool,   at::kHalf,          at::kBFloat16,
                                                at::kFloat, at::kDouble, at::kFloat8_e4m3fn, at::kFloat8_e5m2};
    const std::vector<std::vector<int64_t>> shapes = {{}, {0}, {3, 0, 2}, {7}, {2, 3, 4, 5}};
    const auto tensors = [&](int from, int to) {
      std::vector<at::Tensor> all;
      for (at::ScalarType dtype : dtypes)
        for (const auto& shape : shapes) all.push_back(bytes_of(from, to, shape, dtype));
      return all;
    };
    for (int to = 0; to < world.size(); ++to)
      world.mailbox().send(to, {"from " + std::to_string(world.rank()), tensors(world.rank(), to)});
    std::vector<bool> heard(world.size());
    for (int turn = 0; turn < world.size(); ++turn) {
      const Received received = next(world);
      EXPECT_FALSE(heard.at(received.from));
      heard.at(received.from) = true;
      EXPECT_EQ(received.parcel.header, "from " + std::to_string(received.from));
      const std::vector<at::Tensor> expected = tensors(received.from, world.rank());
      ASSERT_EQ(received.parcel.tensors.size(), expected.size());
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(received.parcel.tensors[i].scalar_type(), expected[i].scalar_type());
        EXPECT_EQ(received.parcel.tensors[i].sizes(), expected[i].sizes());
        EXPECT_TRUE(at::equal(raw(received.parcel.tensors[i]), raw(expected[i])));
      }
    }
  });
}

TEST_P(Mailboxes, HeadersMayBeEmptyOrHoldAnyBytes) {
  run_ranks(GetParam(), [](World& world) {
    const int to = (world.rank() + 1) % world.size();
    const std::vector<std::string> headers = {"", std::string("\0\xff\n", 3), std::string(300'000, 'x'),
                                              std::string(3'000'000, 'y'), "after"};
    for (const std::string& header : headers) world.mailbox().send(to, {header, {}});
    for (const std::string& header : headers) EXPECT_TRUE(next(world).parcel.header == header) << header.size();
  });
}

TEST_P(Mailboxes, MessagesOfOneRankKeepTheirOrder) {
  run_ranks(GetParam(), [](World& world) {
    constexpr int kMessages = 400;
    for (int i = 0; i < kMessages; ++i)
      for (int to = 0; to < world.size(); ++to) {
        // Large ones travel otherwise than small ones, and must not be overtaken.
        const int64_t size = i % 50 == 0 ? 200'000 : i % 3;
        world.mailbox().send(to, {std::to_string(i), {at::full({size}, i, at::kInt)}});
      }
    std::vector<int> expected(world.size());
    for (int i = 0; i < kMessages * world.size(); ++i) {
      const Received received = next(world);
      EXPECT_EQ(received.parcel.header, std::to_string(expected.at(received.from)));
      EXPECT_TRUE(received.parcel.tensors.at(0).eq(expected.at(received.from)++).all().item<bool>());
    }
  });
}

TEST_P(Mailboxes, SeveralThreadsSend) {
  run_ranks(GetParam(), [](World& world) {
    {
      std::vector<std::jthread> senders;
      for (int sender = 0; sender < 4; ++sender)
        senders.emplace_back([&world, sender] {
          for (int i = 0; i < 50; ++i) world.mailbox().send(0, {std::to_string(sender), {at::full({5}, i)}});
        });
    }
    std::map<std::pair<int, std::string>, int> expected;
    for (int i = 0; world.rank() == 0 && i < 200 * world.size(); ++i) {
      const Received received = next(world);
      EXPECT_EQ(received.parcel.tensors.at(0)[0].item<int>(), (expected[{received.from, received.parcel.header}]++));
    }
  });
}

TEST_P(Mailboxes, ReceiveReturnsNothingAfterItsPatience) {
  run_ranks(GetParam(), [](World& world) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(world.mailbox().receive(50ms).has_value());
    EXPECT_GE(std::chrono::steady_clock::now() - start, 50ms);
  });
}

TEST_P(Mailboxes, OneselfGetsTheTensorUntouched) {
  run_ranks(GetParam(), [](World& world) {
    const at::Tensor tensor = at::zeros({4});
    world.mailbox().send(world.rank(), {"", {tensor}});
    EXPECT_TRUE(next(world).parcel.tensors.at(0).is_same(tensor));
  });
}

TEST_P(Mailboxes, MessagesPassWhileCollectivesAreUnderWay) {
  run_ranks(GetParam(), [](World& world) {
    const auto group = everybody(world);
    for (int call = 0; call < 20; ++call) {
      world.mailbox().send((world.rank() + 1) % world.size(), {std::to_string(call), {at::full({50'000}, call)}});
      gather(*group, at::kCPU, repeated(3, world.size()), {1000}, at::kFloat, call);
      EXPECT_EQ(next(world).parcel.header, std::to_string(call));
    }
  });
}

class Worlds : public testing::TestWithParam<int> {};

TEST_P(Worlds, ExchangeGivesEverybodysString) {
  run_ranks(GetParam(), [](World& world) {
    for (int turn = 0; turn < 3; ++turn) {
      const auto text = [&](int rank) {
        return std::string((rank * 1000 + turn) % 2500, static_cast<char>('a' + rank));
      };
      const std::vector<std::string> all = world.exchange(text(world.rank()));
      ASSERT_EQ(static_cast<int>(all.size()), world.size());
      for (int rank = 0; rank < world.size(); ++rank) EXPECT_EQ(all[rank], text(rank));
    }
  });
}

TEST_P(Worlds, GroupsOfAnyRanksInAnyOrderWorkSideBySide) {
  run_ranks(GetParam(), [](World& world) {
    const Transport transport = world_of_this_process() ? Transport::mpi : Transport::thread;
    std::vector<int> backwards, even;
    for (int rank = world.size() - 1; rank >= 0; --rank) backwards.push_back(rank);
    for (int rank = 0; rank < world.size(); rank += 2) even.push_back(rank);
    const auto reversed = world.group(backwards, transport, at::kCPU);
    EXPECT_EQ(reversed->rank(), world.size() - 1 - world.rank());
    std::unique_ptr<Communicator> half;
    if (world.rank() % 2 == 0) half = world.group(even, transport, at::kCPU);
    const auto alone = world.group({world.rank()}, transport, at::kCPU);
    const auto again = world.group(backwards, transport, at::kCPU);
    for (int call = 0; call < 5; ++call) {
      gather(*reversed, at::kCPU, repeated(2, world.size()), {3}, at::kFloat, call);
      if (half) gather(*half, at::kCPU, repeated(1, half->size()), {3}, at::kFloat, call);
      gather(*alone, at::kCPU, {4}, {3}, at::kFloat, call);
      gather(*again, at::kCPU, repeated(1, world.size()), {}, at::kLong, call);
    }
  });
}

TEST_P(Worlds, AGroupThatIsNoneIsRefused) {
  run_ranks(GetParam(), [](World& world) {
    const Transport transport = world_of_this_process() ? Transport::mpi : Transport::thread;
    EXPECT_THROW(world.group({world.rank(), world.rank()}, transport, at::kCPU), std::invalid_argument);
    EXPECT_THROW(world.group({world.rank(), world.size()}, transport, at::kCPU), std::invalid_argument);
    EXPECT_THROW(world.group({(world.rank() + 1) % 7 + 7}, transport, at::kCPU), std::invalid_argument);
  });
}

TEST_P(Worlds, AnAbortedGroupWakesItsRanksAndLeavesTheWorldAlive) {
  run_ranks(GetParam(), [](World& world) {
    const auto group = everybody(world);
    const auto spare = everybody(world);
    if (world.rank() == world.size() - 1) {
      group->abort("out of paint");
    } else {
      const at::Tensor value = at::zeros({3});
      try {
        group->reduce(value).wait();
        ADD_FAILURE() << "rank " << world.rank() << " was not woken";
      } catch (const Aborted& error) {
        EXPECT_THAT(error.what(),
                    testing::HasSubstr("reduce: rank " + std::to_string(world.size() - 1) + ": out of paint"));
      }
    }
    gather(*spare, at::kCPU, repeated(1, world.size()), {2}, at::kFloat);
  });
}

TEST_P(Worlds, AReasonOfAnyLengthArrivesWhole) {
  run_ranks(GetParam(), [](World& world) {
    const auto group = everybody(world);
    const std::string why(2'000'000, 'w');
    if (world.rank() == 0) group->abort(why);
    try {
      const at::Tensor value = at::zeros({3});
      if (world.rank() != 0) group->reduce(value).wait();
    } catch (const Aborted& error) {
      EXPECT_EQ(std::string_view(error.what()), "reduce: rank 0: " + why);
    }
    if (world.size() > 1 && world.rank() != 0) {
      EXPECT_THROW(group->broadcast(at::zeros({1}), 0).wait(), Aborted);
    }
  });
}

}  // namespace flux::collectives
