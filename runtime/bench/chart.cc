#include "runtime/bench/chart.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "runtime/sink/html_text.h"

namespace flux {
namespace {

constexpr double kWidth = 900, kRow = 22, kBelow = 50;
constexpr int kTicks = 8;
constexpr std::array kColours = {"#9ecbff", "#ffb86b", "#8be28b", "#ff9e9e", "#d6a6ff", "#f2e279"};

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

std::string label(double x, double y, const char* anchor, const std::string& text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor, html_text(text));
}

std::string rule(double x1, double y1, double x2, double y2) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", x1, y1, x2, y2);
}

std::string begin(const std::string& id, const std::string& title, const Axes& axes, const std::string& x_title) {
  std::string text =
      fmt::format("<h2>{}</h2>\n<svg id=\"{}\" viewBox=\"0 0 {} {}\" data-x-most=\"{}\" data-y-most=\"{}\">\n",
                  html_text(title), html_text(id), kWidth, axes.bottom + kBelow, axes.x_most, axes.y_most);
  const double step = step_of(axes.x_most);
  for (int i = 0; i * step <= axes.x_most; ++i) {
    text += rule(axes.x(i * step), kChartTop, axes.x(i * step), axes.bottom);
    text += label(axes.x(i * step), axes.bottom + 16, "middle", fmt::format("{:g}", i * step));
  }
  return text + label((kChartLeft + kChartRight) / 2, axes.bottom + 36, "middle", x_title);
}

std::string drawn(const ChartLine& line, const Axes& axes, const char* colour, bool marked) {
  std::string text = fmt::format("<polyline data-name=\"{}\" stroke=\"{}\" points=\"", html_text(line.name), colour);
  for (const auto& [x, y] : line.points) text += fmt::format("{:.2f},{:.2f} ", axes.x(x), axes.y(y));
  text += fmt::format("\"><title>{}</title></polyline>\n", html_text(line.name));
  for (const auto& [x, y] : line.points)
    if (marked)
      text +=
          fmt::format("<circle cx=\"{:.2f}\" cy=\"{:.2f}\" r=\"4\" fill=\"{}\"><title>{:g}: {:g}</title></circle>\n",
                      axes.x(x), axes.y(y), colour, x, y);
  return text;
}

}  // namespace

std::string svg(const LineChart& chart) {
  const Axes axes{chart.x_most, chart.y_most, kChartBottom};
  std::string text = begin(chart.id, chart.title, axes, chart.x_title);
  const double step = step_of(chart.y_most);
  for (int i = 0; i * step <= chart.y_most; ++i) {
    text += rule(kChartLeft, axes.y(i * step), kChartRight, axes.y(i * step));
    text += label(kChartLeft - 8, axes.y(i * step) + 4, "end", fmt::format("{:g}", i * step));
  }
  text += label(kChartLeft, kChartTop - 12, "start", chart.y_title);
  for (size_t i = 0; i < chart.lines.size(); ++i) {
    const char* colour = kColours[i % kColours.size()];
    text += drawn(chart.lines[i], axes, colour, chart.marked);
    if (chart.lines.size() > 1)
      text += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\" style=\"fill: {}\">{}</text>\n", kChartRight - 8,
                          kChartBottom - 12 - 16 * static_cast<double>(i), colour, html_text(chart.lines[i].name));
  }
  return text + "</svg>\n";
}

std::string svg(const BarChart& chart) {
  const Axes axes{chart.x_most, 1, kChartTop + kRow * static_cast<double>(chart.rows.size())};
  std::string text = begin(chart.id, chart.title, axes, chart.x_title);
  for (size_t row = 0; row < chart.rows.size(); ++row)
    text += label(kChartLeft - 8, kChartTop + kRow * (static_cast<double>(row) + 0.7), "end", chart.rows[row]);
  for (const ChartBar& bar : chart.bars)
    text += fmt::format(
        "<rect class=\"{}\" data-row=\"{}\" x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" "
        "height=\"{:.1f}\"><title>{}</title>"
        "</rect>\n",
        bar.kind, bar.row, axes.x(bar.from), kChartTop + kRow * static_cast<double>(bar.row) + 2,
        axes.x(bar.to) - axes.x(bar.from), kRow - 4, html_text(bar.text));
  return text + "</svg>\n";
}

}  // namespace flux
