// report.html: one page without anything from outside. Which curves a run has is read from its log
// history.
#include <cmath>
#include <map>

#include "jobs/training/chart.h"
#include "jobs/training/report.h"

namespace rankwise {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --page: #fff; --ink: #1c1e21; --dim: #62676e; --line: #e1e4e8; --series0: #2368c4; --series1: #c8581a }
@media (prefers-color-scheme: dark) {
  :root { --page: #16181b; --ink: #e6e8eb; --dim: #9aa1a9; --line: #31353a; --series0: #6ea8f5; --series1: #f09a5e }
}
body { margin: 2rem auto; max-width: 1120px; padding: 0 1rem; background: var(--page); color: var(--ink); font: 15px/1.45 system-ui, sans-serif }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 1.5rem }
figure { margin: 0 } figcaption { font-weight: 600 } figcaption i { margin-left: .8em; font-style: normal; font-weight: 400 }
svg { width: 100%; height: auto; font-size: 11px } svg text { fill: var(--dim) }
.grid { stroke: var(--line) } .axis { stroke: var(--dim) }
path { fill: none; stroke-width: 1.8; stroke-linejoin: round } circle { opacity: 0 } circle:hover { opacity: 1 }
.series0 path { stroke: var(--series0) } .series0 circle { fill: var(--series0) } i.series0 { color: var(--series0) }
.series1 path { stroke: var(--series1) } .series1 circle { fill: var(--series1) } i.series1 { color: var(--series1) }
.series2 path { stroke: #2e8b57 } .series2 circle { fill: #2e8b57 } i.series2 { color: #2e8b57 }
.series3 path { stroke: #9455c8 } .series3 circle { fill: #9455c8 } i.series3 { color: #9455c8 }
.series4 path { stroke: #b8860b } .series4 circle { fill: #b8860b } i.series4 { color: #b8860b }
.series5 path { stroke: #c2417f } .series5 circle { fill: #c2417f } i.series5 { color: #c2417f }
.series6 path { stroke: #1f9aa8 } .series6 circle { fill: #1f9aa8 } i.series6 { color: #1f9aa8 }
.series7 path { stroke: #7f8894 } .series7 circle { fill: #7f8894 } i.series7 { color: #7f8894 }
table { border-collapse: collapse } th { text-align: left; padding-right: 1.5rem } td { padding: .2rem 1.5rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere }
td:first-child { color: var(--dim); white-space: nowrap } td { font-variant-numeric: tabular-nums }
)";

struct ChartPlan {
  std::string title;
  std::vector<std::string> keys;  // of log_history; those without points are left out
};

// What a run always has comes first; then every other metric of its evaluations.
std::vector<ChartPlan> chart_plans(const std::map<std::string, Series>& series) {
  std::vector<ChartPlan> plans = {{"Loss", {"loss", "eval_loss"}},
                                  {"Learning rate", {"learning_rate"}},
                                  {"Gradient norm", {"grad_norm"}},
                                  {"Tokens per second", {"tokens_per_second"}},
                                  {"Seconds an update", {"update_seconds"}},
                                  {"Share of time in communication", {"communication_share"}}};
  auto after_loss = plans.begin() + 1;
  for (const auto& [key, points] : series) {
    if (!key.starts_with("eval_") || key == "eval_loss" || !is_metric(key)) continue;
    after_loss = plans.insert(after_loss, {"Evaluation: " + key.substr(5), {key}}) + 1;
  }
  return plans;
}

std::map<std::string, Series> series_by_key(const std::vector<Json>& log_history) {
  std::map<std::string, Series> series;
  for (const Json& line : log_history) {
    if (!line.is_object() || !line.contains("step")) continue;
    for (const auto& [key, value] : line.items()) {
      if (!value.is_number() || !std::isfinite(value.get<double>())) continue;
      Series& of_key = series[key];
      of_key.name = key;
      of_key.points.push_back({line.at("step").get<double>(), value.get<double>()});
    }
  }
  return series;
}

std::string charts(const std::vector<Json>& log_history) {
  const std::map<std::string, Series> series = series_by_key(log_history);
  std::string html;
  for (const ChartPlan& plan : chart_plans(series)) {
    std::vector<Series> present;
    for (const std::string& key : plan.keys) {
      if (const auto found = series.find(key); found != series.end())
        present.push_back(found->second);
    }
    if (!present.empty()) html += line_chart(plan.title, "step", present);
  }
  return html;
}

std::string cell(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float() && std::isfinite(value.get<double>()))
    return fmt::format("{:.6g}", value.get<double>());
  return value.is_null() ? "" : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string page(const std::string& title, const std::string& body) {
  const std::string escaped = escape_html(title);
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
      "<meta name=viewport content=\"width=device-width, "
      "initial-scale=1\">\n<title>{}</title>\n<style>{}</style>\n"
      "</head>\n<body>\n<h1>{}</h1>\n{}</body>\n</html>\n",
      escaped, kStyle, escaped, body);
}

std::string table(const std::string& title, const Json& rows) {
  if (rows.empty()) return "";
  std::string html = "<h2>" + escape_html(title) + "</h2>\n<table>\n";
  for (const auto& [key, value] : rows.items()) {
    html += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", escape_html(key),
                        escape_html(cell(value)));
  }
  return html + "</table>\n";
}

}  // namespace

bool is_metric(const std::string& key) {
  return !key.ends_with("_runtime") && !key.ends_with("_samples") && !key.ends_with("_tokens") &&
         !key.ends_with("_per_second");
}

std::string report_html(const std::string& title, const TrainerState& state, const Json& settings,
                        const Json& summary) {
  return page(title, fmt::format("<p>Update {} of {}, epoch {:.4g} of {}</p>\n{}<h2>Curves</h2>\n"
                                 "<div class=charts>\n{}</div>\n{}",
                                 state.global_step, state.max_steps, state.epoch,
                                 state.num_train_epochs, table("Summary", summary),
                                 charts(state.log_history), table("Settings", settings)));
}

std::string text_table(const TableRows& rows) {
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      line += fmt::format("{}{:<{}}", i == 0 ? "" : "  ", row[i], widths[i]);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string table_html(const std::string& title, const TableRows& rows,
                       const std::vector<std::string>& charts) {
  std::string body = "<table>\n";
  for (size_t i = 0; i < rows.size(); ++i) {
    body += "<tr>";
    for (const std::string& text : rows[i])
      body += fmt::format("<{0}>{1}</{0}>", i == 0 ? "th" : "td", escape_html(text));
    body += "</tr>\n";
  }
  body += "</table>\n<div class=charts>\n";
  for (const std::string& chart : charts) body += chart;
  return page(title, body + "</div>\n");
}

std::string comparison_html(const std::string& title, const TableRows& rows,
                            const std::vector<NamedHistory>& histories) {
  std::map<std::string, std::vector<Series>> by_key;
  for (const NamedHistory& history : histories) {
    for (auto& [key, series] : series_by_key(history.log_history)) {
      series.name = history.name;
      by_key[key].push_back(series);
    }
  }
  std::vector<std::string> charts;
  for (const auto& [key, series] : by_key) {
    if (key == "loss" || (key.starts_with("eval_") && is_metric(key)))
      charts.push_back(line_chart(key, "step", series));
  }
  return table_html(title, rows, charts);
}

}  // namespace rankwise
