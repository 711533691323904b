// Comparison, text and JSON of template values, as Python has them.
#include "data/chat/value.h"

#include <fmt/format.h>

#include "data/tokenizers/unicode.h"

namespace rankwise::chat {
namespace {

void append_quoted(std::string_view text, std::string& out) {  // as json.dumps
  out += '"';
  for (const char c : text) {
    constexpr std::string_view kEscapes = "\"\"\\\\\nn\rr\tt\ff\bb";
    size_t escape = 0;
    while (escape < kEscapes.size() && kEscapes[escape] != c) escape += 2;
    if (escape < kEscapes.size()) {
      out += {'\\', kEscapes[escape + 1]};
    } else if (static_cast<unsigned char>(c) < ' ') {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

std::string representation(const Value& value) {  // Python's repr()
  if (const std::string* text = value.text()) {
    const char quote = text->find('\'') != text->npos && text->find('"') == text->npos ? '"' : '\'';
    std::string out(1, quote);
    for (const char c : *text) {
      if (c == '\n')
        out += "\\n";
      else if (c == '\r')
        out += "\\r";
      else if (c == '\t')
        out += "\\t";
      else if (c == '\\' || c == quote)
        out += {'\\', c};
      else
        out += c;
    }
    return out + quote;
  }
  return to_text(value);
}

void append_json(const Value& value, int indent, int depth, std::string& out) {
  const auto line = [&](int level) {
    if (indent >= 0) out.append("\n").append(static_cast<size_t>(indent * level), ' ');
  };
  const auto all = [&](const auto& items, char open, char close, const auto& each) {
    out += open;
    bool first = true;
    for (const auto& item : items) {
      if (!first) out += indent >= 0 ? "," : ", ";
      first = false;
      line(depth + 1);
      each(item);
    }
    if (!items.empty()) line(depth);
    out += close;
  };
  if (const List* list = value.list()) {
    all(*list, '[', ']', [&](const Value& item) { append_json(item, indent, depth + 1, out); });
  } else if (const Dict* dict = value.dict()) {
    all(*dict, '{', '}', [&](const auto& item) {
      append_quoted(item.first, out);
      out += ": ";
      append_json(item.second, indent, depth + 1, out);
    });
  } else if (const std::string* text = value.text()) {
    append_quoted(*text, out);
  } else if (value.is_none()) {
    out += "null";
  } else if (value.is_boolean()) {
    out += value.truth() ? "true" : "false";
  } else if (value.is_number()) {
    out += to_text(value);
  } else {
    throw TemplateError{fmt::format("tojson: a {} has no JSON", value.type())};
  }
}

}  // namespace

bool Value::truth() const {
  if (const std::string* held = text()) return !held->empty();
  if (const List* held = list()) return !held->empty();
  if (const Dict* held = dict()) return !held->empty();
  if (is_number()) return number() != 0;
  return !is_undefined() && !is_none();
}

int64_t Value::integer() const {
  if (const auto* value = std::get_if<bool>(&held_)) return *value;
  if (const auto* value = std::get_if<int64_t>(&held_)) return *value;
  const double value = number();
  if (!(value > -9e18 && value < 9e18)) throw TemplateError{"a number is out of range"};
  return static_cast<int64_t>(value);
}

double Value::number() const {
  if (const auto* value = std::get_if<double>(&held_)) return *value;
  if (is_boolean() || is_integer()) return static_cast<double>(integer());
  throw TemplateError{fmt::format("a {} is not a number", type())};
}

std::string_view Value::type() const {
  constexpr std::string_view kNames[] = {"undefined value", "None",     "bool", "int",
                                         "float",           "str",      "list", "dict",
                                         "function",        "namespace"};
  return kNames[held_.index()];
}

Value Arguments::get(size_t position, std::string_view name) const {
  if (position < positional.size()) return positional[position];
  const Value* found = find(named, name);
  return found ? *found : Value();
}

const Value* find(const Dict& dict, std::string_view key) {
  for (const auto& [name, value] : dict) {
    if (name == key) return &value;
  }
  return nullptr;
}

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  if (a.text() && b.text()) return *a.text() == *b.text();
  if (a.list() && b.list()) {
    return a.list()->size() == b.list()->size() &&
           std::equal(a.list()->begin(), a.list()->end(), b.list()->begin(), equal);
  }
  if (a.dict() && b.dict()) {
    if (a.dict()->size() != b.dict()->size()) return false;
    for (const auto& [name, value] : *a.dict()) {
      const Value* other = find(*b.dict(), name);
      if (!other || !equal(value, *other)) return false;
    }
    return true;
  }
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

int compare(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return a.number() < b.number() ? -1 : a.number() > b.number();
  if (a.text() && b.text()) return a.text()->compare(*b.text());
  throw TemplateError{fmt::format("a {} and a {} have no order", a.type(), b.type())};
}

bool contains(const Value& container, const Value& item) {
  if (const std::string* text = container.text()) {
    if (!item.text()) throw TemplateError{fmt::format("a {} cannot be in a str", item.type())};
    return text->find(*item.text()) != text->npos;
  }
  if (const Dict* dict = container.dict()) return item.text() && find(*dict, *item.text());
  const List items = items_of(container);
  return std::any_of(items.begin(), items.end(),
                     [&](const Value& one) { return equal(one, item); });
}

std::string to_text(const Value& value) {
  if (const std::string* text = value.text()) return *text;
  if (value.is_undefined()) return "";
  if (value.is_none()) return "None";
  if (value.is_boolean()) return value.truth() ? "True" : "False";
  if (value.is_integer()) return std::to_string(value.integer());
  if (value.is_float()) return python_float(value.number());
  std::string out;
  if (const List* list = value.list()) {
    for (const Value& item : *list) out += (out.empty() ? "" : ", ") + representation(item);
    return "[" + out + "]";
  }
  if (const Dict* dict = value.dict()) {
    for (const auto& [name, item] : *dict) {
      out += (out.empty() ? "" : ", ") + representation(name) + ": " + representation(item);
    }
    return "{" + out + "}";
  }
  throw TemplateError{fmt::format("a {} cannot be printed", value.type())};
}

std::string to_json(const Value& value, int indent) {
  std::string out;
  append_json(value, indent, 0, out);
  return out;
}

Value from_json(const OrderedJson& json) {
  if (json.is_null()) return None{};
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_integer()) return json.get<int64_t>();
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_array()) {
    List list;
    for (const OrderedJson& item : json) list.push_back(from_json(item));
    return list;
  }
  Dict dict;
  for (const auto& [name, item] : json.items()) dict.emplace_back(name, from_json(item));
  return dict;
}

List items_of(const Value& value) {
  if (const List* list = value.list()) return *list;
  List items;
  if (const Dict* dict = value.dict()) {
    for (const auto& [name, item] : *dict) items.emplace_back(name);
  } else if (const std::string* text = value.text()) {
    for (std::string& character : characters_of(*text)) items.emplace_back(std::move(character));
  } else if (!value.is_undefined()) {
    throw TemplateError{fmt::format("a {} has no items", value.type())};
  }
  return items;
}

int64_t length_of(const Value& value) {
  if (const Dict* dict = value.dict()) return static_cast<int64_t>(dict->size());
  return static_cast<int64_t>(items_of(value).size());
}

std::vector<std::string> characters_of(std::string_view text) {
  std::vector<std::string> characters;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    unicode::next(text, at);
    characters.emplace_back(text.substr(begin, at - begin));
  }
  return characters;
}

}  // namespace rankwise::chat
