#include "runtime/fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "parallel/rank/errors.h"
#include "tests/reference.h"

namespace flux {
namespace {

using ::testing::HasSubstr;

constexpr int64_t gib = int64_t{1} << 30;

/// FLUX.1-dev's transformer; the encoders are the demo's and take next to nothing.
ModelFolder model() {
  ModelFolder folder(source_folder() / "configs/demo");
  folder.transformer = {};
  return folder;
}

std::vector<RankFacts> world(int ranks, int cards, int64_t bytes) {
  RankFacts facts{.host = "host", .process = 0, .cores = 1, .cards = {}};
  for (int i = 0; i < cards; ++i)
    facts.cards.push_back(
        {.index = i, .uuid = "card " + std::to_string(i), .name = "Card X", .capability = 80, .total_bytes = bytes});
  return std::vector<RankFacts>(ranks, facts);
}

/// Three ranks on as many cards.
struct Case {
  explicit Case(int64_t bytes, const PlacementOptions& asked = {}, const Demand& demand = {})
      : options(asked), facts(world(3, 3, bytes)), placement(place(options, 0, facts, demand)) {
    options.transport = TransportChoice::mpi;
  }

  Placement fitted() {
    fit_to_cards(placement, model(), options, facts);
    return placement;
  }

  std::string problem() {
    try {
      fitted();
    } catch (const Invalid& error) {
      return error.what();
    }
    return "";
  }

  PlacementOptions options;
  std::vector<RankFacts> facts;
  Placement placement;
};

const Formats int8{Format::int8, Format::int8_weights, Format::int8_weights};

TEST(Fit, QuantizesWhereACardIsTooSmallAlone) {
  EXPECT_EQ(Case(24 * gib).fitted().formats, Formats{});
  EXPECT_EQ(Case(16 * gib).fitted().formats, int8);
}

TEST(Fit, OnCpusNothingIsQuantized) {
  const auto facts = world(3, 0, 0);
  Placement placement = place({}, 0, facts, {});
  fit_to_cards(placement, model(), {}, facts);
  EXPECT_EQ(placement.formats, Formats{});
}

TEST(Fit, WhatIsGivenStays) {
  PlacementOptions options;
  options.formats.modulation = Format::dense;
  EXPECT_EQ(Case(16 * gib, options).fitted().formats, (Formats{Format::int8, Format::int8_weights, Format::dense}));
  options.formats.transformer = Format::dense;
  EXPECT_THAT(Case(16 * gib, options).problem(), HasSubstr("of the 16.0 GiB of Card X: give --quantize int8"));
}

TEST(Fit, NamesTheCardAndTheSmallestChange) {
  const Demand large{.image_tokens = 128 * 128};
  EXPECT_THAT(Case(10 * gib, {}, large).problem(),
              ::testing::AllOf(HasSubstr("rank 1 on host would take"), HasSubstr("X: give --quantize nf4")));
  EXPECT_THAT(Case(5 * gib + 3 * gib / 4, {}, large).problem(),
              HasSubstr("X: give --quantize nf4 and pictures of at most"));
  PlacementOptions options;
  options.formats.transformer = Format::nf4;
  EXPECT_THAT(Case(5 * gib + 3 * gib / 4, options, large).problem(),
              HasSubstr("X: give pictures of at most 1024 x 1024"));
  EXPECT_THAT(Case(4 * gib).problem(), HasSubstr("more ranks and cards"));
}

/// What is quantized in the folder, and what else is asked for.
TEST(Fit, FormatsFollowAFolderThatIsQuantized) {
  ModelFolder folder = model();
  EXPECT_EQ(with_stored_formats({Format::int8}, folder).transformer, Format::int8);
  EXPECT_EQ(with_stored_formats({}, folder).transformer, std::nullopt);
  folder.transformer.quantization = {Format::nf4, true};
  folder.text_encoder_2.quantization = {Format::int8_weights};
  const FormatChoices followed = with_stored_formats({{}, Format::int8_weights, Format::nf4}, folder);
  EXPECT_EQ(followed.resolved(Format::dense), (Formats{Format::nf4, Format::int8_weights, Format::nf4}));
  EXPECT_EQ(followed.resolved(Format::int8), followed.resolved(Format::dense));
  EXPECT_THROW(with_stored_formats({Format::dense}, folder), Invalid);
  EXPECT_THROW(with_stored_formats({Format::fp4}, folder), Invalid);
  EXPECT_THROW(with_stored_formats({{}, Format::int8}, folder), Invalid);
  EXPECT_THROW(with_stored_formats({{}, {}, Format::int8_weights}, folder), Invalid);
}

TEST(Fit, FourBitsAreTakenOnlyWhereTheyAreAskedFor) {
  EXPECT_EQ((FormatChoices{Format::nf4}.resolved(Format::dense)),
            (Formats{Format::nf4, Format::int8_weights, Format::int8_weights}));
  EXPECT_EQ((FormatChoices{{}, Format::nf4}.resolved(Format::dense)),
            (Formats{Format::dense, Format::nf4, Format::dense}));
  EXPECT_EQ((FormatChoices{{}, Format::int8}.resolved(Format::dense)),
            (Formats{Format::dense, Format::int8, Format::int8}));
}

TEST(Fit, ALimitIsSharedByTheRanksOfACard) {
  PlacementOptions options;
  options.memory_limit = 14 * gib;
  const Placement placement = Case(80 * gib, options).fitted();
  EXPECT_EQ(placement.formats, int8);
  for (const RankPlace& rank : placement.ranks) {
    EXPECT_GT(rank.memory, 0) << rank.rank;
    EXPECT_LT(rank.memory, options.memory_limit) << "nothing is left for the driver";
  }
  EXPECT_EQ(Case(24 * gib).fitted().ranks[0].memory, 0) << "a limit that nobody asked for";
  options.memory_limit = 4 * gib;
  EXPECT_THAT(Case(80 * gib, options).problem(), HasSubstr("4.0 GiB of Card X (--memory-limit)"));
}

}  // namespace
}  // namespace flux
