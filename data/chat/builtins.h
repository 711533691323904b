// The filters, tests, methods and functions that templates use. To add one: a line in its table.
#pragma once

#include <ctime>
#include <string_view>

#include "data/chat/value.h"

namespace rankwise::chat {

// All throw TemplateError: an unknown name (with those that are known), values amiss.
Value apply_filter(std::string_view name, const Value& input, const Arguments& arguments);
bool apply_test(std::string_view name, const Value& input, const Arguments& arguments);
// `found` false: there is no such method.
Value call_method(const Value& of, std::string_view name, const Arguments& arguments, bool& found);
Dict functions(std::time_t now);  // range, namespace, dict, raise_exception, strftime_now

Value attribute_of(const Value& of, std::string_view name);  // a field, or undefined
Value item_of(const Value& of, const Value& key);
Value slice_of(const Value& of, const Value& from, const Value& to, const Value& step);

// raise_exception: what the template says of the conversation.
struct Raised {
  std::string message;
};

// text.cpp: Python's methods of str.
std::string stripped(std::string_view text, std::string_view characters, bool left, bool right);
std::string upper(std::string_view text);
std::string lower(std::string_view text);
Value text_method(const std::string& text, std::string_view name, const Arguments& arguments,
                  bool& found);

}  // namespace rankwise::chat
