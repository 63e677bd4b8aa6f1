#include "runtime/plan.h"

#include <c10/core/CPUAllocator.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/expected_tensors.h"
#include "model/checkpoint/weights.h"
#include "model/decoder.h"
#include "model/encoder_modules.h"
#include "model/transformer/transformer.h"
#include "tests/reference.h"

namespace flux {
namespace {

ModelFolder demo() { return ModelFolder(source_folder() / "configs/demo"); }

/// Ranks of one host that all see `cards` cards.
Placement placed(int ranks, int cards, const PlanRequest& request) {
  RankFacts facts{.host = "host", .process = 0, .cores = 1, .cards = {}};
  for (int i = 0; i < cards; ++i) {
    facts.cards.push_back({.index = i, .uuid = "card " + std::to_string(i), .name = "", .capability = 80});
  }
  std::vector<RankFacts> world(ranks, facts);
  for (int rank = 0; rank < ranks; ++rank) world[rank].process = rank;
  return place({}, 0, world, {request.picture.tokens(), request.max_sequence_length});
}

PlanRequest request_of(int64_t pixels) {
  return {.picture = {.height = pixels, .width = pixels},
          .num_inference_steps = 4,
          .max_sequence_length = 32,
          .card_memory = {}};
}

int64_t values(const ModelFolder& folder, const std::string& component) {
  int64_t sum = 0;
  for (const ExpectedTensor& tensor : expected_tensors(folder, component)) {
    if (component == "vae" && tensor.name.find("to_out") != std::string::npos) continue;  // part of to_v
    sum += c10::multiply_integers(tensor.shape);
  }
  return sum;
}

/// Each tensor begins at a multiple of 256 bytes.
double rounding(const ModelFolder& folder, const std::string& component) {
  return 256.0 * static_cast<double>(expected_tensors(folder, component).size());
}

TEST(Plan, OneRankHoldsEveryTensorOnce) {
  const ModelFolder folder = demo();
  const Plan plan = make_plan(folder, placed(1, 0, request_of(128)), request_of(128));
  auto weights = plan.ranks.at(0).weights;
  for (const std::string component : {"text_encoder", "text_encoder_2", "vae"}) {
    EXPECT_NEAR(weights.at(component), 4 * values(folder, component), rounding(folder, component)) << component;
  }
  EXPECT_NEAR(weights.at("transformer") + weights.at("modulation"), 4 * values(folder, "transformer"),
              rounding(folder, "transformer"));
}

/// What ATen's allocator has given out on the CPU, while the object lives.
class AllocatedBytes : public c10::Allocator {
 public:
  AllocatedBytes() { c10::SetCPUAllocator(this, 200); }
  ~AllocatedBytes() override { c10::SetCPUAllocator(before_, 200); }
  int64_t now() const { return live_; }

  c10::DataPtr allocate(size_t bytes) override {
    auto* block = new Block{before_->allocate(bytes), static_cast<int64_t>(bytes), live_};
    live_ += block->bytes;
    return {block->memory.get(), block, [](void* of) { delete static_cast<Block*>(of); }, at::kCPU};
  }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }

 private:
  struct Block {
    ~Block() { live -= bytes; }
    c10::DataPtr memory;
    int64_t bytes;
    int64_t& live;
  };

  c10::Allocator* before_ = c10::GetCPUAllocator();
  int64_t live_ = 0;
};

class PlanOf : public testing::TestWithParam<std::tuple<at::ScalarType, Formats>> {};

TEST_P(PlanOf, CountsWhatTheAllocatorGives) {
  const auto [compute, formats] = GetParam();
  const ModelFolder folder = demo();
  Placement placement = placed(1, 0, request_of(64));
  placement.dtype = compute;
  placement.formats = formats;
  const auto planned = make_plan(folder, placement, request_of(64)).ranks.at(0).weights;

  const Checkpoint checkpoint = published(folder);
  const auto of = [&, dtype = compute](const char* component, Format store = Format::dense) {
    return Weights(checkpoint.open(component), {at::kCPU, dtype, store});
  };
  const auto taken = [](const auto& build) {
    const AllocatedBytes allocated;
    const auto module = build();
    return allocated.now();
  };
  EXPECT_EQ(planned.at("vae"), taken([&] { return Decoder(checkpoint, {at::kCPU, compute}); }));
  EXPECT_EQ(planned.at("text_encoder") + planned.at("text_encoder_2") + planned.at("modulation"),
            taken([&] { return EncoderModules(checkpoint, {at::kCPU, compute}, formats); }));
  EXPECT_EQ(planned.at("transformer"), taken([&] {
              return in_one_piece(of("transformer", formats.transformer), [&](const Weights& weights) {
                return Transformer(weights, folder.transformer, true);
              });
            }));
}

/// T5 of the demo is too narrow for 4 bits.
const Formats formats[] = {{},
                           {Format::int8, Format::int8_weights, Format::int8_weights},
                           {Format::nf4, Format::int8_weights, Format::nf4},
                           {Format::fp4, Format::int8, Format::fp4},
                           {Format::int8_outliers, Format::int8_outliers, Format::int8_weights},
                           {Format::fp8_weights, Format::fp8_weights, Format::fp8_weights}};

INSTANTIATE_TEST_SUITE_P(All, PlanOf,
                         testing::Combine(testing::Values(at::kFloat, at::kBFloat16, at::kHalf),
                                          testing::ValuesIn(formats)));

TEST(Plan, FluxDevIsWhatThePaperSumSays) {
  ModelFolder folder = demo();
  folder.transformer = {};  // FLUX.1-dev: 24 heads of 128, 19 and 38 blocks
  PlanRequest request = request_of(1024);
  request.max_sequence_length = 512;
  const Plan plan = make_plan(folder, placed(5, 5, request), request);
  const double d2 = 3072.0 * 3072 * 2;  // bytes of a square matrix in bf16
  EXPECT_EQ(plan.ranks[0].weights.count("transformer"), 0U);
  EXPECT_NEAR(plan.ranks[0].weights.at("modulation") / d2, 342 + 2 + 3 * 2.2, 4);  // and the embedders, in fp32
  EXPECT_NEAR(plan.ranks[1].weights.at("transformer") / d2, 912, 1);               // with text
  EXPECT_NEAR(plan.ranks[2].weights.at("transformer") / d2, 684, 1);
  EXPECT_EQ(plan.ranks[2].weights, plan.ranks[4].weights);
}

TEST(Plan, MoreRanksHoldSmallerBuffersAndTheSameWeights) {
  const ModelFolder folder = demo();
  const PlanRequest request = request_of(256);
  const Plan two = make_plan(folder, placed(3, 0, request), request);
  const Plan four = make_plan(folder, placed(5, 0, request), request);
  EXPECT_LT(four.ranks[4].buffers, two.ranks[2].buffers);
  EXPECT_GT(four.ranks[4].buffers, 0);
  EXPECT_EQ(four.ranks[4].weights, two.ranks[2].weights);
  EXPECT_LT(two.ranks[2].total(), two.ranks[1].total());  // the first of a replica holds text too
}

TEST(Plan, RanksOnOneCardAddUp) {
  PlanRequest request = request_of(128);
  request.card_memory = {{"card 0", 1 << 20}, {"card 1", int64_t{4} << 30}};
  const Plan plan = make_plan(demo(), placed(3, 2, request), request);
  ASSERT_EQ(plan.cards.size(), 2U);
  const CardBytes& shared = plan.cards.at("card 1");
  EXPECT_THAT(shared.ranks, ::testing::ElementsAre(0, 2));  // the encoder rank shares, with one that holds no text
  EXPECT_EQ(shared.needed, plan.ranks[0].total() + plan.ranks[2].total());
  EXPECT_TRUE(shared.fits());
  EXPECT_FALSE(plan.cards.at("card 0").fits());
  const auto json = nlohmann::json::parse(as_json(plan));
  EXPECT_EQ(json["fits"], false);
  EXPECT_EQ(json["dtype"], "bf16");
  EXPECT_EQ(json["ranks"][1]["total"], plan.ranks[1].total());
  EXPECT_THAT(as_text(plan), ::testing::HasSubstr("card 0: ranks 1 need"));
  EXPECT_THAT(as_text(plan), ::testing::HasSubstr("DOES NOT FIT"));
}

TEST(Plan, SaysWhatIsPinnedAndWhatNoAllocatorCounts) {
  const PlanRequest request = request_of(128);
  Placement placement = placed(2, 2, request);
  placement.encoder_residency = Residency::streamed;
  const Plan plan = make_plan(demo(), placement, request);
  const RankBytes &streams = plan.ranks[0], &draws = plan.ranks[1];
  EXPECT_GT(streams.host, 0);
  EXPECT_EQ(draws.host, 0);
  for (const RankBytes* rank : {&streams, &draws}) {
    int64_t weights = 0;
    for (const auto& [kind, bytes] : rank->weights) weights += bytes;
    EXPECT_GT(rank->outside, 0);
    EXPECT_EQ(rank->total(), weights + rank->buffers + rank->workspace + rank->outside);
  }
  const auto ranks = nlohmann::json::parse(as_json(plan))["ranks"];
  EXPECT_EQ(ranks[0]["pinned_on_host"], streams.host);
  EXPECT_EQ(ranks[1]["outside"], draws.outside);
  const std::string text = as_text(plan);
  const auto lines_with = [&](const std::string& words) {
    int lines = 0;
    for (size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++lines;
    return lines;
  };
  EXPECT_EQ(lines_with("of the host's memory, pinned: what is streamed to the card"), 1) << text;
  EXPECT_EQ(lines_with("the driver, libraries and NCCL"), 2) << text;
}

TEST(Plan, CpusHaveNoCards) {
  const Plan plan = make_plan(demo(), placed(2, 0, request_of(64)), request_of(64));
  EXPECT_TRUE(plan.cards.empty());
  EXPECT_FALSE(nlohmann::json::parse(as_json(plan)).contains("fits"));
  EXPECT_EQ(plan.sigmas.size(), 5U);
  EXPECT_EQ(plan.sigmas.back(), 0.0F);
}

}  // namespace
}  // namespace flux
