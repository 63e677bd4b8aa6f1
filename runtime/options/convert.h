#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "parallel/world.h"
#include "runtime/options.h"
#include "runtime/options/settings.h"

namespace flux {

// The plain structs that the rest of the program sees.

/// What tokenize reads.
struct TextOptions {
  std::string prompt;
  std::string prompt_2;  // empty counts as none, as in diffusers
  std::optional<int64_t> max_sequence_length;

  const std::string& for_t5() const { return prompt_2.empty() ? prompt : prompt_2; }
};

/// What plan lays out beside the placement.
struct PlanOptions {
  std::optional<int> ranks;
  std::vector<int> cards;  // GiB of each; empty: nothing to fit into
  int64_t num_inference_steps = 28;
  std::vector<double> sigmas{};
  int64_t max_sequence_length = 512;
  std::filesystem::path simulate{};  // a result of bench throughput; empty: nothing is simulated
};

enum class Measure { step, decode, stages, comm, throughput, compare };

/// How bench prints what it found.
enum class OutputForm { text, markdown, csv, json_lines, json };

/// What bench measures.
struct BenchOptions {
  Measure measure = Measure::step;
  int64_t max_sequence_length = 512;
  int64_t num_inference_steps = 28;
  int64_t repetitions = 20;
  bool random_weights = false;
  std::string trace{};  // a file, or empty
  bool serialized = false;
  OutputForm form = OutputForm::text;
};

TextOptions text_options(const Settings& settings);
PlanOptions plan_options(const Settings& settings);    // of settings that hold the model's defaults
BenchOptions bench_options(const Settings& settings);  // likewise
PlacementOptions placement_options(const Settings& settings);
QuantizeFor quantize_for(const Settings& settings);
OutputOptions output_options(const Settings& settings);
OperationOptions operation_options(const Settings& settings);
Part part(const Settings& settings);
uint64_t run_seed(const Settings& settings);
Deadlines deadlines(const Settings& settings);

/// --model, or the snapshot that --revision names. Throws Invalid when there is none.
std::filesystem::path model_path(const Settings& settings);

}  // namespace flux
