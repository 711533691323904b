// Computing is linear in the tokens of the slowest rank; rows are short enough for attention's
// square not to show. Dealing is the plan's own.
#include "jobs/scaling/step_model.h"

#include <algorithm>
#include <numeric>

#include "data/plan.h"
#include "distributed/core/least_squares.h"

namespace rankwise {
namespace {

Json to_json(const Link& link) {
  return {{"latency_seconds", link.latency_seconds}, {"seconds_per_byte", link.seconds_per_byte}};
}

// Finite, not negative. Errors: kInput.
double cost_in(const Json& object, const char* name, const std::string& where) {
  if (!object.is_object() || !object.contains(name) || !object[name].is_number() ||
      object[name].get<double>() < 0)
    throw input_error("{}: \"{}\" must be a number, at least 0", where, name);
  return object[name].get<double>();
}

int64_t count_in(const Json& object, const char* name, const std::string& where) {
  const double number = cost_in(object, name, where);
  if (!object[name].is_number_integer() || number > 0x1p62)
    throw input_error("{}: \"{}\" must be a whole number", where, name);
  return object[name].get<int64_t>();
}

Link link_in(const Json& object, const char* name, const std::string& where) {
  const Json link = object.value(name, Json());
  const std::string in = fmt::format("{}: {}", where, name);
  return {cost_in(link, "latency_seconds", in), cost_in(link, "seconds_per_byte", in)};
}

std::vector<int64_t> unit_tokens_in(const Json& object, const std::string& where) {
  const Json list = object.value("unit_tokens", Json());
  const auto whole = [](const Json& item) {
    return item.is_number_integer() && item.get<int64_t>() > 0;
  };
  if (!list.is_array() || list.empty() || !std::all_of(list.begin(), list.end(), whole))
    throw input_error("{}: \"unit_tokens\" must be a list of whole numbers above 0", where);
  return list.get<std::vector<int64_t>>();
}

// As many units as asked for, with lengths spread as those of the list.
std::vector<UnitRows> spread(const std::vector<int64_t>& unit_tokens, int64_t units) {
  std::vector<UnitRows> list(static_cast<size_t>(units));
  const auto lengths = static_cast<int64_t>(unit_tokens.size());
  for (int64_t i = 0; i < units; ++i)
    list[static_cast<size_t>(i)].tokens =
        unit_tokens[static_cast<size_t>((2 * i + 1) * lengths / (2 * units))];
  return list;
}

}  // namespace

PredictedUpdate StepModel::predict(const NodeLayout& layout, int64_t units) const {
  const std::vector<int64_t> tokens =
      Plan::loads(spread(unit_tokens, units), static_cast<int>(layout.ranks));
  PredictedUpdate update;
  update.tokens = std::accumulate(tokens.begin(), tokens.end(), int64_t{0});
  const auto slowest = static_cast<double>(*std::max_element(tokens.begin(), tokens.end()));
  const auto neighbours = static_cast<double>(layout.ranks_per_node() - 1);
  update.reduction_seconds = reduction.seconds(layout, reduction_bytes);
  update.seconds = update_seconds +
                   slowest * (token_seconds + neighbours * neighbour_token_seconds) +
                   update.reduction_seconds;
  update.bytes_per_node = base_bytes_per_node + layout.ranks_per_node() * bytes_per_rank;
  return update;
}

void fit_updates(StepModel& model, const std::vector<MeasuredUpdate>& measured) {
  std::vector<std::vector<double>> rows;
  std::vector<double> seconds;
  for (const MeasuredUpdate& update : measured) {
    const auto tokens = static_cast<double>(update.slowest_tokens);
    const auto neighbours = static_cast<double>(update.layout.ranks_per_node() - 1);
    rows.push_back({1, tokens, tokens * neighbours});
    seconds.push_back(update.seconds);
  }
  const std::vector<double> costs = fit_costs(rows, seconds);
  model.update_seconds = costs[0];
  model.token_seconds = costs[1];
  model.neighbour_token_seconds = costs[2];
}

Json to_json(const StepModel& model) {
  return {{"update_seconds", model.update_seconds},
          {"token_seconds", model.token_seconds},
          {"neighbour_token_seconds", model.neighbour_token_seconds},
          {"within_node", to_json(model.reduction.within_node)},
          {"between_nodes", to_json(model.reduction.between_nodes)},
          {"reduction_bytes", model.reduction_bytes},
          {"unit_rows", model.unit_rows},
          {"unit_tokens", model.unit_tokens},
          {"base_bytes_per_node", model.base_bytes_per_node},
          {"bytes_per_rank", model.bytes_per_rank},
          {"ranks", model.fitted_on.ranks},
          {"nodes", model.fitted_on.nodes}};
}

StepModel read_step_model(const std::filesystem::path& file) {
  const Json model = read_json(file, ErrorKind::kInput).value("model", Json());
  const std::string where = file.string() + ": model";
  return {cost_in(model, "update_seconds", where),
          cost_in(model, "token_seconds", where),
          cost_in(model, "neighbour_token_seconds", where),
          {link_in(model, "within_node", where), link_in(model, "between_nodes", where)},
          count_in(model, "reduction_bytes", where),
          std::max<int64_t>(1, count_in(model, "unit_rows", where)),
          unit_tokens_in(model, where),
          count_in(model, "base_bytes_per_node", where),
          count_in(model, "bytes_per_rank", where),
          {std::max<int64_t>(1, count_in(model, "ranks", where)),
           std::max<int64_t>(1, count_in(model, "nodes", where))}};
}

}  // namespace rankwise
