#pragma once

// The denoiser over several ranks equals the denoiser on one, and reads only what it needs. Instantiated over threads,
// under mpirun and over NCCL.

#include <gtest/gtest.h>

#include "model/denoiser.h"
#include "model/reproducible_arithmetic.h"
#include "model/transformer/cut.h"
#include "model/transformer/modulation_layout.h"
#include "parallel/rank/stage_stream.h"
#include "tests/model/checkpoint/recorder.h"
#include "tests/model/comparison.h"
#include "tests/model/transformer/one_rank.h"
#include "tests/parallel/ranks.h"
#include "tests/reference.h"

namespace flux::denoising {

/// The demo with a transformer of another shape and random weights.
inline Checkpoint small_model() {
  ModelFolder folder(source_folder() / "configs/demo");
  TransformerConfig& shape = folder.transformer;
  shape.num_layers = shape.num_single_layers = 2;
  shape.num_attention_heads = 12;
  shape.attention_head_dim = 16;
  shape.axes_dims_rope = {4, 4, 8};
  return random_weights(folder, 7);
}

struct Request {
  Picture picture;
  int64_t text_tokens;
  int branches = 1;
};

/// The largest first: it fixes which ranks hold text. Then smaller ones, down to fewer tokens than ranks.
inline const std::vector<Request> requests = {{{.height = 128, .width = 112, .seed = 1}, 12},
                                              {{.height = 32, .width = 48, .seed = 2}, 12},
                                              {{.height = 80, .width = 48, .seed = 3}, 5, 2},
                                              {{.height = 16, .width = 16, .seed = 4}, 2},
                                              {{.height = 128, .width = 112, .seed = 5}, 1, 2}};

inline const Demand largest{requests.front().picture.tokens(), requests.front().text_tokens};

inline Conditioning conditioning_of(const Request& request, const TransformerConfig& config, at::Device device) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(request.picture.seed);
  Conditioning conditioning{.branches = {}, .sigmas = {1.0F, 0.6F, 0.0F}, .true_cfg_scale = 3.0};
  for (int branch = 0; branch < request.branches; ++branch) {
    const auto txt = at::randn({request.text_tokens, config.hidden_size()}, generator);
    const auto modulation = 0.5 * at::randn({2, ModulationLayout(config).size()}, generator);
    conditioning.branches.push_back({txt.to(device), modulation.to(device)});
  }
  return conditioning;
}

inline at::Tensor draw(Denoiser& denoiser, const Request& request, const TransformerConfig& config, at::Device device) {
  return denoiser(conditioning_of(request, config, device), request.picture, [](int64_t, int64_t) {}).cpu();
}

/// How a suite's ranks are joined, and where each computes.
struct Setting {
  std::function<std::unique_ptr<Communicator>(World&)> group;
  std::function<at::Device(int rank)> device;
};

inline at::Device on_cpu(int) { return at::kCPU; }

class DenoiserRanks : public testing::TestWithParam<std::tuple<int, Setting>> {
 protected:
  void SetUp() override {
    demand_reproducible_arithmetic();
    const auto last = setting().device(ranks() - 1);
    if (last.is_cuda() && at::getNumGPUs() <= static_cast<size_t>(last.index())) {
      GTEST_SKIP() << "needs a card " << last;
    }
  }

  int ranks() const { return std::get<0>(GetParam()); }
  Setting setting() const { return std::get<1>(GetParam()); }
  int text_ranks() const { return flux::text_ranks(largest.text_tokens, largest.image_tokens, ranks()); }

  const Checkpoint checkpoint_ = small_model();
};

/// A code that comes out otherwise on a card changes a value by a rounding to 8 bits, the sums of fp32 by less. Those
/// of LLM.int8 come out otherwise of the same values; rounding to e4m3's three bits is 1/16 of a value.
inline double difference_on_cards(const Exchange& exchange, Format format = Format::dense) {
  if (format == Format::fp8 || exchange.attention == Format::fp8) return 1.0 / 16;
  if (format == Format::int8_outliers) return 3e-2;
  return format == Format::int8 || exchange.keys_values == Format::int8 ? 1e-2 : 1e-5;
}

/// Of those that are widened for a product, rows know nothing of the others: one number of ranks stands for all.
inline bool told_by_one_number_of_ranks(Format format) {
  return format != Format::dense && input_of(format) == Format::dense && format != Format::int8_outliers;
}

/// How matrices are kept, and what travels: what one rank draws does not depend on the way.
using enum ContextParallel;
constexpr std::pair<Format, Exchange> formats[] = {{Format::dense, {}},
                                                   {Format::int8, {}},
                                                   {Format::fp8, {}},
                                                   {Format::int8_weights, {}},
                                                   {Format::fp8_weights, {}},
                                                   {Format::nf4, {}},
                                                   {Format::fp4, {}},
                                                   {Format::int8_outliers, {}},
                                                   {Format::dense, {gather, Format::int8}},
                                                   {Format::int8, {gather, Format::int8}},
                                                   {Format::fp8, {gather, Format::fp8}},
                                                   {Format::dense, {ulysses}},
                                                   {Format::dense, {ulysses, Format::int8}},
                                                   {Format::int8, {ulysses, Format::int8}},
                                                   {Format::int8_outliers, {ulysses}},
                                                   {Format::dense, {.attention = Format::fp8}},
                                                   {Format::int8, {.attention = Format::fp8}},
                                                   {Format::dense, {ulysses, Format::dense, Format::fp8}}};

/// The same on one rank.
inline Exchange alone_in(const Exchange& exchange) { return {gather, exchange.keys_values, exchange.attention}; }

inline std::string words(const Exchange& exchange) {
  return std::string(context_parallel_name(exchange.context)) + " of keys and values in " +
         format_name(exchange.keys_values) + ", attention in " + format_name(exchange.attention);
}

inline bool possible(const Exchange& exchange, const TransformerConfig& config, int ranks) {
  return exchange.context == gather || config.num_attention_heads % ranks == 0;
}

/// What one rank draws on a CPU, on all ranks of the sequence; the first one computes it.
inline std::vector<at::Tensor> drawn_by_one_rank(const Checkpoint& checkpoint, Format format, const Exchange& exchange,
                                                 Communicator& sequence, at::Device device) {
  const auto& config = checkpoint.folder.transformer;
  std::vector<at::Tensor> drawn;
  for (const auto& request : requests) drawn.push_back(at::empty({request.picture.tokens(), config.in_channels}));
  if (sequence.rank() == 0) {
    const OneRank alone;
    Denoiser denoiser(checkpoint, {at::kCPU, at::kFloat, format}, *alone, largest, alone_in(exchange));
    for (size_t index = 0; index < requests.size(); ++index)
      drawn[index].copy_(draw(denoiser, requests[index], config, at::kCPU));
  }
  for (auto& latents : drawn) {
    const at::Tensor there = latents.to(device);
    sequence.broadcast(there, 0).wait();
    latents = there.cpu();
  }
  return drawn;
}

TEST_P(DenoiserRanks, EqualOneRank) {
  const auto& config = checkpoint_.folder.transformer;
  for (const auto& [format, exchange] : formats) {
    if (!possible(exchange, config, ranks()) || (told_by_one_number_of_ranks(format) && ranks() != 2)) continue;
    run_ranks(ranks(), [&](World& world) {
      const auto device = setting().device(world.rank());
      const auto sequence = setting().group(world);
      const auto expected = drawn_by_one_rank(checkpoint_, format, exchange, *sequence, device);
      Denoiser shared(checkpoint_, {device, at::kFloat, format}, *sequence, largest, exchange);
      for (size_t index = 0; index < requests.size(); ++index) {
        const auto latents = draw(shared, requests[index], config, device);
        const auto where = testing::Message()
                           << "request " << index << " in " << format_name(format) << ", " << words(exchange);
        EXPECT_LE(relative_to_largest(latents, expected[index]), difference_on_cards(exchange, format)) << where;
        EXPECT_TRUE(device.is_cuda() || at::equal(latents, expected[index])) << "not the same bits: " << where;
      }
    });
  }
}

TEST_P(DenoiserRanks, OfUnequalSharesEqualOneRank) {
  const auto& config = checkpoint_.folder.transformer;
  Demand uneven = largest;
  for (int rank = 0; rank < ranks(); ++rank) uneven.shares.push_back(1 + (rank * 5 + 2) % 4);
  for (const Exchange& exchange : {Exchange{}, Exchange{gather, Format::int8}, Exchange{ulysses, Format::int8},
                                   Exchange{gather, Format::dense, Format::fp8}}) {
    if (!possible(exchange, config, ranks())) continue;
    run_ranks(ranks(), [&](World& world) {
      const auto device = setting().device(world.rank());
      const auto sequence = setting().group(world);
      const auto expected = drawn_by_one_rank(checkpoint_, Format::dense, exchange, *sequence, device);
      Denoiser shared(checkpoint_, {device}, *sequence, uneven, exchange);
      for (size_t index = 0; index < requests.size(); ++index) {
        const auto latents = draw(shared, requests[index], config, device);
        EXPECT_LE(relative_to_largest(latents, expected[index]), difference_on_cards(exchange));
        EXPECT_TRUE(device.is_cuda() || at::equal(latents, expected[index])) << "not the same bits: request " << index;
      }
    });
  }
}

/// A value is at most half a 127th of its head's largest away: an attention over rounded keys and values is near the
/// exact one, and is another.
TEST_P(DenoiserRanks, WhatTravelsAsInt8IsRounded) {
  if (ranks() > 2) GTEST_SKIP() << "the same on any number of ranks";
  run_ranks(ranks(), [&](World& world) {
    const auto device = setting().device(world.rank());
    const auto sequence = setting().group(world);
    Denoiser exact(checkpoint_, {device, at::kFloat}, *sequence, largest);
    Denoiser rounded(checkpoint_, {device, at::kFloat}, *sequence, largest, {gather, Format::int8});
    const auto& config = checkpoint_.folder.transformer;
    const double error =
        relative_rms(draw(rounded, requests[0], config, device), draw(exact, requests[0], config, device));
    EXPECT_GT(error, 1e-5);
    EXPECT_LT(error, 0.5 / 127);
  });
}

/// On a stream of its own a card's steps are recorded and replayed, but those in int8-outliers; on the legacy default
/// stream they are not.
TEST_P(DenoiserRanks, ReplayedStepsHaveTheSameBits) {
  if (setting().device(0).is_cpu() && ranks() != 2) GTEST_SKIP() << "CPUs record no steps: two ranks stand for all";
  const auto& config = checkpoint_.folder.transformer;
  run_ranks(ranks(), [&](World& world) {
    const auto device = setting().device(world.rank());
    const auto sequence = setting().group(world);
    for (const auto& [format, exchange] :
         {std::pair(Format::dense, Exchange{}), std::pair(Format::int8_outliers, Exchange{}),
          std::pair(Format::dense, Exchange{ulysses}), std::pair(Format::dense, Exchange{ulysses, Format::int8}),
          std::pair(Format::dense, Exchange{gather, Format::dense, Format::fp8})}) {
      if (!possible(exchange, config, ranks())) continue;
      Denoiser denoiser(checkpoint_, {device, at::kFloat, format}, *sequence, largest, exchange);
      std::vector<at::Tensor> expected;
      for (const auto& request : requests) expected.push_back(draw(denoiser, request, config, device));
      const StageStream stream(device);
      for (int time = 0; time < 2; ++time)
        for (size_t index = 0; index < requests.size(); ++index)
          for (int again = 0; again < 2; ++again)
            EXPECT_TRUE(at::equal(draw(denoiser, requests[index], config, device), expected[index]))
                << "request " << index << " in " << format_name(format) << ", " << words(exchange);
      const bool recorded = device.is_cuda() && sequence->capturable() && format != Format::int8_outliers;
      EXPECT_EQ(denoiser.replayed_steps() > 0, recorded) << format_name(format) << ", " << words(exchange);
    }
  });
}

inline bool contains_any(const std::string& name, const std::vector<std::string>& parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](const std::string& part) { return name.find(part) != std::string::npos; });
}

/// Of a rank's weights: what the transformer reads of those that are there, and their bytes in fp32.
inline void expect_reads(Communicator& sequence, const Checkpoint& checkpoint, const Placing& placing,
                         bool holds_text) {
  const auto recorder = std::make_shared<Recorder>(checkpoint.open("transformer"));
  const Checkpoint recorded{checkpoint.folder, [&](const std::string&) { return recorder; }};
  const Denoiser denoiser(recorded, placing, sequence, largest);
  int64_t values = 0;
  std::set<std::string> expected;
  for (const auto& name : recorder->names()) {
    const bool of_encoder = contains_any(
        name, {"time_text_embed.", "context_embedder.", ".norm1.", ".norm1_context.", ".norm.", "norm_out."});
    const bool of_text = contains_any(name, {".add_", ".norm_added_", ".to_add_out.", ".ff_context."});
    // Where the columns of all ranks' rows are found, others stand by, with norms alone.
    const bool stands_by = placing.store == Format::int8_outliers && contains_any(name, {".norm_added_"});
    if (!of_encoder && (!of_text || holds_text || stands_by)) {
      expected.insert(name);
      values += c10::multiply_integers(recorder->find(name)->shape);
    }
  }
  EXPECT_EQ(recorder->read_names(), expected);
  if (placing.store == Format::dense) {
    EXPECT_NEAR(denoiser.weight_bytes(), values * 4, 256.0 * static_cast<double>(expected.size()));
  } else {
    EXPECT_LT(denoiser.weight_bytes(), values * 2);
  }
  EXPECT_EQ(Denoiser(shapes_only(checkpoint.folder), placing, sequence, largest).weight_bytes(),
            denoiser.weight_bytes());
}

TEST_P(DenoiserRanks, ReadOnlyWhatTheyNeed) {
  run_ranks(ranks(), [&](World& world) {
    const auto sequence = setting().group(world);
    for (const Format format : {Format::dense, Format::int8_outliers})
      expect_reads(*sequence, checkpoint_, {setting().device(world.rank()), at::kFloat, format},
                   world.rank() < text_ranks());
  });
}

}  // namespace flux::denoising
