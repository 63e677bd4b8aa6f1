#include "launch/bench_found.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "model/dtype_name.h"
#include "parallel/rank/device.h"
#include "runtime/version.h"

namespace flux {

using Json = nlohmann::ordered_json;

Json heading(const Subject& subject, const Placement& placement) {
  const Versions& known = versions();
  return {{"program", known.program},
          {"revision", known.revision},
          {"torch", known.libraries.torch},
          {"cuda", known.libraries.cuda},
          {"nccl", known.libraries.nccl},
          {"driver", known.driver},
          {"height", subject.picture.height},
          {"width", subject.picture.width},
          {"text_tokens", subject.options.max_sequence_length},
          {"dtype", dtype_name(placement.dtype)},
          {"quantize", as_text(placement.formats)},
          {"transport", transport_name(placement.replicas.front().transport)},
          {"repetitions", subject.options.repetitions},
          {"random_weights", subject.options.random_weights}};
}

std::string heading_text(const Json& heading, const char* what) {
  return fmt::format("{} of {} x {} pixels and {} text tokens in {}, quantized: {}, over {}\n", what,
                     heading["width"].get<int64_t>(), heading["height"].get<int64_t>(),
                     heading["text_tokens"].get<int64_t>(), heading["dtype"].get<std::string>(),
                     heading["quantize"].get<std::string>(), heading["transport"].get<std::string>());
}

Json as_json(const Spread& milliseconds) {
  return {{"median_ms", milliseconds.median},
          {"p5_ms", milliseconds.p5},
          {"p95_ms", milliseconds.p95},
          {"sd_ms", milliseconds.deviation}};
}

std::string spread_text(const Json& milliseconds) {
  return fmt::format("{:.2f} ms ({:.2f} ... {:.2f}, sd {:.2f})", milliseconds["median_ms"].get<double>(),
                     milliseconds["p5_ms"].get<double>(), milliseconds["p95_ms"].get<double>(),
                     milliseconds["sd_ms"].get<double>());
}

std::string bytes_text(const Json& row) {
  constexpr double gib = 1 << 30;
  std::string text = fmt::format("{:.2f} GiB of weights, {:.2f} of buffers", row["weights_bytes"].get<double>() / gib,
                                 row["buffers_bytes"].get<double>() / gib);
  if (row.contains("workspace_bytes"))
    text += fmt::format(", {:.2f} of workspace", row["workspace_bytes"].get<double>() / gib);
  return text;
}

Json measured_by(const RankPlace& place) {
  return {{"rank", place.rank}, {"host", place.host}, {"card", place.card_name}};
}

Json state_of_card(const RankPlace& place) {
  Json result = Json::object();
  if (place.card.empty()) return result;
  const CardState state = card_state(place.card);
  if (state.sm_mhz) result["sm_mhz"] = *state.sm_mhz;
  if (state.watts) result["power_w"] = *state.watts;
  if (state.celsius) result["temperature_c"] = *state.celsius;
  if (state.held_down_for_heat)
    spdlog::warn("rank {}: {} on {} lowers its clocks for heat ({} C): cooled better it takes less time", place.rank,
                 place.card_name, place.host, state.celsius.value_or(0));
  return result;
}

std::string state_text(const Json& row) {
  std::string text;
  const auto add = [&](const char* name, const char* unit) {
    if (row.contains(name))
      text += fmt::format("{}{:.0f} {}", text.empty() ? "; then at " : ", ", row[name].get<double>(), unit);
  };
  add("sm_mhz", "MHz");
  add("power_w", "W");
  add("temperature_c", "C");
  return text;
}

Json level(const Json& row) {
  Json result;
  for (const auto& [name, value] : row.items()) {
    if (value.is_object())
      result.update(value);
    else
      result[name] = value;
  }
  return result;
}

}  // namespace flux
