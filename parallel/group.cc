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

at::Tensor folded(const at::Tensor& parts, Reduction op) {
  const bool small_float = at::isFloatingType(parts.scalar_type()) && parts.element_size() < 4;
  const at::Tensor values = small_float ? parts.to(at::kFloat) : parts;
  at::Tensor result = values[0].clone();
  for (int64_t rank = 1; rank < values.size(0); ++rank) {
    if (op == Reduction::sum)
      result.add_(values[rank]);
    else
      at::maximum_out(result, result, values[rank]);
  }
  return small_float ? result.to(parts.scalar_type()) : result;
}

std::vector<std::string> exchange_strings(Communicator& communicator, const std::string& mine) {
  const int size = communicator.size();
  at::Tensor lengths = at::zeros({size}, at::kLong);
  lengths[communicator.rank()] = static_cast<int64_t>(mine.size());
  communicator.all_gather(lengths, std::vector<int64_t>(size, 1)).wait();
  const std::vector<int64_t> rows(lengths.data_ptr<int64_t>(), lengths.data_ptr<int64_t>() + size);

  at::Tensor bytes = at::empty({lengths.sum().item<int64_t>()}, at::kByte);
  const std::vector<ByteRange> ranges = gathered_ranges(bytes, rows, size);
  auto* data = static_cast<char*>(bytes.data_ptr());
  std::copy(mine.begin(), mine.end(), data + ranges[communicator.rank()].offset);
  communicator.all_gather(bytes, rows).wait();
  std::vector<std::string> all;
  all.reserve(ranges.size());
  for (const ByteRange& range : ranges) all.emplace_back(data + range.offset, range.size);
  return all;
}

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
