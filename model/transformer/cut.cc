#include "model/transformer/cut.h"

#include <c10/util/Exception.h>

#include <algorithm>

namespace flux {

namespace {

/// Appends the ends of `pieces` consecutive pieces of `tokens`; their lengths differ by at most one, longer ones first.
void append_even(std::vector<int64_t>& ends, int64_t tokens, int pieces) {
  const int64_t start = ends.back();
  const int64_t longer = pieces == 0 ? 0 : tokens % pieces;
  for (int64_t piece = 1; piece <= pieces; ++piece) {
    ends.push_back(start + tokens / pieces * piece + std::min(piece, longer));
  }
}

}  // namespace

int text_ranks(int64_t text_tokens, int64_t image_tokens, int ranks) {
  std::vector<int64_t> ends = {0};
  append_even(ends, text_tokens + image_tokens, ranks);
  const auto last = std::lower_bound(ends.begin() + 1, ends.end(), text_tokens);
  return static_cast<int>(last - ends.begin());
}

Cut::Cut(int64_t text_tokens, int64_t image_tokens, int ranks, int text_ranks)
    : text_tokens_(text_tokens), begin_({0}) {
  TORCH_CHECK(text_ranks >= 1 && text_ranks <= ranks, "text on ", text_ranks, " of ", ranks, " ranks");
  if (flux::text_ranks(text_tokens, image_tokens, ranks) <= text_ranks) {
    append_even(begin_, text_tokens + image_tokens, ranks);
  } else {  // the text alone is more than those ranks' share
    append_even(begin_, text_tokens, text_ranks);
    append_even(begin_, image_tokens, ranks - text_ranks);
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

std::vector<int64_t> Cut::image_rows_by_rank() const {
  std::vector<int64_t> all;
  for (int rank = 0; rank < ranks(); ++rank) all.push_back(image_rows(rank));
  return all;
}

}  // namespace flux
