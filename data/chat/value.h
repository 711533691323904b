// A value of the template language: what Python's values are to Jinja. Dicts keep their order.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "peft/hub/json.h"

namespace rankwise::chat {

class Value;
using List = std::vector<Value>;
using Dict = std::vector<std::pair<std::string, Value>>;
struct Arguments;
using Function = std::function<Value(const Arguments&)>;

struct Undefined {
  std::string name;  // for messages
};
struct None {};
struct Namespace {  // namespace(): the one thing that a template may change from within a loop
  Dict fields;
};

class Value {
 public:
  Value() : held_(Undefined{}) {}
  Value(None none) : held_(none) {}
  Value(Undefined undefined) : held_(std::move(undefined)) {}
  Value(bool value) : held_(value) {}
  Value(int64_t value) : held_(value) {}
  Value(double value) : held_(value) {}
  Value(std::string value) : held_(std::move(value)) {}
  Value(std::string_view value) : held_(std::string(value)) {}
  Value(const char* value) : held_(std::string(value)) {}
  Value(List value) : held_(std::make_shared<const List>(std::move(value))) {}
  Value(Dict value) : held_(std::make_shared<const Dict>(std::move(value))) {}
  Value(Function value) : held_(std::make_shared<const Function>(std::move(value))) {}
  Value(std::shared_ptr<Namespace> value) : held_(std::move(value)) {}

  bool is_undefined() const { return std::holds_alternative<Undefined>(held_); }
  bool is_none() const { return std::holds_alternative<None>(held_); }
  bool is_boolean() const { return std::holds_alternative<bool>(held_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(held_); }
  bool is_number() const { return is_boolean() || is_integer() || is_float(); }
  bool is_float() const { return std::holds_alternative<double>(held_); }
  const std::string* text() const { return std::get_if<std::string>(&held_); }
  const List* list() const { return pointee<List>(); }
  const Dict* dict() const { return pointee<Dict>(); }
  const Function* function() const { return pointee<Function>(); }
  Namespace* name_space() const {
    const auto* found = std::get_if<std::shared_ptr<Namespace>>(&held_);
    return found ? found->get() : nullptr;
  }

  bool truth() const;
  int64_t integer() const;  // of a number; a double is cut
  double number() const;
  const std::string& undefined_name() const { return std::get<Undefined>(held_).name; }
  std::string_view type() const;  // Python's name of it

 private:
  template <class T>
  const T* pointee() const {
    const auto* found = std::get_if<std::shared_ptr<const T>>(&held_);
    return found ? found->get() : nullptr;
  }

  std::variant<Undefined, None, bool, int64_t, double, std::string, std::shared_ptr<const List>,
               std::shared_ptr<const Dict>, std::shared_ptr<const Function>,
               std::shared_ptr<Namespace>>
      held_;
};

struct Arguments {
  List positional;
  Dict named;
  // The argument at a position or of that name; undefined where neither is given.
  Value get(size_t position, std::string_view name) const;
};

// Thrown while a template is parsed or rendered, before the line is known.
struct TemplateError {
  std::string message;
};

const Value* find(const Dict& dict, std::string_view key);
bool equal(const Value& a, const Value& b);
int compare(const Value& a, const Value& b);               // < 0, 0, > 0. Throws TemplateError
bool contains(const Value& container, const Value& item);  // Python's `in`. Throws TemplateError
std::string to_text(const Value& value);                   // Python's str()
std::string to_json(const Value& value,
                    int indent);  // json.dumps(ensure_ascii=False); -1: one line
Value from_json(const OrderedJson& json);
List items_of(const Value& value);  // what a loop runs over. Throws TemplateError
int64_t length_of(const Value& value);

// Text by characters, as Python counts.
std::vector<std::string> characters_of(std::string_view text);

}  // namespace rankwise::chat
