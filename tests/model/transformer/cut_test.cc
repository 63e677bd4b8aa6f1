#include "model/transformer/cut.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace flux {
namespace {

TEST(Cut, FluxAtFullSizeLeavesTextToTheFirstRank) {
  EXPECT_EQ(text_ranks(512, 4096, 8), 1);
  EXPECT_EQ(text_ranks(512, 4096, 9), 1);   // 4608 / 9 = 512 rows each
  EXPECT_EQ(text_ranks(512, 4096, 10), 2);  // 461 rows each
  EXPECT_EQ(text_ranks(512, 1024, 4), 2);
  EXPECT_EQ(text_ranks(512, 256, 2), 2);
  EXPECT_EQ(text_ranks(512, 4096, 1), 1);
}

TEST(Cut, EvenCutWhereItKeepsTextInPlace) {
  const Cut cut(512, 4096, 3, 1);
  EXPECT_EQ(cut.rows_by_rank(), (std::vector<int64_t>{1536, 1536, 1536}));
  EXPECT_EQ(cut.text_rows(0), 512);
  EXPECT_EQ(cut.image_rows(0), 1024);
  EXPECT_EQ(cut.image_begin(0), 0);
  EXPECT_EQ(cut.image_begin(1), 1024);
  EXPECT_EQ(cut.text_rows(1), 0);
}

TEST(Cut, SmallerPictureKeepsTextOnItsRanks) {
  const Cut cut(512, 256, 3, text_ranks(512, 4096, 3));
  EXPECT_EQ(cut.rows_by_rank(), (std::vector<int64_t>{512, 128, 128}));
  EXPECT_EQ((std::vector{cut.image_rows(0), cut.image_rows(1), cut.image_rows(2)}),
            (std::vector<int64_t>{0, 128, 128}));
}

TEST(Cut, MoreRanksThanTokens) {
  const Cut cut(2, 3, 7, 2);
  EXPECT_EQ(cut.rows_by_rank(), (std::vector<int64_t>{1, 1, 1, 1, 1, 0, 0}));
  EXPECT_EQ(cut.image_begin(6), 3);
  EXPECT_EQ(cut.image_rows(6), 0);
}

TEST(Cut, RejectsTextOnNoRank) {
  EXPECT_ANY_THROW(Cut(4, 4, 2, 0));
  EXPECT_ANY_THROW(Cut(4, 4, 2, 3));
}

TEST(Cut, SharesSayWhoHoldsHowMuch) {
  const std::vector<int64_t> shares = {3, 2};
  EXPECT_EQ(text_ranks(512, 4096, 2, shares), 1);
  EXPECT_EQ(Cut(512, 4096, 2, 1, shares).rows_by_rank(), (std::vector<int64_t>{2765, 1843}));
  EXPECT_EQ(text_ranks(512, 4096, 3, {1, 9, 9}), 2) << "the first holds 243 rows";
  EXPECT_EQ(Cut(512, 64, 3, 1, {4, 1, 3}).rows_by_rank(), (std::vector<int64_t>{512, 16, 48})) << "text stays in place";
  EXPECT_EQ(Cut(512, 4096, 3, 1, {5, 5, 5}).rows_by_rank(), Cut(512, 4096, 3, 1).rows_by_rank());
  EXPECT_ANY_THROW(Cut(512, 4096, 3, 1, shares));
}

/// Whatever the picture is smaller than, a rank's memory holds its rows.
TEST(Cut, NoRankHoldsMoreThanWasKept) {
  for (const std::vector<int64_t>& shares :
       std::vector<std::vector<int64_t>>{{}, {1, 2, 3}, {7, 1, 1}, {1, 1, 5}, {3, 2, 2}})
    for (int64_t text = 1; text <= 9; ++text)
      for (int64_t image = 1; image <= 20; ++image) {
        const int holders = text_ranks(text, image, 3, shares);
        for (int64_t smaller = 1; smaller <= image; ++smaller) {
          const Cut cut(text, smaller, 3, holders, shares);
          ASSERT_EQ(cut.tokens(), text + smaller);
          for (int rank = 0; rank < 3; ++rank) {
            ASSERT_GE(cut.rows(rank), 0);
            ASSERT_LE(cut.rows(rank), most_rows(text + image, rank, 3, shares))
                << text << " + " << smaller << " of " << image;
            ASSERT_TRUE(rank < holders || cut.text_rows(rank) == 0);
          }
        }
      }
}

/// What holds for every cut of every small sequence.
TEST(Cut, Properties) {
  for (int64_t text = 1; text <= 9; ++text)
    for (int64_t image = 1; image <= 20; ++image)
      for (int ranks = 1; ranks <= 11; ++ranks)
        for (int holders = 1; holders <= ranks; ++holders) {
          const Cut cut(text, image, ranks, holders);
          SCOPED_TRACE(testing::Message() << text << " + " << image << " on " << ranks << ", text on " << holders);
          ASSERT_EQ(cut.tokens(), text + image);
          ASSERT_EQ(cut.image_tokens(), image);
          int64_t texts = 0, images = 0;
          for (int rank = 0; rank < ranks; ++rank) {
            ASSERT_GE(cut.rows(rank), 0);
            ASSERT_EQ(cut.image_begin(rank), images);
            ASSERT_EQ(cut.begin(rank), texts + images);
            ASSERT_TRUE(rank < holders || cut.text_rows(rank) == 0);
            texts += cut.text_rows(rank);
            images += cut.image_rows(rank);
          }
          ASSERT_EQ(texts, text);
          ASSERT_EQ(images, image);

          // No assignment that keeps text in place has a smaller largest piece.
          const auto rows = cut.rows_by_rank();
          const int64_t largest = *std::max_element(rows.begin(), rows.end());
          const int64_t even = (text + image + ranks - 1) / ranks;
          const int64_t text_share = (text + holders - 1) / holders;
          ASSERT_EQ(largest, std::max(even, text_share));
        }
}

/// The ranks that hold text under the even cut are exactly those counted.
TEST(Cut, TextRanksCountsTheEvenCut) {
  for (int64_t text = 1; text <= 9; ++text)
    for (int64_t image = 1; image <= 20; ++image)
      for (int ranks = 1; ranks <= 11; ++ranks) {
        const Cut even(text, image, ranks, ranks);
        int holders = 0;
        for (int rank = 0; rank < ranks; ++rank) holders += even.text_rows(rank) > 0 ? 1 : 0;
        ASSERT_EQ(text_ranks(text, image, ranks), holders) << text << " + " << image << " on " << ranks;
      }
}

}  // namespace
}  // namespace flux
