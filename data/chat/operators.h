// Python's operators on template values.
#pragma once

#include <string_view>

#include "data/chat/value.h"

namespace rankwise::chat {

// All throw TemplateError where Python would raise.
Value unary(std::string_view sign, const Value& value);                       // not - +
Value binary(std::string_view sign, const Value& left, const Value& right);   // + - * / // % ** ~
bool compares(std::string_view sign, const Value& left, const Value& right);  // == < in …

}  // namespace rankwise::chat
