#include "runtime/bench/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/sink/html_text.h"

namespace flux {
namespace {

constexpr double kWidth = 900, kRow = 28, kBelow = 64;
constexpr int kTicks = 8;
constexpr size_t kColours = 6;

/// A scale's step: 1, 2 or 5 times a power of ten, so that there are at most kTicks.
double step_of(double most) {
  const double least = most / kTicks;
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double times : {1.0, 2.0, 5.0})
    if (times * power >= least) return times * power;
  return 10 * power;
}

struct Axes {
  double x_most, y_most, bottom;

  double x(double value) const { return kChartLeft + (kChartRight - kChartLeft) * value / x_most; }
  double y(double value) const { return bottom - (bottom - kChartTop) * value / y_most; }
};

/// `which`: a class that says where the text lies beside the point.
std::string label(double x, double y, const char* which, const std::string& text) {
  return fmt::format("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", which, x, y, html_text(text));
}

std::string rule(double x1, double y1, double x2, double y2) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", x1, y1, x2, y2);
}

struct Titles {
  const std::string &chart, &x, &y;
};

/// `keys`: what stands above the chart.
std::string begin(const std::string& id, const Titles& titles, const std::string& keys, const Axes& axes) {
  std::string text = fmt::format(
      "<figure><figcaption>{0}</figcaption>\n{1}<svg id=\"{2}\" role=\"img\" aria-label=\"{0}\" viewBox=\"0 0 {3} "
      "{4}\" data-x-most=\"{5}\" data-y-most=\"{6}\">\n",
      html_text(titles.chart), keys, html_text(id), kWidth, axes.bottom + kBelow, axes.x_most, axes.y_most);
  const double step = step_of(axes.x_most);
  for (int i = 0; i * step <= axes.x_most; ++i) {
    text += rule(axes.x(i * step), kChartTop, axes.x(i * step), axes.bottom);
    text += label(axes.x(i * step), axes.bottom + 6, "below", fmt::format("{:g}", i * step));
  }
  return text + label((kChartLeft + kChartRight) / 2, axes.bottom + 36, "below", titles.x) +
         label(kChartLeft, kChartTop - 14, "above", titles.y);
}

std::string key(const std::string& classes, const std::string& name) {
  return fmt::format("<span><i class=\"{}\"></i>{}</span>\n", classes, html_text(name));
}

std::string line_classes(const ChartLine& line, size_t number) {
  return fmt::format("series{}{}", number % kColours, line.dashed ? " dashed" : number >= kColours ? " dotted" : "");
}

std::string drawn(const ChartLine& line, const Axes& axes, const std::string& classes) {
  std::string text = fmt::format("<polyline class=\"{}\" data-name=\"{}\" points=\"", classes, html_text(line.name));
  for (const auto& [x, y] : line.points) text += fmt::format("{:.2f},{:.2f} ", axes.x(x), axes.y(y));
  text += fmt::format("\"><title>{}</title></polyline>\n", html_text(line.name));
  if (!line.marked) return text;
  for (const auto& [x, y] : line.points)
    text += fmt::format(
        "<circle class=\"{}\" cx=\"{:.2f}\" cy=\"{:.2f}\" r=\"4\"><title>{}: {:.4g} at {:g}</title></circle>\n",
        classes, axes.x(x), axes.y(y), html_text(line.name), y, x);
  return text;
}

}  // namespace

// Of narrow pages the text is larger within the chart, which is smaller there: about ten pixels on any.
const char* const kChartStyle = R"(
figure { margin: 1.5rem 0; break-inside: avoid; }
figcaption { font-weight: 600; margin-bottom: .3rem; }
.keys span { margin-right: 1.2em; white-space: nowrap; }
.keys i { display: inline-block; width: 1.4em; margin-right: .5em; vertical-align: middle; border-top: .2em solid; }
.keys i.bar { border-top-width: .75em; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--faint); font-size: 12px; }
svg line { stroke: var(--rule); }
polyline { fill: none; stroke: currentColor; stroke-width: 2; }
circle { fill: currentColor; }
rect { fill: currentColor; fill-opacity: .8; stroke: currentColor; stroke-width: .6; }
.below { text-anchor: middle; dominant-baseline: hanging; }
.above { text-anchor: start; }
.beside { text-anchor: end; dominant-baseline: central; }
.keys .dashed, .keys .dotted { border-top-style: dashed; }
.dashed { stroke-dasharray: 7 5; }
.dotted { stroke-dasharray: 2 3; }
.series0 { color: var(--series0); }
.series1 { color: var(--series1); }
.series2 { color: var(--series2); }
.series3 { color: var(--series3); }
.series4 { color: var(--series4); }
.series5 { color: var(--series5); }
@media (max-width: 720px) { svg text { font-size: 17px; } polyline { stroke-width: 3; } }
@media (max-width: 480px) { svg text { font-size: 23px; } polyline { stroke-width: 4; } circle { r: 7px; } }
)";
const char* const kChartColours =
    "--series0: #1f6fc4; --series1: #c25e00; --series2: #1d7f35; --series3: #c22f2f; --series4: #7b3fc2; --series5: "
    "#80690a;";
const char* const kDarkChartColours =
    "--series0: #9ecbff; --series1: #ffb86b; --series2: #8be28b; --series3: #ff9e9e; --series4: #d6a6ff; --series5: "
    "#f2e279;";

std::string figure_of(const LineChart& chart) {
  const double step = step_of(chart.y_most);
  const Axes axes{chart.x_most, step * std::ceil(chart.y_most / step - 1e-9), kChartBottom};
  std::string keys, lines;
  for (size_t i = 0; i < chart.lines.size(); ++i) {
    const std::string classes = line_classes(chart.lines[i], i);
    keys += key(classes, chart.lines[i].name);
    lines += drawn(chart.lines[i], axes, classes);
  }
  std::string text =
      begin(chart.id, {chart.title, chart.x_title, chart.y_title}, "<div class=\"keys\">" + keys + "</div>\n", axes);
  for (int i = 0; i * step <= axes.y_most + step / 2; ++i) {
    text += rule(kChartLeft, axes.y(i * step), kChartRight, axes.y(i * step));
    text += label(kChartLeft - 8, axes.y(i * step), "beside", fmt::format("{:g}", i * step));
  }
  return text + lines + "</svg></figure>\n";
}

std::string figure_of(const BarChart& chart) {
  const Axes axes{chart.x_most, 1, kChartTop + kRow * static_cast<double>(chart.rows.size())};
  const auto kind_of = [&](const std::string& kind) {
    const auto place = std::find(chart.kinds.begin(), chart.kinds.end(), kind) - chart.kinds.begin();
    return fmt::format("series{}", static_cast<size_t>(place) % kColours);
  };
  std::string keys;
  for (const std::string& kind : chart.kinds) keys += key("bar " + kind_of(kind), kind);
  std::string text =
      begin(chart.id, {chart.title, chart.x_title, chart.y_title}, "<div class=\"keys\">" + keys + "</div>\n", axes);
  for (size_t row = 0; row < chart.rows.size(); ++row) {
    const double top = kChartTop + kRow * static_cast<double>(row);
    text += rule(kChartLeft, top + kRow, kChartRight, top + kRow);
    text += label(kChartLeft - 8, top + kRow / 2, "beside", chart.rows[row]);
  }
  for (const ChartBar& bar : chart.bars)
    text += fmt::format(
        "<rect class=\"{}\" data-kind=\"{}\" data-row=\"{}\" x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" "
        "height=\"{:.1f}\"><title>{}</title></rect>\n",
        kind_of(bar.kind), html_text(bar.kind), bar.row, axes.x(bar.from),
        kChartTop + kRow * static_cast<double>(bar.row) + 4, axes.x(bar.to) - axes.x(bar.from), kRow - 8,
        html_text(bar.text));
  return text + "</svg></figure>\n";
}

}  // namespace flux
