#include "parallel/group.h"

#include <ATen/Functions.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <stdexcept>

namespace flux {

namespace {

/// The bytes of each rank's rows of `all`.
std::vector<ByteRange> ranges_of(const char* name, const at::Tensor& all, at::IntArrayRef rows, int size) {
  if (!all.is_contiguous() || all.dim() == 0)
    throw std::invalid_argument(fmt::format("{}: the tensor must be contiguous and have rows", name));
  if (static_cast<int>(rows.size()) != size)
    throw std::invalid_argument(fmt::format("{}: rows of {} ranks in a group of {}", name, rows.size(), size));
  const int64_t total = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  if (total != all.size(0) || std::any_of(rows.begin(), rows.end(), [](int64_t n) { return n < 0; }))
    throw std::invalid_argument(fmt::format("{}: {} rows do not make the tensor's {}", name, total, all.size(0)));
  const size_t row_bytes = all.size(0) == 0 ? 0 : all.nbytes() / static_cast<size_t>(all.size(0));
  std::vector<ByteRange> ranges;
  size_t offset = 0;
  for (int64_t count : rows) {
    ranges.push_back({offset, static_cast<size_t>(count) * row_bytes});
    offset += ranges.back().size;
  }
  return ranges;
}

}  // namespace

std::vector<ByteRange> gathered_ranges(const at::Tensor& all, at::IntArrayRef rows, int size) {
  return ranges_of("all_gather", all, rows, size);
}

AllToAllRanges all_to_all_ranges(const at::Tensor& received, at::IntArrayRef received_rows, const at::Tensor& sent,
                                 at::IntArrayRef sent_rows, const Communicator& group) {
  constexpr const char* name = "all_to_all";
  const auto own = static_cast<size_t>(group.rank());
  AllToAllRanges ranges{.sent = ranges_of(name, sent, sent_rows, group.size()),
                        .received = ranges_of(name, received, received_rows, group.size())};
  if (ranges.sent[own].size != ranges.received[own].size)
    throw std::invalid_argument(fmt::format("{}: {} bytes for oneself, and {} from there", name, ranges.sent[own].size,
                                            ranges.received[own].size));
  if (sent.device() != received.device())
    throw std::invalid_argument(fmt::format("{}: from {} to {}", name, sent.device().str(), received.device().str()));
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
