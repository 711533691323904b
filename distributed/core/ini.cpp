// Writes run.ini. The form of odd values is JSON's, whose reader undoes it.
#include "distributed/core/ini.h"

#include <fmt/format.h>

#include <algorithm>

namespace rankwise {
namespace {

bool is_control(char letter) { return static_cast<unsigned char>(letter) < 0x20; }

bool survives_bare(std::string_view text) {
  if (text.empty()) return true;
  const auto is_blank = [](char letter) { return letter == ' '; };
  return text.front() != '"' && !is_blank(text.front()) && !is_blank(text.back()) &&
         text.find('#') == std::string_view::npos &&
         std::none_of(text.begin(), text.end(), is_control);
}

}  // namespace

std::string ini_value(std::string_view text) {
  if (survives_bare(text)) return std::string(text);
  std::string quoted = "\"";
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') {
      quoted += {'\\', letter};
    } else if (letter == '#' || is_control(letter)) {
      quoted += fmt::format("\\u{:04x}", static_cast<int>(letter));
    } else {
      quoted += letter;
    }
  }
  return quoted + '"';
}

std::string run_ini(const std::string& verb, const Fields& fields) {
  std::string text = fmt::format("# rankwise {} --config <this file>\n", verb);
  std::string group;
  for (const Field& field : fields.all()) {
    const std::string value = field.text();
    if (value.empty() && !field.given()) continue;
    if (field.group() != group) text += fmt::format("\n# {}\n", group = field.group());
    text += fmt::format("{} = {}\n", field.name(), ini_value(value));
  }
  return text;
}

}  // namespace rankwise
