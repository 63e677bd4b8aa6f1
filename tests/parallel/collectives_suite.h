#pragma once

// What every transport's collectives do. Instantiated over threads, under mpirun and over NCCL.

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "parallel/rank/errors.h"
#include "tests/parallel/ranks.h"

namespace flux::collectives {

using Group = Communicator&;

/// A transport under test, and where its tensors are.
struct Setting {
  std::function<at::Device(const World&)> device;
  std::function<std::unique_ptr<Communicator>(World&, at::Device)> group;
  std::function<std::string(int ranks)> obstacle;  // why so many ranks cannot be had here; empty if they can
};

inline void PrintTo(const Setting&, std::ostream*) {}

/// Bytes that differ by rank, position and call, in any dtype.
inline at::Tensor bytes_of(int rank, int64_t call, at::IntArrayRef sizes, at::ScalarType dtype) {
  const int64_t count = c10::multiply_integers(sizes) * static_cast<int64_t>(c10::elementSize(dtype));
  const at::Tensor bytes = (at::arange(count, at::kLong) * 7 + rank * 31 + call * 13).remainder(251).to(at::kByte);
  return count == 0 ? at::empty(sizes, dtype) : bytes.view(dtype).view(sizes);
}

inline at::Tensor raw(const at::Tensor& tensor) {
  const at::Tensor here = tensor.cpu().contiguous();
  return here.numel() == 0 ? at::empty({0}, at::kByte) : here.flatten().view(at::kByte);
}

/// Gathers `rows` rows of shape `row` and compares with what every rank must then hold.
inline void gather(Group group, at::Device device, std::vector<int64_t> rows, std::vector<int64_t> row,
                   at::ScalarType dtype, int64_t call = 0) {
  std::vector<at::Tensor> parts;
  std::vector<int64_t> sizes = row;
  sizes.insert(sizes.begin(), 0);
  for (int rank = 0; rank < group.size(); ++rank) {
    sizes[0] = rows[rank];
    parts.push_back(raw(bytes_of(rank, call, sizes, dtype)));
  }
  sizes[0] = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  const at::Tensor all = group.buffer(sizes, at::TensorOptions(device).dtype(dtype));
  const int64_t first = std::accumulate(rows.begin(), rows.begin() + group.rank(), int64_t{0});
  sizes[0] = rows[group.rank()];
  all.narrow(0, first, rows[group.rank()]).copy_(bytes_of(group.rank(), call, sizes, dtype));
  group.all_gather(all, rows).wait();
  EXPECT_TRUE(at::equal(raw(all), at::cat(parts))) << "rank " << group.rank() << ", dtype " << dtype;
}

inline std::vector<int64_t> repeated(int64_t value, int times) { return std::vector<int64_t>(times, value); }

class Collectives : public testing::TestWithParam<std::tuple<int, Setting>> {
 protected:
  void SetUp() override {
    const auto& [ranks, setting] = GetParam();
    if (const std::string obstacle = setting.obstacle(ranks); !obstacle.empty()) GTEST_SKIP() << obstacle;
  }

  /// Every rank computes on a stream of its own.
  void on_ranks(const std::function<void(World&, Group, at::Device)>& body) {
    const auto& [ranks, setting] = GetParam();
    run_ranks(ranks, [&](World& world) {
      const at::Device device = setting.device(world);
      const c10::impl::VirtualGuardImpl streams(device.type());
      const c10::StreamGuard own(device.is_cpu() ? streams.getStream(device) : streams.getStreamFromGlobalPool(device));
      const std::unique_ptr<Communicator> group = setting.group(world, device);
      ASSERT_EQ(group->size(), world.size());
      ASSERT_EQ(group->rank(), world.rank());
      body(world, *group, device);
    });
  }
};

TEST_P(Collectives, GatherEvenRowsOfEveryDtype) {
  on_ranks([](World&, Group group, at::Device device) {
    for (at::ScalarType dtype : {at::kByte, at::kChar, at::kShort, at::kInt, at::kLong, at::kHalf, at::kBFloat16,
                                 at::kFloat, at::kDouble, at::kFloat8_e4m3fn, at::kFloat8_e5m2})
      gather(group, device, repeated(3, group.size()), {2, 5}, dtype);
  });
}

TEST_P(Collectives, GatherUnevenRows) {
  on_ranks([](World&, Group group, at::Device device) {
    std::vector<int64_t> rows;
    for (int rank = 0; rank < group.size(); ++rank) rows.push_back(1 + (rank * 3) % 4);
    gather(group, device, rows, {7}, at::kFloat);
    gather(group, device, rows, {}, at::kBFloat16);
  });
}

TEST_P(Collectives, GatherWithRanksThatOwnNothing) {
  on_ranks([](World&, Group group, at::Device device) {
    for (int owner = 0; owner < group.size(); ++owner) {
      std::vector<int64_t> rows = repeated(0, group.size());
      rows[owner] = 4;
      gather(group, device, rows, {3}, at::kFloat, owner);
    }
    gather(group, device, repeated(0, group.size()), {3}, at::kFloat);
    gather(group, device, repeated(2, group.size()), {0}, at::kFloat);
  });
}

TEST_P(Collectives, GatherLargeTensors) {
  on_ranks([](World&, Group group, at::Device device) {
    gather(group, device, repeated(1000, group.size()), {2053}, at::kBFloat16);
  });
}

/// Over NCCL, by copy engines.
TEST_P(Collectives, GatherWithinOneBufferAgainAndAgain) {
  on_ranks([](World&, Group group, at::Device device) {
    const int64_t n = 1 << 20;
    const at::Tensor all = group.buffer({group.size(), n}, at::TensorOptions(device).dtype(at::kInt));
    for (int call = 0; call < 5; ++call) {
      all.fill_(-1);
      all[group.rank()].fill_(10 * call + group.rank());
      group.all_gather(all, repeated(1, group.size())).wait();
      for (int rank = 0; rank < group.size(); ++rank)
        EXPECT_TRUE(all[rank].eq(10 * call + rank).all().item<bool>()) << call << " " << rank;
    }
  });
}

/// Rank r sends rows[r][p] rows to rank p. `room`: memory of buffer() of so many rows, of which the call uses the
/// first.
inline void all_to_all(Group group, at::Device device, const std::vector<std::vector<int64_t>>& rows,
                       std::vector<int64_t> row, at::ScalarType dtype, int64_t room, int64_t call = 0) {
  const auto block = [&](int from, int to) {
    std::vector<int64_t> sizes = row;
    sizes.insert(sizes.begin(), rows[static_cast<size_t>(from)][static_cast<size_t>(to)]);
    return bytes_of(from * group.size() + to, call, sizes, dtype);
  };
  const int mine = group.rank();
  std::vector<at::Tensor> sent, expected;
  std::vector<int64_t> sent_rows, received_rows;
  for (int peer = 0; peer < group.size(); ++peer) {
    sent.push_back(block(mine, peer));
    expected.push_back(block(peer, mine));
    sent_rows.push_back(sent.back().size(0));
    received_rows.push_back(expected.back().size(0));
  }
  std::vector<int64_t> sizes = row;
  sizes.insert(sizes.begin(), room);
  const auto memory = [&](const std::vector<int64_t>& rows_by_rank) {
    return group.buffer(sizes, at::TensorOptions(device).dtype(dtype))
        .narrow(0, 0, std::accumulate(rows_by_rank.begin(), rows_by_rank.end(), int64_t{0}));
  };
  const at::Tensor from = memory(sent_rows), to = memory(received_rows);
  from.copy_(at::cat(sent));
  group.all_to_all(to, received_rows, from, sent_rows).wait();
  EXPECT_TRUE(at::equal(raw(to), raw(at::cat(expected))))
      << "rank " << mine << ", dtype " << dtype << ", call " << call;
}

TEST_P(Collectives, EvenRowsGoToEverybody) {
  on_ranks([](World&, Group group, at::Device device) {
    const std::vector<std::vector<int64_t>> rows(group.size(), repeated(3, group.size()));
    for (at::ScalarType dtype : {at::kByte, at::kChar, at::kHalf, at::kBFloat16, at::kFloat, at::kFloat8_e4m3fn})
      all_to_all(group, device, rows, {2, 5}, dtype, 3 * group.size());
  });
}

/// As heads come from ranks of unequal shares, and go back; and any others.
TEST_P(Collectives, UnevenRowsGoToEverybody) {
  on_ranks([](World&, Group group, at::Device device) {
    const int size = group.size();
    std::vector<std::vector<int64_t>> there(size, std::vector<int64_t>(size)), back = there, any = there;
    for (int from = 0; from < size; ++from)
      for (int to = 0; to < size; ++to) {
        there[from][to] = from * 3 % 4;
        back[from][to] = to * 3 % 4;
        any[from][to] = from == to ? 0 : 1 + (from * 5 + to * 3) % 4;
      }
    int64_t call = 0;
    for (const auto& rows : {there, back, any}) {
      all_to_all(group, device, rows, {7}, at::kFloat, 5 * size, ++call);
      all_to_all(group, device, rows, {2, 1}, at::kBFloat16, 5 * size, ++call);
    }
  });
}

/// Over NCCL, by copy engines, in more pieces than wait for their readers at once, and gathers between them.
TEST_P(Collectives, LargeTensorsGoToEverybodyAgainAndAgain) {
  on_ranks([](World&, Group group, at::Device device) {
    const int size = group.size();
    const int64_t fifth = device.is_cpu() ? 20 : 300;  // of the rows for a rank; a CPU has no engines
    std::vector<std::vector<int64_t>> even(size, repeated(5 * fifth, size)), uneven = even;
    for (int from = 0; from < size; ++from)
      for (int to = 0; to < size; ++to) uneven[from][to] = (from * 7 + to * 3) % 5 * fifth;
    for (int call = 0; call < 3; ++call) {
      all_to_all(group, device, even, {2053}, at::kBFloat16, 5 * fifth * size, call);
      gather(group, device, repeated(3 * fifth, size), {2053}, at::kBFloat16, call);
      all_to_all(group, device, uneven, {2053}, at::kBFloat16, 5 * fifth * size, call);
    }
  });
}

TEST_P(Collectives, ManySmallCallsStayInOrder) {
  on_ranks([](World&, Group group, at::Device device) {
    for (int call = 0; call < 300; ++call) gather(group, device, repeated(call % 3, group.size()), {2}, at::kInt, call);
  });
}

TEST_P(Collectives, SeveralAreUnderWayAtOnceAndWaitedForInAnyOrder) {
  on_ranks([](World&, Group group, at::Device device) {
    const int size = group.size();
    std::vector<at::Tensor> values;
    std::vector<Pending> pending;
    for (int call = 0; call < 8; ++call) {
      values.push_back(at::zeros({size, 100}, at::TensorOptions(device).dtype(at::kInt)));
      values.back()[group.rank()].fill_(100 * call + group.rank());
      pending.push_back(group.all_gather(values.back(), repeated(1, size)));
    }
    for (int turn = 0; turn < 8; ++turn) pending[(turn * 3 + group.rank()) % 8].wait();
    for (int call = 0; call < 8; ++call)
      for (int rank = 0; rank < size; ++rank)
        EXPECT_TRUE(values[call][rank].eq(100 * call + rank).all().item<bool>()) << call << " " << rank;
  });
}

TEST_P(Collectives, FollowsTheWorkBeforeItAndPrecedesTheWorkAfterIt) {
  on_ranks([](World&, Group group, at::Device device) {
    const int64_t n = device.is_cpu() ? 64 : 1024;
    const at::Tensor all = at::zeros({group.size(), 1000}, device);
    std::vector<at::Tensor> seen;
    for (int call = 0; call < 4; ++call) {
      at::Tensor slow = at::full({n, n}, 1.0 / static_cast<double>(n), device);
      for (int i = 0; i < 10 * (1 + group.rank()); ++i) slow = slow.matmul(slow);  // as it was
      all.fill_(-1);
      all[group.rank()].copy_((slow[0][0] * n + static_cast<double>(10 * call + group.rank() - 1)).expand({1000}));
      group.all_gather(all, repeated(1, group.size())).wait();
      seen.push_back(all.clone());
      all.fill_(-2);
    }
    for (int call = 0; call < 4; ++call)
      for (int rank = 0; rank < group.size(); ++rank)
        EXPECT_LT((seen[call][rank] - (10 * call + rank)).abs().max().item<double>(), 0.01) << call << " " << rank;
  });
}

TEST_P(Collectives, BroadcastFromEveryRoot) {
  on_ranks([](World&, Group group, at::Device device) {
    for (at::ScalarType dtype : {at::kByte, at::kBFloat16, at::kFloat, at::kLong, at::kFloat8_e4m3fn})
      for (int root = 0; root < group.size(); ++root) {
        const at::Tensor value = bytes_of(group.rank(), root, {5, 3}, dtype).to(device).clone();
        group.broadcast(value, root).wait();
        EXPECT_TRUE(at::equal(raw(value), raw(bytes_of(root, root, {5, 3}, dtype)))) << "root " << root;
      }
    const at::Tensor nothing = at::empty({0, 4}, device);
    group.broadcast(nothing, 0).wait();
    const at::Tensor scalar = at::full({}, group.rank() + 5.0, device);
    group.broadcast(scalar, group.size() - 1).wait();
    EXPECT_EQ(scalar.item<double>(), group.size() - 1 + 5.0);
  });
}

/// More than a transport may take at a time, one right after the other.
TEST_P(Collectives, BroadcastOfMuch) {
  on_ranks([](World&, Group group, at::Device device) {
    constexpr int64_t bytes = (9 << 20) + 5;
    std::vector<at::Tensor> values;
    for (int root = 0; root < group.size(); ++root)
      values.push_back(bytes_of(group.rank(), root, {bytes}, at::kByte).to(device).clone());
    for (int root = 0; root < group.size(); ++root) group.broadcast(values[root], root).wait();
    for (int root = 0; root < group.size(); ++root)
      EXPECT_TRUE(at::equal(raw(values[root]), raw(bytes_of(root, root, {bytes}, at::kByte)))) << "root " << root;
  });
}

TEST_P(Collectives, ReduceKeepsTheLargest) {
  on_ranks([](World&, Group group, at::Device device) {
    const int size = group.size();
    for (at::ScalarType dtype : {at::kInt, at::kLong, at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
      const at::Tensor value = at::tensor({1, -2, 3}).to(dtype).to(device) * (group.rank() + 1);
      group.reduce(value).wait();
      EXPECT_TRUE(at::equal(value.cpu(), at::tensor({size, -2, 3 * size}).to(dtype))) << dtype;
    }
    const at::Tensor matrix = at::full({2, 3}, group.rank(), device);
    group.reduce(matrix).wait();
    EXPECT_TRUE(matrix.eq(size - 1).all().item<bool>());
    const at::Tensor nothing = at::empty({0}, device);
    group.reduce(nothing).wait();
  });
}

TEST_P(Collectives, WorksInsideInferenceMode) {
  on_ranks([](World&, Group group, at::Device device) {
    const c10::InferenceMode inference;
    gather(group, device, repeated(2, group.size()), {4}, at::kFloat);
    const at::Tensor value = at::full({3}, group.rank(), device);
    group.reduce(value).wait();
    EXPECT_EQ(value[0].item<double>(), group.size() - 1);
  });
}

TEST_P(Collectives, WrongArgumentsAreRefusedBeforeAnythingMoves) {
  on_ranks([](World&, Group group, at::Device device) {
    const at::Tensor all = at::zeros({group.size() * 2, 4}, device);
    EXPECT_THROW(group.all_gather(all, repeated(1, group.size())), std::invalid_argument);
    EXPECT_THROW(group.all_gather(all, repeated(2, group.size() + 1)), std::invalid_argument);
    EXPECT_THROW(group.all_gather(all.t(), repeated(1, group.size())), std::invalid_argument);
    const at::Tensor other = at::zeros_like(all);
    const std::vector<int64_t> two = repeated(2, group.size());
    EXPECT_THROW(group.all_to_all(other, two, all, repeated(1, group.size())), std::invalid_argument);
    EXPECT_THROW(group.all_to_all(other, repeated(2, group.size() + 1), all, two), std::invalid_argument);
    EXPECT_THROW(group.all_to_all(other.t(), two, all, two), std::invalid_argument);
    EXPECT_THROW(group.broadcast(all, group.size()), std::invalid_argument);
    EXPECT_THROW(group.reduce(all.t()), std::invalid_argument);
    gather(group, device, repeated(2, group.size()), {4}, at::kFloat);
  });
}

}  // namespace flux::collectives
