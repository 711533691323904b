// Looking a name up in a table of names and functions.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "data/chat/value.h"

namespace rankwise::chat {

// Throws TemplateError: not there, and what is.
template <class Table>
auto look_up(const Table& table, std::string_view name, const char* what) {
  std::string known;
  for (const auto& [one, made] : table) {
    if (one == name) return made;
    known += (known.empty() ? "" : ", ") + std::string(one);
  }
  throw TemplateError{fmt::format("the {} '{}' is not supported (known: {})", what, name, known)};
}

}  // namespace rankwise::chat
