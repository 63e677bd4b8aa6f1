#include "runtime/bench/report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "runtime/bench/chart.h"
#include "runtime/bench/throughput_json.h"
#include "runtime/sink/html_text.h"

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kLeastSeconds = 0.001;  // that an axis shows
constexpr size_t kMostBars = 5000;       // a page that a browser still scrolls

/// A sheet of paper is light, whatever the screen.
constexpr const char* kReportStyle = R"(
body {{ box-sizing: border-box; margin: 0 auto; padding: 1.5rem 1rem; max-width: 960px; background: var(--page); color: var(--text); font: 15px/1.4 system-ui, sans-serif; }}
h1 {{ margin: 0; }}
h2 {{ margin-top: 2.5rem; border-top: 1px solid var(--rule); padding-top: 1rem; break-after: avoid; }}
pre {{ font-size: 13px; white-space: pre-wrap; overflow-wrap: anywhere; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem .5rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }}
th {{ font-weight: 600; vertical-align: bottom; white-space: normal; }}
th:first-child, td:first-child {{ padding-left: 0; text-align: left; }}
:root {{ color-scheme: light dark; --page: #ffffff; --text: #1c1e22; --faint: #5c6068; --rule: #d9dce1; {} }}
@media print {{ table, pre {{ font-size: 10px; }} th, td {{ padding: .2rem .3rem; }} }}
@media screen and (prefers-color-scheme: dark) {{
:root {{ --page: #16181d; --text: #e6e6e6; --faint: #b0b0b0; --rule: #33363d; {} }}
}}
{})";

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
                  .title = "How latencies are distributed",
                  .x_title = "latency, seconds",
                  .y_title = "part of the requests that took no longer",
                  .x_most = kLeastSeconds};
  for (size_t i = 0; i < waves.size(); ++i) {
    chart.lines.push_back(distribution(waves[i], wave_name(results[i])));
    if (!chart.lines.back().points.empty())
      chart.x_most = std::max(chart.x_most, chart.lines.back().points.back().first);
  }
  return figure_of(chart);
}

/// What a key of the results is at each rate.
ChartLine over_load(const std::vector<Json>& results, const char* key, const std::string& name) {
  ChartLine line{.name = name, .points = {}, .marked = true};
  for (const Json& result : results)
    if (!result["request_rate"].is_null() && !result[key].is_null())
      line.points.emplace_back(result["request_rate"].get<double>(), result[key].get<double>());
  std::ranges::sort(line.points);
  return line;
}

/// As large as what it shows. Nothing where fewer than two rates were measured.
std::string chart_over_load(LineChart chart) {
  chart.x_title = "requests offered a second";
  chart.x_most = chart.y_most = 0;
  for (const ChartLine& line : chart.lines)
    for (const auto& [x, y] : line.points) {
      chart.x_most = std::max(chart.x_most, x);
      chart.y_most = std::max(chart.y_most, y);
    }
  return chart.lines.front().points.size() < 2 || chart.y_most <= 0 ? "" : figure_of(chart);
}

std::string throughput_chart(const std::vector<Json>& results) {
  LineChart chart{.id = "throughput",
                  .title = "Throughput over offered load",
                  .x_title = {},
                  .y_title = "requests completed a second",
                  .lines = {over_load(results, "throughput_qps", "measured")}};
  double both = 0;
  for (const auto& [offered, completed] : chart.lines.front().points)
    both = std::max(both, std::min(offered, completed));
  chart.lines.push_back({.name = "as much as is offered", .points = {{0, 0}, {both, both}}, .dashed = true});
  return chart_over_load(std::move(chart));
}

std::string latency_over_load(const std::vector<Json>& results) {
  return chart_over_load({.id = "latency-over-load",
                          .title = "Latency over offered load",
                          .x_title = {},
                          .y_title = "latency, seconds",
                          .lines = {over_load(results, "latency_p50", "p50"), over_load(results, "latency_p90", "p90"),
                                    over_load(results, "latency_p99", "p99")}});
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
  return figure_of(LineChart{.id = fmt::format("requests-{}", number),
                             .title = "Requests: " + wave_name(result),
                             .x_title = "seconds since the first arrival",
                             .y_title = "requests so far",
                             .x_most = end,
                             .y_most = static_cast<double>(wave.requests.size()),
                             .lines = {counted(arrivals, "arrived", end), counted(completions, "completed", end)}});
}

std::string timeline(const WaveResult& wave, const Json& result, size_t number) {
  BarChart chart{.id = fmt::format("timeline-{}", number),
                 .title = "What every rank did: " + wave_name(result),
                 .x_title = "seconds since the first arrival",
                 .y_title = "rank",
                 .x_most = std::max(wave.duration, kLeastSeconds),
                 .rows = {},
                 .kinds = {"encode", "denoise", "decode"},
                 .bars = {}};
  for (const Json& rank : result["ranks"]) chart.rows.push_back(std::to_string(rank["rank"].get<int>()));
  for (const Span& span : wave.spans) {
    if (chart.bars.size() == kMostBars) break;
    chart.bars.push_back({static_cast<size_t>(span.rank), span.from, span.to, span.stage,
                          fmt::format("picture {}, {}: {:.3f} s: {}", span.picture, span.stage, span.to - span.from,
                                      wave.requests[span.request].prompt)});
  }
  std::string text = figure_of(chart);
  if (wave.spans.size() > kMostBars)
    text += fmt::format("<p>The first {} of {} pieces of work are shown.</p>\n", kMostBars, wave.spans.size());
  return text;
}

struct Column {
  const char* heading;
  const char* key;  // of the results
  int digits;       // behind the point
  double times = 1;
};
constexpr std::array<Column, 10> kColumns = {{{"requests completed", "completed_requests", 0},
                                              {"failed", "failed_requests", 0},
                                              {"requests a second", "throughput_qps", 3},
                                              {"pictures an hour", "images_per_hour", 0},
                                              {"latency p50, s", "latency_p50", 3},
                                              {"p90, s", "latency_p90", 3},
                                              {"p99, s", "latency_p99", 3},
                                              {"within the SLO, %", "slo_attainment", 1, 100},
                                              {"energy a picture, J", "energy_per_image_joules", 1},
                                              {"mean power, W", "mean_power_watts", 0}}};

/// A row a wave; columns that no wave knows are left out.
std::string summary(const std::vector<Json>& results) {
  std::string head = "<th>load</th>";
  std::vector<Column> columns;
  for (const Column& column : kColumns) {
    if (std::ranges::all_of(results, [&](const Json& result) { return result[column.key].is_null(); })) continue;
    columns.push_back(column);
    head += fmt::format("<th>{}</th>", column.heading);
  }
  std::string rows;
  for (const Json& result : results) {
    rows += fmt::format("<tr><td>{}</td>", html_text(wave_name(result)));
    for (const Column& column : columns) {
      const Json& value = result[column.key];
      rows += value.is_null() ? "<td>-</td>"
                              : fmt::format("<td>{:.{}f}</td>", value.get<double>() * column.times, column.digits);
    }
    rows += "</tr>\n";
  }
  return fmt::format(
      "<div class=\"wide\"><table id=\"summary\"><thead><tr>{}</tr></thead><tbody>\n{}</tbody></table></div>\n", head,
      rows);
}

/// What is printed of the wave, line by line, for html_text() makes one line of what it is given.
std::string as_printed(const Json& result) {
  std::string html = "<pre>";
  std::istringstream text(throughput_text(result));
  for (std::string line; std::getline(text, line);) html += html_text(line) + "\n";
  return html + "</pre>\n";
}

}  // namespace

std::string throughput_report(const std::vector<WaveResult>& waves, const std::vector<Json>& results) {
  const Json& first = results.front();
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>flux-dist bench throughput: "
      "{1}</title><meta name=\"viewport\" content=\"width=device-width\"><style>{0}</style></head><body>\n"
      "<h1>Throughput</h1>\n<p>{1}, {2}, quantized: {3}; {4}, seed {5}; flux-dist {6} ({7}); {8}</p>\n",
      fmt::format(kReportStyle, kChartColours, kDarkChartColours, kChartStyle),
      html_text(first["model"]["name"].get<std::string>()), html_text(first["dtype"].get<std::string>()),
      html_text(first["quantize"].get<std::string>()), html_text(first["dataset"].get<std::string>()),
      first["seed"].get<uint64_t>(), html_text(first["program"]["version"].get<std::string>()),
      html_text(first["program"]["revision"].get<std::string>()), first["time"].get<std::string>());
  html += summary(results) + throughput_chart(results) + latency_over_load(results) + latency_chart(waves, results);
  for (size_t i = 0; i < waves.size(); ++i)
    html += fmt::format("<h2>{}</h2>\n", html_text(wave_name(results[i]))) + as_printed(results[i]) +
            requests_chart(waves[i], results[i], i) + timeline(waves[i], results[i], i);
  return html + "</body></html>\n";
}

}  // namespace flux
