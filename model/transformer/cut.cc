#include "model/transformer/cut.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <numeric>
#include <span>

namespace flux {

namespace {

using Shares = std::vector<int64_t>;

Shares shares_of(int ranks, const Shares& shares) {
  if (shares.empty()) return Shares(static_cast<size_t>(ranks), 1);
  TORCH_CHECK(shares.size() == static_cast<size_t>(ranks), shares.size(), " shares for ", ranks, " ranks");
  return shares;
}

int64_t sum_of(std::span<const int64_t> shares) { return std::accumulate(shares.begin(), shares.end(), int64_t{0}); }

bool even(std::span<const int64_t> shares) {
  return std::ranges::all_of(shares, [&](int64_t share) { return share == shares.front(); });
}

/// Appends the ends of consecutive pieces of `tokens`. Even ones differ by at most one, longer ones first.
void append(std::vector<int64_t>& ends, int64_t tokens, std::span<const int64_t> shares) {
  const int64_t start = ends.back(), total = sum_of(shares), count = std::ssize(shares);
  int64_t so_far = 0;
  for (int64_t piece = 1; piece <= count; ++piece) {
    so_far += shares[static_cast<size_t>(piece - 1)];
    ends.push_back(start + (even(shares) ? tokens / count * piece + std::min(piece, tokens % count)
                                         : (tokens * so_far + total - 1) / total));
  }
}

}  // namespace

int text_ranks(int64_t text_tokens, int64_t image_tokens, int ranks, const Shares& shares) {
  std::vector<int64_t> ends = {0};
  append(ends, text_tokens + image_tokens, shares_of(ranks, shares));
  const auto last = std::lower_bound(ends.begin() + 1, ends.end(), text_tokens);
  return static_cast<int>(last - ends.begin());
}

int64_t most_rows(int64_t tokens, int rank, int ranks, const Shares& shares) {
  const Shares all = shares_of(ranks, shares);
  const int64_t total = sum_of(all), rows = (tokens * all[static_cast<size_t>(rank)] + total - 1) / total;
  return even(all) ? rows : rows + 1;  // text alone may round up where the whole did not
}

Cut::Cut(int64_t text_tokens, int64_t image_tokens, int ranks, int text_ranks, const Shares& shares)
    : text_tokens_(text_tokens), begin_({0}) {
  TORCH_CHECK(text_ranks >= 1 && text_ranks <= ranks, "text on ", text_ranks, " of ", ranks, " ranks");
  const Shares of_all = shares_of(ranks, shares);
  const std::span<const int64_t> all(of_all);
  if (flux::text_ranks(text_tokens, image_tokens, ranks, shares) <= text_ranks) {
    append(begin_, text_tokens + image_tokens, all);
  } else {  // the text alone is more than those ranks' share
    append(begin_, text_tokens, all.first(static_cast<size_t>(text_ranks)));
    append(begin_, image_tokens, all.subspan(static_cast<size_t>(text_ranks)));
  }
}

int64_t Cut::text_rows(int rank) const { return std::clamp<int64_t>(text_tokens_ - begin(rank), 0, rows(rank)); }

int64_t Cut::image_rows(int rank) const { return rows(rank) - text_rows(rank); }

int64_t Cut::image_begin(int rank) const { return std::max<int64_t>(begin(rank) - text_tokens_, 0); }

std::vector<int64_t> Cut::rows_by_rank() const {
  std::vector<int64_t> all;
  for (int rank = 0; rank < ranks(); ++rank) all.push_back(rows(rank));
  return all;
}

}  // namespace flux
