#pragma once

#include <ATen/ATen.h>

#include <chrono>
#include <string>

#include "parallel/communicator.h"

// What the transports share: argument checks, the arithmetic of reduce, strings over a communicator.
namespace flux {

/// Where the rows of rank `rank` lie in `all`, in bytes.
struct ByteRange {
  size_t offset;
  size_t size;
};

/// Checks the arguments of all_gather; returns every rank's bytes.
std::vector<ByteRange> gathered_ranges(const at::Tensor& all, at::IntArrayRef rows, int size);

/// Checks the arguments of broadcast.
void check_broadcast(const at::Tensor& value, int root, int size);

/// Checks the argument of reduce.
void check_reduce(const at::Tensor& value);

/// `parts` [ranks, n] folded in the order of the ranks, so every rank gets the same bits. 8 and 16 bit floats are
/// folded in fp32 and rounded once. Returns [n] in the dtype of `parts`.
at::Tensor folded(const at::Tensor& parts, Reduction op);

/// Collective: everybody's string, by rank, over a communicator of CPU tensors.
std::vector<std::string> exchange_strings(Communicator& communicator, const std::string& mine);

/// The position of world rank `rank` in `ranks`. Throws std::invalid_argument when it is not there, or `ranks` are not
/// distinct ranks of a world of `size`.
int position_in(const std::vector<int>& ranks, int rank, int size);

/// "60 s", for messages.
std::string seconds(std::chrono::milliseconds duration);

/// "rank 2", "ranks 2 and 5", for messages.
std::string rank_names(const std::vector<int>& ranks);

}  // namespace flux
