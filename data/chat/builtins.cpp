// Filters and the methods of dicts, as Jinja and transformers have them.
#include "data/chat/builtins.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "data/chat/table.h"

namespace rankwise::chat {
namespace {

using Filter = Value (*)(const Value& input, const Arguments& arguments);

const std::string& text_of(const Value& value, const char* who) {
  if (!value.text()) throw TemplateError{fmt::format("{}: a {} is not a str", who, value.type())};
  return *value.text();
}

Value trim(const Value& input, const Arguments& arguments) {
  const Value characters = arguments.get(0, "chars");
  return stripped(to_text(input), characters.text() ? *characters.text() : "", true, true);
}

Value through_method(const char* name, const Value& input, const Arguments& arguments) {
  bool found = false;
  return text_method(to_text(input), name, arguments, found);
}

Value tojson(const Value& input, const Arguments& arguments) {
  const Value indent = arguments.get(1, "indent");  // behind ensure_ascii, in transformers' own
  return to_json(input, indent.is_undefined() || indent.is_none()
                            ? -1
                            : int(std::clamp<int64_t>(indent.integer(), 0, 16)));
}

Value default_of(const Value& input, const Arguments& arguments) {
  const bool also_false = arguments.get(1, "boolean").truth();
  const Value otherwise = arguments.get(0, "default_value");
  const bool wanted = input.is_undefined() || (also_false && !input.truth());
  if (!wanted) return input;
  return otherwise.is_undefined() ? Value("") : otherwise;
}

Value attribute_path(const Value& of, const Value& path) {
  if (path.is_undefined()) return of;
  if (!path.text()) return item_of(of, path);
  Value value = of;
  std::string_view rest = *path.text();
  while (!rest.empty()) {
    const size_t dot = std::min(rest.find('.'), rest.size());
    value = attribute_of(value, rest.substr(0, dot));
    rest.remove_prefix(std::min(dot + 1, rest.size()));
  }
  return value;
}

Value join(const Value& input, const Arguments& arguments) {
  const Value between = arguments.get(0, "d"), path = arguments.get(1, "attribute");
  std::string result;
  bool first = true;
  for (const Value& item : items_of(input)) {
    if (!first) result += to_text(between);
    first = false;
    result += to_text(attribute_path(item, path));
  }
  return result;
}

Value first(const Value& input, const Arguments&) {
  const List items = items_of(input);
  return items.empty() ? Value() : items.front();
}

Value last(const Value& input, const Arguments&) {
  const List items = items_of(input);
  return items.empty() ? Value() : items.back();
}

Value reverse(const Value& input, const Arguments&) {
  List items = items_of(input);
  std::reverse(items.begin(), items.end());
  if (!input.text()) return items;
  std::string text;
  for (const Value& item : items) text += *item.text();
  return text;
}

Value to_integer(const Value& input, const Arguments& arguments) {
  if (input.is_number()) return input.integer();
  int64_t value = 0;
  const std::string text = input.text() ? stripped(*input.text(), "", true, true) : "";
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size()) return value;
  const Value otherwise = arguments.get(0, "default");
  return otherwise.is_undefined() ? Value(int64_t{0}) : otherwise;
}

Value to_float(const Value& input, const Arguments&) {
  if (input.is_number()) return input.number();
  double value = 0;
  const std::string text = input.text() ? stripped(*input.text(), "", true, true) : "";
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Value items(const Value& input, const Arguments&) {
  List pairs;
  if (input.is_undefined()) return pairs;
  if (!input.dict()) throw TemplateError{fmt::format("items: a {} is not a dict", input.type())};
  for (const auto& [name, value] : *input.dict()) pairs.emplace_back(List{name, value});
  return pairs;
}

Value sorted(const Value& input, const Arguments& arguments) {
  List all = items_of(input);
  const bool backwards = arguments.get(0, "reverse").truth();
  const Value path = arguments.get(2, "attribute");
  std::stable_sort(all.begin(), all.end(), [&](const Value& a, const Value& b) {
    const int order = compare(attribute_path(a, path), attribute_path(b, path));
    return backwards ? order > 0 : order < 0;
  });
  return all;
}

Value dictsort(const Value& input, const Arguments&) {
  return sorted(items(input, {}), {{}, {{"attribute", Value(int64_t{0})}}});
}

Value unique(const Value& input, const Arguments&) {
  List found;
  for (const Value& item : items_of(input)) {
    const auto same = [&](const Value& other) { return equal(item, other); };
    if (std::none_of(found.begin(), found.end(), same)) found.push_back(item);
  }
  return found;
}

Arguments rest_of(const Arguments& arguments, size_t begin) {
  const auto skipped = std::min(begin, arguments.positional.size());
  return {{arguments.positional.begin() + ptrdiff_t(skipped), arguments.positional.end()}, {}};
}

// map("upper"), map(attribute="name")
Value map(const Value& input, const Arguments& arguments) {
  List result;
  const Value path = arguments.get(SIZE_MAX, "attribute");
  for (const Value& item : items_of(input)) {
    if (path.is_undefined()) {
      const std::string name = text_of(arguments.get(0, ""), "map");
      result.push_back(apply_filter(name, item, rest_of(arguments, 1)));
      continue;
    }
    const Value found = attribute_path(item, path), otherwise = arguments.get(SIZE_MAX, "default");
    result.push_back(found.is_undefined() && !otherwise.is_undefined() ? otherwise : found);
  }
  return result;
}

// select("test", …), selectattr("attribute", "test", …)
template <bool wanted, bool by_attribute>
Value select(const Value& input, const Arguments& arguments) {
  List result;
  constexpr size_t kTest = by_attribute ? 1 : 0;
  const Value test = arguments.get(kTest, "");
  for (const Value& item : items_of(input)) {
    const Value value = by_attribute ? attribute_path(item, arguments.get(0, "")) : item;
    const bool holds = test.is_undefined() ? value.truth()
                                           : apply_test(text_of(test, "select"), value,
                                                        rest_of(arguments, kTest + 1));
    if (holds == wanted) result.push_back(item);
  }
  return result;
}

Value indent(const Value& input, const Arguments& arguments) {
  const Value width = arguments.get(0, "width");
  const bool with_first = arguments.get(1, "first").truth(),
             blank = arguments.get(2, "blank").truth();
  const std::string margin =
      width.text()
          ? *width.text()
          : std::string(
                size_t(width.is_undefined() ? 4 : std::clamp<int64_t>(width.integer(), 0, 1000)),
                ' ');
  const std::string text = to_text(input);
  std::string result = with_first ? margin : "";
  for (size_t at = 0; at < text.size(); ++at) {
    result += text[at];
    const bool empty_line = at + 1 >= text.size() || text[at + 1] == '\n';
    if (text[at] == '\n' && (blank || !empty_line)) result += margin;
  }
  return result;
}

Value sum(const Value& input, const Arguments&) {
  double total = 0;
  bool whole = true;
  for (const Value& item : items_of(input)) {
    total += item.number();
    whole &= !item.is_float();
  }
  return whole ? Value(static_cast<int64_t>(total)) : Value(total);
}

Value round(const Value& input, const Arguments& arguments) {
  const double scale = std::pow(10.0, arguments.get(0, "precision").is_undefined()
                                          ? 0.0
                                          : arguments.get(0, "precision").number());
  return std::nearbyint(input.number() * scale) / scale;
}

Value absolute(const Value& input, const Arguments&) {
  if (input.is_float()) return std::fabs(input.number());
  return input.integer() < 0 ? -input.integer() : input.integer();
}

constexpr std::pair<std::string_view, Filter> kFilters[] = {
    {"abs", absolute},
    {"capitalize",
     [](const Value& in, const Arguments& a) { return through_method("capitalize", in, a); }},
    {"count", [](const Value& in, const Arguments&) { return Value(length_of(in)); }},
    {"d", default_of},
    {"default", default_of},
    {"dictsort", dictsort},
    {"first", first},
    {"float", to_float},
    {"indent", indent},
    {"int", to_integer},
    {"items", items},
    {"join", join},
    {"last", last},
    {"length", [](const Value& in, const Arguments&) { return Value(length_of(in)); }},
    {"list", [](const Value& in, const Arguments&) { return Value(items_of(in)); }},
    {"lower", [](const Value& in, const Arguments&) { return Value(lower(to_text(in))); }},
    {"map", map},
    {"reject", select<false, false>},
    {"rejectattr", select<false, true>},
    {"replace",
     [](const Value& in, const Arguments& a) { return through_method("replace", in, a); }},
    {"reverse", reverse},
    {"round", round},
    {"safe", [](const Value& in, const Arguments&) { return in; }},
    {"select", select<true, false>},
    {"selectattr", select<true, true>},
    {"sort", sorted},
    {"string", [](const Value& in, const Arguments&) { return Value(to_text(in)); }},
    {"sum", sum},
    {"title", [](const Value& in, const Arguments& a) { return through_method("title", in, a); }},
    {"tojson", tojson},
    {"trim", trim},
    {"unique", unique},
    {"upper", [](const Value& in, const Arguments&) { return Value(upper(to_text(in))); }},
};

}  // namespace

Value apply_filter(std::string_view name, const Value& input, const Arguments& arguments) {
  return look_up(kFilters, name, "filter")(input, arguments);
}

Value call_method(const Value& of, std::string_view name, const Arguments& arguments, bool& found) {
  if (const std::string* text = of.text()) return text_method(*text, name, arguments, found);
  found = true;
  if (const Dict* dict = of.dict()) {
    if (name == "items") return items(of, {});
    if (name == "keys") return items_of(of);
    if (name == "values") return map(items(of, {}), {{}, {{"attribute", Value(int64_t{1})}}});
    if (name == "get") {
      const Value* value = find(*dict, to_text(arguments.get(0, "")));
      if (value) return *value;
      return arguments.get(1, "").is_undefined() ? Value(None{}) : arguments.get(1, "");
    }
  }
  found = false;
  return {};
}

}  // namespace rankwise::chat
