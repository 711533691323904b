// Boost finds the options in the words and in config files; types, ranges and nearest names are the
// fields' own business.
#include "launcher/command_line.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/value_semantic.hpp>
#include <boost/version.hpp>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "distributed/core/error.h"
#include "peft/hub/json.h"

namespace rankwise {
namespace {

namespace po = boost::program_options;

constexpr const char* kConfig = "config";

po::options_description described(const Fields& fields) {
  po::options_description options;
  options.add_options()(kConfig, po::value<std::string>());
  for (const Field& field : fields.all()) {
    options.add_options()(field.name().c_str(), po::value<std::string>());
  }
  return options;
}

bool is_option(const std::string& word, const Fields& fields) {
  if (!word.starts_with("--")) return false;
  const std::string name = word.substr(2, word.find('=') - 2);
  return name == kConfig || fields.find(name);
}

// Takes the option that the words begin with. Boost's own styles know no boolean whose value may
// follow or lack, no empty value behind '=', and take the next option for a missing value.
std::vector<po::option> take_option(std::vector<std::string>& words, const Fields& fields) {
  const std::string word = words.front();
  if (!word.starts_with("--") || word.size() == 2) return {};
  words.erase(words.begin());
  const size_t equals = word.find('=');
  po::option option(word.substr(2, equals - 2), {});
  option.original_tokens = {word};
  const Field* field = fields.find(option.string_key);
  if (equals != std::string::npos) {
    option.value = {word.substr(equals + 1)};
  } else if (field && field->is_bool()) {
    const bool follows = !words.empty() && !words[0].starts_with("--");
    option.value = {follows ? words[0] : "true"};
    if (follows) words.erase(words.begin());
  } else if (is_option(word, fields)) {
    if (words.empty() || is_option(words[0], fields)) throw usage_error("{} needs a value", word);
    option.value = {words[0]};
    words.erase(words.begin());
  }
  return {option};
}

// Undoes ini_value (distributed/core/ini.h).
std::string config_value(const po::option& option) {
  const std::string text = option.value.empty() ? "" : option.value[0];
  if (!text.starts_with('"')) return text;
  return parse_json(text, option.string_key, ErrorKind::kUsage).get<std::string>();
}

[[noreturn]] void refuse_word(const std::string& word, const Fields& fields) {
  const std::string name = word.substr(std::min(word.find_first_not_of('-'), word.size()));
  const bool lacks_dash = word.starts_with('-') && fields.find(name);
  throw Error(ErrorKind::kUsage, fmt::format("'{}' belongs to no option", word),
              lacks_dash ? fmt::format("did you mean --{}?", name)
                         : "options are written --name value or --name=value");
}

}  // namespace

const Verb& find_verb(const std::string& name, const std::vector<Verb>& verbs) {
  std::vector<std::string> names;
  for (const Verb& verb : verbs) {
    if (verb.name == name) return verb;
    names.push_back(verb.name);
  }
  const std::string nearest = nearest_name(name, names);
  const std::string hint = nearest.empty()
                               ? "the verbs are: " + fmt::format("{}", fmt::join(names, ", "))
                               : fmt::format("did you mean {}?", nearest);
  throw Error(ErrorKind::kUsage, fmt::format("unknown verb '{}'", name), hint);
}

bool asks_for_help(const std::vector<std::string>& arguments) {
  return std::any_of(arguments.begin(), arguments.end(),
                     [](const std::string& word) { return word == "--help" || word == "-h"; });
}

std::filesystem::path read_arguments(const std::vector<std::string>& arguments, Fields& fields) {
  std::filesystem::path config;
  const po::options_description options = described(fields);
  const auto style = po::command_line_style::allow_long | po::command_line_style::long_allow_next;
  const auto parsed = po::command_line_parser(arguments)
                          .options(options)
                          .style(style)
                          .extra_style_parser([&](std::vector<std::string>& words) {
                            return take_option(words, fields);
                          })
                          .allow_unregistered()
                          .run();
  std::set<std::string> seen;
  for (const po::option& option : parsed.options) {
    if (option.string_key.empty()) refuse_word(option.value.at(0), fields);
    if (!seen.insert(option.string_key).second) {
      throw usage_error("--{} is given twice", option.string_key);
    }
    if (option.string_key == kConfig) {
      config = option.value.at(0);
    } else {
      fields.at(option.string_key).set(option.value.empty() ? "" : option.value[0]);
    }
  }
  return config;
}

void read_config_text(const std::string& text, const std::string& where, Fields& fields) try {
  std::istringstream stream(text);
  const auto parsed = po::parse_config_file(stream, described(fields), /*allow_unregistered=*/true);
  std::set<std::string> seen;
  for (const po::option& option : parsed.options) {
    Field& field = fields.at(option.string_key);
    if (!seen.insert(field.name()).second) throw usage_error("{} is given twice", field.name());
    if (!field.given()) field.set(config_value(option));
  }
} catch (const Error& error) {
  throw Error(error.kind(), fmt::format("{}: {}", where, error.what()), error.hint());
} catch (const po::error& error) {  // a line without '='
  throw usage_error("{}: {}", where, error.what());
}

void read_config(const std::filesystem::path& file, Fields& fields) {
  std::ifstream stream(file);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream) throw usage_error("--{} {}: the file cannot be read", kConfig, file.string());
  read_config_text(text, file.string(), fields);
}

std::string boost_version() {
  return fmt::format("{}.{}.{}", BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000,
                     BOOST_VERSION % 100);
}

}  // namespace rankwise
