// A line chart as inline SVG, coloured by the page's style sheet (report_html.cpp).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rankwise {

struct Point {
  double x = 0, y = 0;
};

struct Series {
  std::string name;
  std::vector<Point> points;  // finite, x ascending
};

// <figure> with title, legend (two series or more), axes with ticks, and a hover title at every
// drawn point.
std::string line_chart(const std::string& title, const std::string& x_name,
                       const std::vector<Series>& series);

std::string escape_html(std::string_view text);

}  // namespace rankwise
