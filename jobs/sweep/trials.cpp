// Grids and lists of trainings.
#include "jobs/sweep/trials.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>

#include "peft/hub/json.h"

namespace rankwise {
namespace {

constexpr size_t kLongestName = 120;

std::string text_of(const OrderedJson& value) {
  return value.is_string() ? value.get<std::string>() : Json(value).dump();
}

// Letters that every file system takes.
std::string in_a_path(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) || std::strchr("._-+=,", c);
    safe += plain ? c : '_';
  }
  return safe;
}

void add_trial(std::vector<Trial>& trials, const OrderedJson& settings, const std::string& where,
               const std::vector<std::string>& shared) {
  if (!settings.is_object()) throw input_error("{}: is not an object of options", where);
  Trial trial;
  std::string named;
  for (const auto& [option, value] : settings.items()) {
    if (std::find(shared.begin(), shared.end(), option) != shared.end())
      throw input_error("{}: '{}' is the same for all trainings of a sweep: give it as --{}", where,
                        option, option);
    trial.settings[option] = text_of(value);
    named += fmt::format("{}{}={}", named.empty() ? "" : ",", option, text_of(value));
  }
  trial.name = fmt::format("{:03}-{}", trials.size() + 1, in_a_path(named));
  trial.name.resize(std::min(trial.name.size(), kLongestName));
  trials.push_back(std::move(trial));
}

void add_grid(std::vector<Trial>& trials, const OrderedJson& grid, const std::string& where,
              const std::vector<std::string>& shared) {
  std::vector<OrderedJson> combinations = {OrderedJson::object()};
  for (const auto& [option, value] : grid.items()) {
    const OrderedJson values = value.is_array() ? value : OrderedJson::array({value});
    if (values.empty()) throw input_error("{}: '{}' has no value", where, option);
    std::vector<OrderedJson> longer;
    for (const OrderedJson& combination : combinations) {
      for (const OrderedJson& one : values) {
        longer.push_back(combination);
        longer.back()[option] = one;
      }
    }
    combinations = std::move(longer);
  }
  for (const OrderedJson& combination : combinations) add_trial(trials, combination, where, shared);
}

}  // namespace

std::vector<Trial> read_trials(const std::filesystem::path& file,
                               const std::vector<std::string>& shared) {
  const std::string text = read_text_file(file, ErrorKind::kInput);
  std::vector<Trial> trials;
  if (file.extension() == ".jsonl") {
    int64_t number = 0;
    for (size_t begin = 0; begin < text.size(); ++number) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      const std::string line = text.substr(begin, end - begin);
      begin = end + 1;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      const std::string where = fmt::format("{}:{}", file.string(), number + 1);
      add_trial(trials, parse_ordered_json(line, where, ErrorKind::kInput), where, shared);
    }
  } else {
    const OrderedJson json = parse_ordered_json(text, file.string(), ErrorKind::kInput);
    if (json.is_object()) {
      add_grid(trials, json, file.string(), shared);
    } else if (json.is_array()) {
      for (const OrderedJson& one : json) add_trial(trials, one, file.string(), shared);
    } else {
      throw input_error("{}: is neither a grid (an object) nor a list of trainings", file.string());
    }
  }
  if (trials.empty()) throw input_error("{}: asks for no training", file.string());
  return trials;
}

}  // namespace rankwise
