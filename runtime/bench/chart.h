#pragma once

#include <string>
#include <utility>
#include <vector>

namespace flux {

/// A line of a chart: its points, x ascending.
struct ChartLine {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

/// A chart of lines from (0, 0) to the largest values.
struct LineChart {
  std::string id;  // of the svg element
  std::string title, x_title, y_title;
  double x_most = 1, y_most = 1;
  std::vector<ChartLine> lines{};
  bool marked = false;  // a dot at each point
};
std::string svg(const LineChart& chart);

/// A bar of a row, over a stretch of x.
struct ChartBar {
  size_t row = 0;
  double from = 0, to = 0;
  std::string kind;  // a class of the style sheet
  std::string text;  // shown when pointed at
};

/// A chart of bars in named rows.
struct BarChart {
  std::string id;
  std::string title, x_title;
  double x_most = 1;
  std::vector<std::string> rows;
  std::vector<ChartBar> bars;
};
std::string svg(const BarChart& chart);

/// Where x and y of 0 and of the largest value lie in the svg, pixels.
inline constexpr double kChartLeft = 70, kChartRight = 870, kChartTop = 30, kChartBottom = 290;

}  // namespace flux
