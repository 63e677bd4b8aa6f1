#pragma once

#include <string>
#include <utility>
#include <vector>

namespace flux {

/// A line of a chart: its points, x ascending.
struct ChartLine {
  std::string name;
  std::vector<std::pair<double, double>> points;
  bool marked = false;  // a dot at each point
  bool dashed = false;  // nothing that was measured
};

/// A chart of lines from (0, 0) to the largest values.
struct LineChart {
  std::string id;  // of the svg element
  std::string title, x_title, y_title;
  double x_most = 1, y_most = 1;  // the axis of y goes on to its next mark
  std::vector<ChartLine> lines{};
};
std::string figure_of(const LineChart& chart);

/// A bar of a row, over a stretch of x.
struct ChartBar {
  size_t row = 0;
  double from = 0, to = 0;
  std::string kind;  // one of the chart's
  std::string text;  // shown when pointed at
};

/// A chart of bars in named rows.
struct BarChart {
  std::string id;
  std::string title, x_title, y_title;
  double x_most = 1;
  std::vector<std::string> rows;
  std::vector<std::string> kinds;
  std::vector<ChartBar> bars;
};
std::string figure_of(const BarChart& chart);

/// What the page's style sheet must hold for charts, in the colours --text, --faint and --rule of the page; --series0
/// to
/// --series5 are set here, for light pages and, as `dark`, for dark ones.
extern const char* const kChartStyle;
extern const char* const kChartColours;
extern const char* const kDarkChartColours;

/// Where x and y of 0 and of the largest value lie in the svg, pixels.
inline constexpr double kChartLeft = 90, kChartRight = 870, kChartTop = 40, kChartBottom = 300;

}  // namespace flux
