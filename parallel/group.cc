#include "parallel/group.h"

#include <ATen/Functions.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <stdexcept>

namespace flux {

std::vector<ByteRange> gathered_ranges(const at::Tensor& all, at::IntArrayRef rows, int size) {
  if (!all.is_contiguous() || all.dim() == 0)
    throw std::invalid_argument("all_gather: the tensor must be contiguous and have rows");
  if (static_cast<int>(rows.size()) != size)
    throw std::invalid_argument(fmt::format("all_gather: rows of {} ranks in a group of {}", rows.size(), size));
  const int64_t total = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  if (total != all.size(0) || std::any_of(rows.begin(), rows.end(), [](int64_t n) { return n < 0; }))
    throw std::invalid_argument(fmt::format("all_gather: {} rows do not make the tensor's {}", total, all.size(0)));
  const size_t row_bytes = all.size(0) == 0 ? 0 : all.nbytes() / static_cast<size_t>(all.size(0));
  std::vector<ByteRange> ranges;
  size_t offset = 0;
  for (int64_t count : rows) {
    ranges.push_back({offset, static_cast<size_t>(count) * row_bytes});
    offset += ranges.back().size;
  }
  return ranges;
}

void check_broadcast(const at::Tensor& value, int root, int size) {
  if (!value.is_contiguous()) throw std::invalid_argument("broadcast: the tensor must be contiguous");
  if (root < 0 || root >= size) throw std::invalid_argument(fmt::format("broadcast: no rank {} in {}", root, size));
}

void check_reduce(const at::Tensor& value) {
  if (!value.is_contiguous()) throw std::invalid_argument("reduce: the tensor must be contiguous");
}

at::Tensor largest(const at::Tensor& parts) { return parts.size(1) == 0 ? parts[0] : parts.amax(0); }

int position_in(const std::vector<int>& ranks, int rank, int size) {
  const std::set<int> distinct(ranks.begin(), ranks.end());
  const auto mine = std::find(ranks.begin(), ranks.end(), rank);
  if (mine == ranks.end() || distinct.size() != ranks.size() || *distinct.begin() < 0 || *distinct.rbegin() >= size)
    throw std::invalid_argument(fmt::format("group of {}: not distinct ranks of a world of {} with rank {} among them",
                                            rank_names(ranks), size, rank));
  return static_cast<int>(mine - ranks.begin());
}

std::string seconds(std::chrono::milliseconds duration) {
  return fmt::format("{:g} s", static_cast<double>(duration.count()) / 1000.0);
}

std::string rank_names(const std::vector<int>& ranks) {
  return fmt::format("{} {}", ranks.size() == 1 ? "rank" : "ranks", fmt::join(ranks, ", "));
}

}  // namespace flux
