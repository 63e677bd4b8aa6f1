#pragma once

#include <cstdint>
#include <vector>

namespace flux {

/// Who holds which rows of the joint sequence [txt; img]: contiguous pieces in rank order, no padding. A rank may hold
/// none, text only, image only or both.
class Cut {
 public:
  /// In these shares, one a rank (none: even ones), as far as can be while only the first `text_ranks` of `ranks` hold
  /// text. text_ranks is 1 ... ranks.
  Cut(int64_t text_tokens, int64_t image_tokens, int ranks, int text_ranks, const std::vector<int64_t>& shares = {});

  int64_t text_tokens() const { return text_tokens_; }
  int64_t image_tokens() const { return begin_.back() - text_tokens_; }
  int64_t tokens() const { return begin_.back(); }
  int ranks() const { return static_cast<int>(begin_.size()) - 1; }

  /// Rank r holds rows begin(r) ... begin(r + 1) of the joint sequence.
  int64_t begin(int rank) const { return begin_[rank]; }
  int64_t rows(int rank) const { return begin_[rank + 1] - begin_[rank]; }

  int64_t text_rows(int rank) const;    // of rows(rank), the first
  int64_t image_rows(int rank) const;   // the others
  int64_t image_begin(int rank) const;  // where they start among the picture's tokens

  std::vector<int64_t> rows_by_rank() const;

 private:
  int64_t text_tokens_;
  std::vector<int64_t> begin_;  // by rank, and the end
};

/// How many ranks hold text when the joint sequence is cut in these shares (at least 1).
int text_ranks(int64_t text_tokens, int64_t image_tokens, int ranks, const std::vector<int64_t>& shares = {});

/// Rows that a rank holds at most of any cut of no more tokens, text on as many ranks.
int64_t most_rows(int64_t tokens, int rank, int ranks, const std::vector<int64_t>& shares);

}  // namespace flux
