// What a sweep tries: the trainings that its file asks for.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace rankwise {

struct Trial {
  std::string name;                             // of its folder: "003-learning_rate=0.001,r=8"
  std::map<std::string, std::string> settings;  // option → text
};

// A .json file with one object is a grid: each option has a list of values (or one value), and
// every combination is tried, the last option changing fastest. A .jsonl file, or a .json file with
// a list, has one object a training. Errors: kInput naming file, line and option: no training, a
// list where a value should be, options that every training of a sweep shares (`shared`).
std::vector<Trial> read_trials(const std::filesystem::path& file,
                               const std::vector<std::string>& shared);

}  // namespace rankwise
