#include "runtime/bench/report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <sstream>

#include "runtime/bench/chart.h"
#include "runtime/bench/throughput_json.h"
#include "runtime/sink/html_text.h"

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kLeastSeconds = 0.001;  // that an axis shows
constexpr size_t kMostBars = 5000;       // a page that a browser still scrolls

constexpr const char* kStyle = R"(
body { margin: 2rem auto; max-width: 960px; background: #16181d; color: #e6e6e6; font: 15px/1.4 system-ui, sans-serif; }
pre { overflow-x: auto; }
svg { width: 100%; height: auto; }
svg text { fill: #b0b0b0; font-size: 12px; }
svg line { stroke: #33363d; }
polyline { fill: none; stroke-width: 2; }
.encode { fill: #ffb86b; }
.denoise { fill: #9ecbff; }
.decode { fill: #8be28b; }
)";

std::string wave_name(const Json& result) {
  const Json& rate = result["request_rate"];
  return rate.is_null() ? result["scenario"].get<std::string>() : fmt::format("{:g} a second", rate.get<double>());
}

/// At each latency the part of the completed requests that took no longer.
ChartLine distribution(const WaveResult& wave, const std::string& name) {
  std::vector<double> latencies;
  for (const RequestResult& request : wave.requests)
    if (request.error.empty()) latencies.push_back(request.latency);
  std::ranges::sort(latencies);
  ChartLine line{name, {}};
  const auto count = static_cast<double>(latencies.size());
  for (size_t i = 0; i < latencies.size(); ++i) {  // a stair
    line.points.emplace_back(latencies[i], static_cast<double>(i) / count);
    line.points.emplace_back(latencies[i], static_cast<double>(i + 1) / count);
  }
  return line;
}

std::string latency_chart(const std::vector<WaveResult>& waves, const std::vector<Json>& results) {
  LineChart chart{.id = "latency",
                  .title = "Latency",
                  .x_title = "seconds",
                  .y_title = "part of the requests that took no longer",
                  .x_most = kLeastSeconds};
  for (size_t i = 0; i < waves.size(); ++i) {
    chart.lines.push_back(distribution(waves[i], wave_name(results[i])));
    if (!chart.lines.back().points.empty())
      chart.x_most = std::max(chart.x_most, chart.lines.back().points.back().first);
  }
  return svg(chart);
}

std::string throughput_chart(const std::vector<Json>& results) {
  LineChart chart{.id = "throughput",
                  .title = "Throughput over offered load",
                  .x_title = "requests offered a second",
                  .y_title = "requests completed a second",
                  .x_most = 0,
                  .y_most = 0,
                  .lines = {{"measured", {}}},
                  .marked = true};
  for (const Json& result : results) {
    if (result["request_rate"].is_null() || result["throughput_qps"].is_null()) continue;
    chart.lines[0].points.emplace_back(result["request_rate"].get<double>(), result["throughput_qps"].get<double>());
    chart.x_most = std::max(chart.x_most, chart.lines[0].points.back().first);
    chart.y_most = std::max(chart.y_most, chart.lines[0].points.back().second);
  }
  if (chart.lines[0].points.size() < 2 || chart.y_most <= 0) return "";
  std::ranges::sort(chart.lines[0].points);
  const double both = std::min(chart.x_most, chart.y_most);
  chart.lines.push_back({"as much as is offered", {{0, 0}, {both, both}}});
  return svg(chart);
}

/// How many have been at each time: a stair.
ChartLine counted(std::vector<double> times, const std::string& name, double end) {
  std::ranges::sort(times);
  ChartLine line{name, {{0, 0}}};
  for (size_t i = 0; i < times.size(); ++i) {
    line.points.emplace_back(times[i], static_cast<double>(i));
    line.points.emplace_back(times[i], static_cast<double>(i + 1));
  }
  line.points.emplace_back(end, static_cast<double>(times.size()));
  return line;
}

/// What lies between the lines waits or is worked on.
std::string requests_chart(const WaveResult& wave, const Json& result, size_t number) {
  std::vector<double> arrivals, completions;
  for (const RequestResult& request : wave.requests) {
    arrivals.push_back(request.arrival);
    if (request.error.empty()) completions.push_back(request.arrival + request.latency);
  }
  const double end = std::max(wave.duration, kLeastSeconds);
  return svg(LineChart{.id = fmt::format("requests-{}", number),
                       .title = "Requests: " + wave_name(result),
                       .x_title = "seconds since the first arrival",
                       .y_title = "requests",
                       .x_most = end,
                       .y_most = static_cast<double>(wave.requests.size()),
                       .lines = {counted(arrivals, "arrived", end), counted(completions, "completed", end)}});
}

std::string timeline(const WaveResult& wave, const Json& result, size_t number) {
  BarChart chart{.id = fmt::format("timeline-{}", number),
                 .title = "What every rank did: " + wave_name(result),
                 .x_title = "seconds since the first arrival",
                 .x_most = std::max(wave.duration, kLeastSeconds),
                 .rows = {},
                 .bars = {}};
  for (const Json& rank : result["ranks"]) chart.rows.push_back(fmt::format("rank {}", rank["rank"].get<int>()));
  for (const Span& span : wave.spans) {
    if (chart.bars.size() == kMostBars) break;
    chart.bars.push_back({static_cast<size_t>(span.rank), span.from, span.to, span.stage,
                          fmt::format("picture {}, {}: {:.3f} s: {}", span.picture, span.stage, span.to - span.from,
                                      wave.requests[span.request].prompt)});
  }
  std::string text = svg(chart);
  if (wave.spans.size() > kMostBars)
    text += fmt::format("<p>The first {} of {} pieces of work are shown.</p>\n", kMostBars, wave.spans.size());
  return text;
}

}  // namespace

std::string throughput_report(const std::vector<WaveResult>& waves, const std::vector<Json>& results) {
  const Json& first = results.front();
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>flux-dist bench throughput</title><meta "
      "name=\"viewport\" content=\"width=device-width\"><style>{}</style></head><body>\n<h1>Throughput</h1>\n<p>{}, "
      "{}, "
      "quantized: {}; {}, seed {}; flux-dist {} ({}); {}</p>\n",
      kStyle, html_text(first["model"]["name"].get<std::string>()), html_text(first["dtype"].get<std::string>()),
      html_text(first["quantize"].get<std::string>()), html_text(first["dataset"].get<std::string>()),
      first["seed"].get<uint64_t>(), html_text(first["program"]["version"].get<std::string>()),
      html_text(first["program"]["revision"].get<std::string>()), first["time"].get<std::string>());
  for (const Json& result : results) {
    html += "<pre>";  // line by line, for html_text() makes one line of what it is given
    std::istringstream text(throughput_text(result));
    for (std::string line; std::getline(text, line);) html += html_text(line) + "\n";
    html += "</pre>\n";
  }
  html += throughput_chart(results) + latency_chart(waves, results);
  html +=
      "<p>Bars: <span style=\"color: #ffb86b\">encode</span>, <span style=\"color: #9ecbff\">denoise</span>, <span "
      "style=\"color: #8be28b\">decode</span>; what they are shows when pointed at.</p>\n";
  for (size_t i = 0; i < waves.size(); ++i)
    html += requests_chart(waves[i], results[i], i) + timeline(waves[i], results[i], i);
  return html + "</body></html>\n";
}

}  // namespace flux
