#pragma once

#include <ATen/ATen.h>

#include <chrono>
#include <string>
#include <vector>

#include "parallel/communicator.h"

// What the transports share: argument checks, the arithmetic of reduce, words for messages.
namespace flux {

/// Where the rows of rank `rank` lie in `all`, in bytes.
struct ByteRange {
  size_t offset;
  size_t size;
};

/// Checks the arguments of all_gather; returns every rank's bytes.
std::vector<ByteRange> gathered_ranges(const at::Tensor& all, at::IntArrayRef rows, int size);

/// What goes to each rank, and what comes from it.
struct AllToAllRanges {
  std::vector<ByteRange> sent, received;
};

/// Checks the arguments of all_to_all.
AllToAllRanges all_to_all_ranges(const at::Tensor& received, at::IntArrayRef received_rows, const at::Tensor& sent,
                                 at::IntArrayRef sent_rows, const Communicator& group);

/// Checks the arguments of broadcast.
void check_broadcast(const at::Tensor& value, int root, int size);

/// Checks the argument of reduce.
void check_reduce(const at::Tensor& value);

/// The largest over dimension 0 of `parts` [ranks, n].
at::Tensor largest(const at::Tensor& parts);

/// The position of world rank `rank` in `ranks`. Throws std::invalid_argument when it is not there, or `ranks` are not
/// distinct ranks of a world of `size`.
int position_in(const std::vector<int>& ranks, int rank, int size);

/// "60 s", for messages.
std::string seconds(std::chrono::milliseconds duration);

/// "rank 2", "ranks 2 and 5", for messages.
std::string rank_names(const std::vector<int>& ranks);

}  // namespace flux
