#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/request.h"
#include "runtime/placement.h"

namespace flux {

/// What one rank holds.
struct RankBytes {
  std::map<std::string, int64_t> weights;  // by kind: text_encoder, text_encoder_2, modulation, vae, transformer
  int64_t buffers = 0;                     // the denoiser's arena, and conditioning
  int64_t workspace = 0;                   // results in between, at most
  int64_t host = 0;                        // of what is streamed, in pinned memory
  int64_t outside = 0;                     // of the driver, its libraries and NCCL, as measured: no allocator counts it

  int64_t total() const;  // on its device
};

/// What the ranks on one card hold together.
struct CardBytes {
  std::vector<int> ranks;
  int64_t needed = 0;
  int64_t memory = 0;  // of the card; 0: not known

  bool fits() const { return memory == 0 || needed <= memory; }
};

/// What goes where, without touching a card or a weight.
struct Plan {
  Placement placement;
  Picture picture;
  std::vector<RankBytes> ranks;
  std::vector<ContextParallel> context_parallel;  // of each replica
  std::map<std::string, CardBytes> cards;         // by name; empty on CPUs
  std::vector<float> sigmas;                      // steps + 1

  bool fits() const;  // every card whose memory is known
};

/// What is drawn, and the memory of each card (bytes, by name; may be empty).
struct PlanRequest {
  Picture picture;
  int64_t num_inference_steps = 28;
  std::vector<double> sigmas{};  // of the steps, as Prompt has them
  int64_t max_sequence_length = 512;
  std::map<std::string, int64_t> card_memory;
};

/// Builds the model's own modules over a source that has shapes and no values, and adds up what they keep.
Plan make_plan(const ModelFolder& folder, const Placement& placement, const PlanRequest& request);

std::string as_text(const Plan& plan);
std::string as_json(const Plan& plan);

}  // namespace flux
