// Draws line charts. Knows scales, ticks and SVG; what is drawn, and in which colours, is decided
// in report_html.cpp.
#include "jobs/training/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace rankwise {
namespace {

constexpr double kWidth = 520, kHeight = 260, kLeft = 64, kRight = 16, kTop = 10, kBottom = 42;
constexpr size_t kMostPoints = 600;  // about one a pixel; more only make the page heavy
constexpr size_t kColours = 8;       // that the style sheet has

// One axis: values to pixels, and where its ticks are.
struct Axis {
  double low, high, from_pixel, to_pixel;
  std::vector<double> ticks;

  double pixel(double value) const {
    return from_pixel + (value - low) / (high - low) * (to_pixel - from_pixel);
  }
};

// About five steps of 1, 2 or 5 times a power of ten between low and high.
std::vector<double> round_ticks(double low, double high, double least_step) {
  const double rough = (high - low) / 5, power = std::pow(10, std::floor(std::log10(rough)));
  const double digit = rough / power, step = std::max(least_step, power * (digit < 1.5   ? 1
                                                                           : digit < 3.5 ? 2
                                                                           : digit < 7.5 ? 5
                                                                                         : 10));
  std::vector<double> ticks;
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i)
    ticks.push_back(i * step + 0.0);  // never -0
  return ticks;
}

struct AxisStyle {
  double from_pixel, to_pixel;
  double margin;      // room beyond the values, as a part of their range
  double least_step;  // between ticks
};

template <class Coordinate>
Axis make_axis(const std::vector<Series>& series, Coordinate of, const AxisStyle& style) {
  double low = INFINITY, high = -INFINITY;
  for (const Series& line : series) {
    for (const Point& point : line.points) {
      low = std::min(low, of(point));
      high = std::max(high, of(point));
    }
  }
  const bool flat = !(high - low > std::abs(high) * 1e-9);
  const double room = flat ? std::max({std::abs(high) * 0.1, style.least_step, 1e-12})
                           : (high - low) * style.margin;
  low -= room;
  high += room;
  return {low, high, style.from_pixel, style.to_pixel, round_ticks(low, high, style.least_step)};
}

// The lowest and the highest point of each bucket: no peak gets lost.
std::vector<Point> thinned(const std::vector<Point>& points) {
  if (points.size() <= kMostPoints) return points;
  const size_t buckets = kMostPoints / 2;
  const auto lower = [](const Point& a, const Point& b) { return a.y < b.y; };
  std::vector<Point> kept;
  for (size_t bucket = 0; bucket < buckets; ++bucket) {
    const auto begin = points.begin() + static_cast<int64_t>(points.size() * bucket / buckets);
    const auto end = points.begin() + static_cast<int64_t>(points.size() * (bucket + 1) / buckets);
    auto [first, second] = std::minmax_element(begin, end, lower);
    if (second < first) std::swap(first, second);
    kept.push_back(*first);
    if (first != second) kept.push_back(*second);
  }
  return kept;
}

std::string draw_axes(const Axis& x, const Axis& y, const std::string& x_name) {
  std::string svg;
  for (const double tick : y.ticks) {
    svg += fmt::format("<line class=grid x1={} x2={} y1={:.1f} y2={:.1f} />", kLeft,
                       kWidth - kRight, y.pixel(tick), y.pixel(tick));
    svg += fmt::format("<text x={} y={:.1f} text-anchor=end>{:.6g}</text>", kLeft - 6,
                       y.pixel(tick) + 4, tick);
  }
  for (const double tick : x.ticks) {
    svg += fmt::format("<text x={:.1f} y={} text-anchor=middle>{:.6g}</text>", x.pixel(tick),
                       kHeight - kBottom + 17, tick);
  }
  svg += fmt::format("<line class=axis x1={} x2={} y1={} y2={} />", kLeft, kWidth - kRight,
                     kHeight - kBottom, kHeight - kBottom);
  svg += fmt::format("<text x={} y={} text-anchor=middle>{}</text>", (kLeft + kWidth - kRight) / 2,
                     kHeight - 6, escape_html(x_name));
  return svg;
}

std::string draw_series(const Series& series, size_t number, const std::string& x_name,
                        const Axis& x, const Axis& y) {
  std::string path, dots;
  for (const Point& point : thinned(series.points)) {
    const double left = x.pixel(point.x), top = y.pixel(point.y);
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", left, top);
    dots +=
        fmt::format("<circle cx={:.1f} cy={:.1f} r=4><title>{} {:.10g}: {} {:.6g}</title></circle>",
                    left, top, escape_html(x_name), point.x, escape_html(series.name), point.y);
  }
  return fmt::format("<g class=series{}><path d=\"{}\" />{}</g>", number % kColours, path, dots);
}

}  // namespace

std::string line_chart(const std::string& title, const std::string& x_name,
                       const std::vector<Series>& series) {
  const Axis x =
      make_axis(series, [](const Point& point) { return point.x; }, {kLeft, kWidth - kRight, 0, 1});
  const Axis y = make_axis(series, [](const Point& point) { return point.y; },
                           {kHeight - kBottom, kTop, 0.05, 0});
  std::string legend, lines;
  for (size_t i = 0; i < series.size(); ++i) {
    lines += draw_series(series[i], i, x_name, x, y);
    if (series.size() > 1)
      legend += fmt::format(" <i class=series{}>{}</i>", i % kColours, escape_html(series[i].name));
  }
  return fmt::format(
      "<figure><figcaption>{}{}</figcaption><svg viewBox=\"0 0 {} {}\" role=img "
      "aria-label=\"{}\">{}{}</svg></figure>\n",
      escape_html(title), legend, kWidth, kHeight, escape_html(title), draw_axes(x, y, x_name),
      lines);
}

std::string escape_html(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

}  // namespace rankwise
