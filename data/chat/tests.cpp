// The tests of `is`, as Jinja has them.
#include "data/chat/builtins.h"
#include "data/chat/table.h"

namespace rankwise::chat {
namespace {

using Test = bool (*)(const Value& input, const Arguments& arguments);

bool is_sequence(const Value& value) { return value.list() || value.dict() || value.text(); }

constexpr std::pair<std::string_view, Test> kTests[] = {
    {"!=", [](const Value& in, const Arguments& a) { return !equal(in, a.get(0, "")); }},
    {"==", [](const Value& in, const Arguments& a) { return equal(in, a.get(0, "")); }},
    {"boolean", [](const Value& in, const Arguments&) { return in.is_boolean(); }},
    {"callable", [](const Value& in, const Arguments&) { return in.function() != nullptr; }},
    {"defined", [](const Value& in, const Arguments&) { return !in.is_undefined(); }},
    {"divisibleby",
     [](const Value& in, const Arguments& a) {
       const int64_t by = a.get(0, "num").integer();
       return by != 0 && in.integer() % by == 0;
     }},
    {"eq", [](const Value& in, const Arguments& a) { return equal(in, a.get(0, "")); }},
    {"equalto", [](const Value& in, const Arguments& a) { return equal(in, a.get(0, "")); }},
    {"even", [](const Value& in, const Arguments&) { return in.integer() % 2 == 0; }},
    {"false", [](const Value& in, const Arguments&) { return in.is_boolean() && !in.truth(); }},
    {"float", [](const Value& in, const Arguments&) { return in.is_float(); }},
    {"ge", [](const Value& in, const Arguments& a) { return compare(in, a.get(0, "")) >= 0; }},
    {"gt", [](const Value& in, const Arguments& a) { return compare(in, a.get(0, "")) > 0; }},
    {"in", [](const Value& in, const Arguments& a) { return contains(a.get(0, ""), in); }},
    {"integer", [](const Value& in, const Arguments&) { return in.is_integer(); }},
    {"iterable",
     [](const Value& in, const Arguments&) { return is_sequence(in) || in.is_undefined(); }},
    {"le", [](const Value& in, const Arguments& a) { return compare(in, a.get(0, "")) <= 0; }},
    {"lower", [](const Value& in, const Arguments&) { return to_text(in) == lower(to_text(in)); }},
    {"lt", [](const Value& in, const Arguments& a) { return compare(in, a.get(0, "")) < 0; }},
    {"mapping", [](const Value& in, const Arguments&) { return in.dict() != nullptr; }},
    {"ne", [](const Value& in, const Arguments& a) { return !equal(in, a.get(0, "")); }},
    {"none", [](const Value& in, const Arguments&) { return in.is_none(); }},
    {"number", [](const Value& in, const Arguments&) { return in.is_number(); }},
    {"odd", [](const Value& in, const Arguments&) { return in.integer() % 2 != 0; }},
    {"sequence",
     [](const Value& in, const Arguments&) { return is_sequence(in) || in.is_undefined(); }},
    {"string", [](const Value& in, const Arguments&) { return in.text() != nullptr; }},
    {"true", [](const Value& in, const Arguments&) { return in.is_boolean() && in.truth(); }},
    {"undefined", [](const Value& in, const Arguments&) { return in.is_undefined(); }},
    {"upper", [](const Value& in, const Arguments&) { return to_text(in) == upper(to_text(in)); }},
};

}  // namespace

bool apply_test(std::string_view name, const Value& input, const Arguments& arguments) {
  return look_up(kTests, name, "test")(input, arguments);
}

}  // namespace rankwise::chat
