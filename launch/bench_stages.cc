// What a picture takes beside its steps, on rank 0; the others wait.

#include <fmt/format.h>

#include "launch/bench_found.h"
#include "model/decoder.h"
#include "model/encoder_modules.h"
#include "runtime/bench_decode.h"
#include "runtime/bench_encode.h"
#include "runtime/bench_load.h"
#include "runtime/roll_call.h"

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

Json row(const char* stage, const Spread& milliseconds) {
  Json result{{"stage", stage}};
  result.update(as_json(milliseconds));
  return result;
}

Json loaded_row(const char* stage, const LoadTimes& times) {
  Json result = row(stage, times.milliseconds);
  result["read_bytes"] = times.bytes;
  result["read_gb_per_s"] = static_cast<double>(times.bytes) / times.milliseconds.median / 1e6;
  return result;
}

/// The encoders and the VAE as generate's rank 0 loads them.
std::vector<Json> loads(const Subject& subject, const Placement& placement) {
  const RankPlace& place = placement.ranks.front();
  const auto encoder = [&](const Checkpoint& checkpoint) -> Loaded {
    const Placing placing{.device = place.device, .compute = placement.dtype, .residency = placement.encoder_residency};
    return std::make_shared<EncoderModules>(checkpoint, placing, placement.formats);
  };
  const auto decoder = [&](const Checkpoint& checkpoint) -> Loaded {
    return std::make_shared<Decoder>(checkpoint, Placing{.device = place.device, .compute = placement.dtype});
  };
  const int64_t repetitions = subject.options.repetitions;
  return {loaded_row("load encoders", measure_load(subject.checkpoint, place, encoder, repetitions)),
          loaded_row("load vae", measure_load(subject.checkpoint, place, decoder, repetitions))};
}

std::vector<Json> computed(const Subject& subject, const Placement& placement) {
  const BenchOptions& options = subject.options;
  const RankPlace& place = placement.ranks.front();
  const EncodeTimes encode = measure_encode(subject.checkpoint, placement, place, options.max_sequence_length,
                                            options.num_inference_steps, options.repetitions);
  const DecodeTimes decode =
      measure_decode(subject.checkpoint, place, placement.dtype, subject.picture, options.repetitions);
  return {row("encode", encode.encode), row("modulation", encode.modulation), row("decode", decode.milliseconds)};
}

std::string stage_text(const Json& row) {
  std::string text = fmt::format("{:<14} {}", row["stage"].get<std::string>(), spread_text(row));
  if (row.contains("read_bytes"))
    text += fmt::format(", {:.3f} GB read, {:.2f} GB/s", row["read_bytes"].get<double>() / 1e9,
                        row["read_gb_per_s"].get<double>());
  return text + '\n';
}

}  // namespace

Found found_of_stages(const Subject& subject, const Placement& placement, World& world) {
  Found found{heading(subject, placement), {}, {}, {}};
  found.heading["num_inference_steps"] = subject.options.num_inference_steps;
  together(world, [&] {
    if (world.rank() != 0) return;
    if (!subject.options.random_weights) found.rows = loads(subject, placement);  // random ones are not read
    for (const Json& of_stage : computed(subject, placement)) found.rows.push_back(of_stage);
    const RankPlace& place = placement.ranks.front();
    const Json state = state_of_card(place);
    found.text = heading_text(found.heading, "the stages") +
                 fmt::format("rank 0   {} {}{}\n", place.host, place.card_name, state_text(state));
    for (Json& of_stage : found.rows) {
      of_stage.update(measured_by(place));
      of_stage.update(state);
      found.text += stage_text(of_stage);
    }
    found.whole = found.heading;
    found.whole["stages"] = found.rows;
  });
  return found;
}

}  // namespace flux
