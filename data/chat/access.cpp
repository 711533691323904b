// Fields, items and slices of values, as Python and Jinja have them.
#include <fmt/format.h>

#include <algorithm>

#include "data/chat/builtins.h"

namespace rankwise::chat {
namespace {

void check_defined(const Value& of) {
  if (of.is_undefined()) {
    throw TemplateError{fmt::format("'{}' is undefined", of.undefined_name())};
  }
}

// Where a slice's bound falls in 0 … size (or -1 … size - 1 backwards).
int64_t bound(const Value& given, int64_t size, int64_t otherwise, bool backwards) {
  if (given.is_undefined() || given.is_none()) return otherwise;
  int64_t at = given.integer();
  if (at < 0) at += size;
  return backwards ? std::clamp<int64_t>(at, -1, size - 1) : std::clamp<int64_t>(at, 0, size);
}

}  // namespace

Value attribute_of(const Value& of, std::string_view name) {
  check_defined(of);
  const Dict* fields = of.name_space() ? &of.name_space()->fields : of.dict();
  const Value* found = fields ? find(*fields, name) : nullptr;
  return found ? *found : Value(Undefined{std::string(name)});
}

Value item_of(const Value& of, const Value& key) {
  check_defined(of);
  if (key.text()) return attribute_of(of, *key.text());
  if (key.is_integer() && (of.list() || of.text())) {
    const List items = items_of(of);
    const auto size = static_cast<int64_t>(items.size());
    const int64_t at = key.integer() < 0 ? key.integer() + size : key.integer();
    if (at >= 0 && at < size) return items[static_cast<size_t>(at)];
  }
  return Undefined{fmt::format("item {}", to_text(key))};
}

Value slice_of(const Value& of, const Value& from, const Value& to, const Value& step) {
  check_defined(of);
  if (!of.list() && !of.text()) throw TemplateError{fmt::format("a {} has no slices", of.type())};
  const List items = items_of(of);
  const auto size = static_cast<int64_t>(items.size());
  const int64_t by = step.is_undefined() || step.is_none() ? 1 : step.integer();
  if (by == 0) throw TemplateError{"a slice's step is 0"};
  const int64_t begin = bound(from, size, by > 0 ? 0 : size - 1, by < 0);
  const int64_t end = bound(to, size, by > 0 ? size : -1, by < 0);
  List chosen;
  for (int64_t at = begin; by > 0 ? at < end : at > end; at += by) {
    chosen.push_back(items[static_cast<size_t>(at)]);
  }
  return of.text() ? apply_filter("join", chosen, {{Value("")}, {}}) : Value(chosen);
}

}  // namespace rankwise::chat
