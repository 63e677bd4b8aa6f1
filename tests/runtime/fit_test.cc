#include "runtime/fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "parallel/rank/errors.h"
#include "runtime/arrangements.h"
#include "runtime/replica_choice.h"
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

/// T5-XXL.
T5Config flux_t5() {
  T5Config t5 = model().text_encoder_2;
  t5.vocab_size = 32128;
  t5.d_model = 4096;
  t5.d_kv = 64;
  t5.d_ff = 10240;
  t5.num_layers = 24;
  t5.num_heads = 64;
  return t5;
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

  Placement fitted() { return fit_to_cards({placement}, model(), options, facts); }

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
  EXPECT_EQ(fit_to_cards({place({}, 0, facts, {})}, model(), {}, facts).formats, Formats{});
}

TEST(Fit, WhatIsGivenStays) {
  PlacementOptions options;
  options.formats.modulation = Format::dense;
  EXPECT_EQ(Case(16 * gib, options).fitted().formats, (Formats{Format::int8, Format::int8_weights, Format::dense}));
  options.formats.transformer = Format::dense;
  EXPECT_THAT(Case(16 * gib, options).problem(), HasSubstr("of the 16.0 GiB of Card X: give --quantize int8"));
}

/// The encoders are small in this model: a T5 as large as FLUX.1's is what one card does not hold beside the rest.
TEST(Fit, StreamsTheEncodersWhereNothingElseFits) {
  ModelFolder folder = model();
  folder.text_encoder_2 = flux_t5();
  const auto fitted = [&](int ranks, int cards, int64_t bytes, const PlacementOptions& options) {
    const auto facts = world(ranks, cards, bytes);
    return fit_to_cards({place(options, 0, facts, {})}, folder, options, facts);
  };
  EXPECT_EQ(fitted(1, 1, 24 * gib, {}).encoder_residency, Residency::resident);
  const Placement one = fitted(1, 1, 16 * gib, {});
  EXPECT_EQ(one.encoder_residency, Residency::streamed);
  EXPECT_EQ(one.formats, int8);
  const Placement two = fitted(3, 2, 16 * gib, {});
  EXPECT_EQ(two.encoder_residency, Residency::streamed);
  EXPECT_EQ(two.ranks[0].card, two.ranks[2].card) << "beside the rank that holds no text";
  PlacementOptions options;
  options.encoder_residency = Residency::resident;
  try {
    fitted(1, 1, 16 * gib, options);
    FAIL();
  } catch (const Invalid& error) {
    EXPECT_THAT(error.what(), HasSubstr("give --encoder-residency streamed"));
  }
}

/// One replica of both cards leaves each rank room that two replicas do not.
TEST(Fit, NothingIsQuantizedForTheSakeOfMoreReplicas) {
  ModelFolder folder = model();
  folder.text_encoder_2 = flux_t5();
  const auto fitted = [&](int64_t bytes) {
    const auto facts = world(3, 2, bytes);
    return fit_to_cards(placements({}, 0, facts, {{}, 100}), folder, {}, facts);
  };
  EXPECT_EQ(fitted(80 * gib).replicas.size(), 2u);
  const Placement tight = fitted(33 * gib + gib / 2);
  EXPECT_EQ(tight.replicas.size(), 1u);
  EXPECT_EQ(tight.formats, Formats{});
  const Placement small = fitted(16 * gib);
  EXPECT_EQ(small.replicas.size(), 2u);
  EXPECT_EQ(small.formats, int8);
}

TEST(Fit, OnCpusThereIsNothingToStreamTo) {
  PlacementOptions options;
  options.encoder_residency = Residency::streamed;
  EXPECT_THROW(place(options, 0, world(1, 0, 0), {}), Invalid);
}

std::vector<std::string> flags_of(const std::vector<Plan>& found) {
  std::vector<std::string> flags;
  for (const auto& one : nlohmann::json::parse(as_json(found))) flags.push_back(one["options"]);
  return flags;
}

TEST(Arrangements, NameWhatFitsTheBestFirst) {
  ModelFolder folder = model();
  folder.text_encoder_2 = flux_t5();
  PlanRequest request{.picture = {.height = 1024, .width = 1024}, .card_memory = {}};
  PlacementOptions options;
  const auto on = [&](int cards, int64_t bytes) {
    const RankFacts host = world(1, cards, bytes).front();
    request.card_memory = card_memory({host}, 0);
    return flags_of(arrangements(folder, options, host, request));
  };
  EXPECT_THAT(on(2, 80 * gib),
              ::testing::ElementsAre("-n 3 --replicas 2", "-n 3 --replicas 1", "-n 3 --replicas 2 --quantize int8",
                                     "-n 3 --replicas 1 --quantize int8", "-n 3 --replicas 2 --quantize nf4",
                                     "-n 3 --replicas 1 --quantize nf4", "-n 1", "-n 2", "-n 1 --quantize int8",
                                     "-n 2 --quantize int8", "-n 1 --quantize nf4", "-n 2 --quantize nf4"));
  EXPECT_THAT(on(1, 16 * gib), ::testing::ElementsAre("-n 1 --quantize int8 --encoder-residency streamed",
                                                      "-n 2 --quantize int8 --encoder-residency streamed",
                                                      "-n 1 --quantize nf4", "-n 2 --quantize nf4"));
  EXPECT_EQ(on(2, 16 * gib).front(), "-n 3 --replicas 2 --quantize int8 --encoder-residency streamed");
  EXPECT_THAT(on(1, 4 * gib), ::testing::IsEmpty());
  EXPECT_THAT(as_text(std::vector<Plan>{}), HasSubstr("nothing fits"));
  options.optimize = Optimize::latency;
  EXPECT_EQ(on(2, 80 * gib).front(), "-n 3 --replicas 1");
}

TEST(Fit, NamesTheCardAndTheSmallestChange) {
  const Demand large{.image_tokens = 128 * 128};
  EXPECT_THAT(Case(9 * gib + gib / 2, {}, large).problem(),
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
  folder.transformer.quantization = {Quantization::By::bitsandbytes, Format::nf4, Format::nf4, true};
  folder.text_encoder_2.quantization = {Quantization::By::bitsandbytes, Format::int8_weights};
  const FormatChoices followed = with_stored_formats({{}, Format::int8_weights, Format::nf4}, folder);
  EXPECT_EQ(followed.resolved(Format::dense), (Formats{Format::nf4, Format::int8_weights, Format::nf4}));
  EXPECT_EQ(followed.resolved(Format::int8), followed.resolved(Format::dense));
  EXPECT_THROW(with_stored_formats({Format::dense}, folder), Invalid);
  EXPECT_THROW(with_stored_formats({Format::fp4}, folder), Invalid);
  EXPECT_THROW(with_stored_formats({{}, Format::int8}, folder), Invalid);
  EXPECT_THROW(with_stored_formats({{}, {}, Format::int8_weights}, folder), Invalid);
  EXPECT_THROW(with_stored_formats({Format::int8_outliers}, folder), Invalid);
}

TEST(Fit, EightBitsOfBitsandbytesAreComputedAsLlmInt8WhereThatIsAskedFor) {
  ModelFolder folder = model();
  const Quantization by{Quantization::By::bitsandbytes, Format::int8_weights, Format::int8_weights, false, 6};
  folder.transformer.quantization = folder.text_encoder_2.quantization = by;
  const auto formats = [&](const FormatChoices& asked) {
    return with_stored_formats(asked, folder).resolved(Format::dense);
  };
  EXPECT_EQ(formats({}), (Formats{Format::int8_weights, Format::int8_weights, Format::int8_weights}));
  EXPECT_EQ(formats({Format::int8_outliers, Format::int8_outliers}),
            (Formats{Format::int8_outliers, Format::int8_outliers, Format::int8_weights}));
  EXPECT_EQ(formats({Format::int8_outliers}).text_encoder, Format::int8_weights);
  folder.transformer.quantization.outlier_threshold = 4;
  EXPECT_EQ(formats({}).transformer, Format::int8_weights);
  EXPECT_THROW(formats({Format::int8_outliers}), Invalid);
  folder.transformer.quantization = {Quantization::By::flux_dist, Format::int8_weights, Format::int8_weights};
  EXPECT_THROW(formats({Format::int8_outliers}), Invalid);
}

TEST(Fit, FourBitsAndTheLikeAreTakenOnlyWhereTheyAreAskedFor) {
  EXPECT_EQ((FormatChoices{Format::int8_outliers, Format::int8_outliers}.resolved(Format::dense)),
            (Formats{Format::int8_outliers, Format::int8_outliers, Format::int8_weights}));
  EXPECT_EQ((FormatChoices{Format::nf4}.resolved(Format::dense)),
            (Formats{Format::nf4, Format::int8_weights, Format::int8_weights}));
  EXPECT_EQ((FormatChoices{{}, Format::nf4}.resolved(Format::dense)),
            (Formats{Format::dense, Format::nf4, Format::dense}));
  for (const auto& [transformer, followed] :
       {std::pair(Format::dense, Format::dense), std::pair(Format::int8, Format::int8_weights)})
    EXPECT_EQ((FormatChoices{{}, Format::fp8_weights}.resolved(transformer)),
              (Formats{transformer, Format::fp8_weights, followed}))
        << "T5 of a folder in fp8 says nothing of the modulation";
  EXPECT_EQ((FormatChoices{{}, Format::int8}.resolved(Format::dense)),
            (Formats{Format::dense, Format::int8, Format::int8}));
}

/// The fast card's share takes more memory than it has, an even one does not.
TEST(Fit, SharesBySpeedAreAsUnevenAsCardsHold) {
  std::vector<RankFacts> facts = world(3, 2, 80 * gib);
  for (RankFacts& rank : facts) rank.cards[1].name = "Card Y";
  PlacementOptions options{.card_steps = {{"Card X", 1000}, {"Card Y", 100}}, .decode = DecodeOn::encoder};
  const Demand large{16'384, 512};
  const auto shares = [&] {
    const auto possible = placements(options, 0, facts, {large, 1});
    return fit_to_cards(possible, model(), options, facts).demand.shares;
  };
  options.formats.transformer = Format::dense;
  EXPECT_EQ(shares(), (std::vector<int64_t>{10, 100}));

  std::vector<int64_t> found = {10, 100};
  for (int64_t bytes = 24 * gib; found.front() == 10; bytes -= gib / 16) {  // until it is too small, by a little
    for (RankFacts& rank : facts) rank.cards[1].total_bytes = bytes;
    found = shares();
  }
  EXPECT_LT(found.front(), 100) << "no more even than needed";
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
