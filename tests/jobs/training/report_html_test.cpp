// report.html: what is on the page, where points lie, and that no text of a user can become markup.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "jobs/training/chart.h"
#include "jobs/training/report.h"

namespace rankwise {
namespace {

TrainerState some_run(int64_t updates) {
  TrainerState state;
  state.global_step = state.max_steps = updates;
  for (int64_t step = 1; step <= updates; ++step) {
    state.log_history.push_back(
        {{"step", step}, {"loss", 1.0 / static_cast<double>(step)}, {"learning_rate", 1e-5}});
  }
  state.log_history.push_back({{"step", updates},
                               {"eval_loss", 0.25},
                               {"eval_accuracy", 0.5},
                               {"eval_runtime", 3.0},
                               {"epoch", 1.0}});
  return state;
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(ReportHtml, ShowsACurveForEachMetricOfTheRun) {
  const std::string page =
      report_html("run", some_run(3), {{"seed", 42}}, {{"eval_accuracy", 0.5}});
  EXPECT_EQ(count(page, "<svg"), 3u);  // loss with eval_loss, accuracy, learning rate
  EXPECT_EQ(count(page, "<circle"), 3u + 1 + 1 + 3);
  for (const char* part :
       {"<title>step 2: loss 0.5</title>", "<title>step 3: eval_loss 0.25</title>",
        "<figcaption>Evaluation: accuracy</figcaption>", "<figcaption>Learning rate</figcaption>",
        "<td>seed</td><td>42</td>", "<td>eval_accuracy</td><td>0.5</td>"}) {
    EXPECT_EQ(count(page, part), 1u) << part;
  }
  EXPECT_EQ(count(page, "eval_runtime"), 0u);
}

TEST(ReportHtml, NeedsNothingFromOutside) {
  const std::string page = report_html("run", some_run(3), {{"a", 1}}, {});
  for (const char* part :
       {"http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link"}) {
    EXPECT_EQ(count(page, part), 0u) << part;
  }
}

TEST(ReportHtml, EscapesEveryText) {
  const std::string evil = "<script>\"&'";
  TrainerState state = some_run(2);
  state.log_history.push_back({{"step", 2}, {"eval_" + evil, 1.0}});
  const std::string page = report_html(evil, state, {{evil, evil}}, {{evil, Json::array({evil})}});
  EXPECT_EQ(count(page, "<script"), 0u);
  EXPECT_GE(count(page, "&lt;script&gt;&quot;&amp;&#39;"), 6u);
}

TEST(ReportHtml, LeavesOutWhatIsNoNumber) {
  TrainerState state;
  state.log_history = {
      {{"step", 1}, {"loss", nullptr}}, {{"step", 2}, {"loss", NAN}}, {{"loss", 1.0}}, Json(5)};
  EXPECT_EQ(count(report_html("run", state, {}, {}), "<svg"), 0u);
}

// The value of the last attribute of this name before `part`: where `part`'s point or tick lies.
double attribute_before(const std::string& svg, const std::string& name, const std::string& part) {
  const size_t end = svg.find(part), at = svg.rfind(" " + name + "=", end);
  if (end == std::string::npos || at == std::string::npos) {
    ADD_FAILURE() << "no " << name << " before " << part;
    return NAN;
  }
  return std::stod(svg.substr(at + name.size() + 2));
}

TEST(LineChart, PutsPointsOnTheScaleOfTheTicks) {
  const std::string svg = line_chart("t", "step", {{"y", {{0, 0}, {50, 5}, {100, 10}}}});
  const std::string first = "<title>step 0: y 0<", middle = "<title>step 50: y 5<";
  const double left = attribute_before(svg, "cx", first),
               centre = attribute_before(svg, "cx", middle);
  EXPECT_NEAR(attribute_before(svg, "x", " text-anchor=middle>40<"), left + (centre - left) * 0.8,
              0.11);
  const double bottom = attribute_before(svg, "cy", first),
               half = attribute_before(svg, "cy", middle);
  EXPECT_NEAR(attribute_before(svg, "y", ">4</text>"), bottom + (half - bottom) * 0.8 + 4,
              0.11);  // text: 4 lower
  EXPECT_GT(centre, left);
  EXPECT_LT(half, bottom);  // pixels count downwards
}

TEST(LineChart, KeepsPeaksOfLongRuns) {
  Series series{"loss", {}};
  for (int i = 0; i < 100'000; ++i)
    series.points.push_back({static_cast<double>(i), i == 77'777 ? 9.0 : 1.0 + i % 2});
  const std::string svg = line_chart("t", "step", {series});
  EXPECT_EQ(count(svg, "<title>step 77777: loss 9</title>"), 1u);
  EXPECT_EQ(count(svg, "<circle"), 600u);
}

TEST(LineChart, FlatAndSinglePointsHaveFiniteCoordinates) {
  for (const Series& series :
       {Series{"y", {{1, 0}}}, Series{"y", {{0, 5}, {1, 5}}}, Series{"y", {{0, -1e-300}}}}) {
    const std::string svg = line_chart("t", "step", {series});
    EXPECT_EQ(count(svg, "nan") + count(svg, "inf") + count(svg, ">-0<"), 0u) << svg;
    EXPECT_GE(count(svg, "class=grid"), 3u) << svg;
  }
}

}  // namespace
}  // namespace rankwise
