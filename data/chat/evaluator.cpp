// Walks the tree of a template: statements write text, expressions give values.
#include "data/chat/evaluator.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "data/chat/builtins.h"
#include "data/chat/operators.h"

namespace rankwise::chat {
namespace {

constexpr size_t kMostBytes = size_t{64} << 20;
constexpr int64_t kMostSteps = 5'000'000;
constexpr int kMostDepth = 200;  // macros in macros

struct Scope {
  std::shared_ptr<Scope> outer;
  std::map<std::string, Value, std::less<>> names;

  Value find(std::string_view name) const {
    for (const Scope* scope = this; scope; scope = scope->outer.get()) {
      const auto found = scope->names.find(name);
      if (found != scope->names.end()) return found->second;
    }
    return Undefined{std::string(name)};
  }
};
using ScopePointer = std::shared_ptr<Scope>;

enum class Flow { kOn, kBreak, kContinue };

class Evaluator {
 public:
  explicit Evaluator(int& line) : line_(line) {}

  Rendered run(const Body& body, const Dict& variables) {
    auto scope = std::make_shared<Scope>();
    for (const auto& [name, value] : variables) scope->names[name] = value;
    if (write(body, scope, rendered_.text) != Flow::kOn)
      throw TemplateError{"break outside of a loop"};
    return std::move(rendered_);
  }

 private:
  void step(int line) {
    line_ = line;
    if (++steps_ > kMostSteps) throw TemplateError{"the template takes too long"};
  }

  Flow write(const Body& body, const ScopePointer& scope, std::string& out) {
    for (const Statement& statement : body) {
      const Flow flow = write(statement, scope, out);
      if (flow != Flow::kOn) return flow;
      if (out.size() > kMostBytes) throw TemplateError{"the text is too long"};
    }
    return Flow::kOn;
  }

  Flow write(const Statement& statement, const ScopePointer& scope, std::string& out) {
    step(statement.line);
    switch (statement.kind) {
      case Statement::Kind::kText:
        out += statement.text;
        return Flow::kOn;
      case Statement::Kind::kPrint:
        out += to_text(value_of(*statement.expression, scope));
        return Flow::kOn;
      case Statement::Kind::kIf:
        return write_if(statement, scope, out);
      case Statement::Kind::kFor:
        return write_for(statement, scope, out), Flow::kOn;
      case Statement::Kind::kSet:
        return set(statement, scope), Flow::kOn;
      case Statement::Kind::kMacro:
        return define(statement, scope), Flow::kOn;
      case Statement::Kind::kGeneration:
        return write_generation(statement, scope, out);
      case Statement::Kind::kBreak:
        return Flow::kBreak;
      case Statement::Kind::kContinue:
        return Flow::kContinue;
    }
    return Flow::kOn;
  }

  Flow write_if(const Statement& statement, const ScopePointer& scope, std::string& out) {
    for (const auto& [test, body] : statement.branches) {
      if (!test || value_of(*test, scope).truth()) return write(body, scope, out);
    }
    return Flow::kOn;
  }

  Flow write_generation(const Statement& statement, const ScopePointer& outer, std::string& out) {
    auto scope = std::make_shared<Scope>(Scope{outer, {}});
    const size_t begin = out.size();
    const Flow flow = write(statement.body, scope, out);
    if (&out == &rendered_.text) rendered_.generations.emplace_back(begin, out.size());
    return flow;
  }

  void assign(const std::vector<std::string>& names, const Value& value, Scope& scope) {
    if (names.size() == 1) {
      scope.names[names[0]] = value;
      return;
    }
    const List items = items_of(value);
    if (items.size() != names.size()) {
      throw TemplateError{fmt::format("{} values for {} names", items.size(), names.size())};
    }
    for (size_t i = 0; i < names.size(); ++i) scope.names[names[i]] = items[i];
  }

  void write_for(const Statement& loop, const ScopePointer& outer, std::string& out) {
    List items = items_of(value_of(*loop.expression, outer));
    if (loop.condition) {
      std::erase_if(items, [&](const Value& item) {
        auto scope = std::make_shared<Scope>(Scope{outer, {}});
        assign(loop.names, item, *scope);
        return !value_of(*loop.condition, scope).truth();
      });
    }
    for (size_t i = 0; i < items.size(); ++i) {
      step(loop.line);
      auto scope = std::make_shared<Scope>(Scope{outer, {}});
      scope->names["loop"] = loop_variable(items, i);
      assign(loop.names, items[i], *scope);
      if (write(loop.body, scope, out) == Flow::kBreak) break;
    }
    if (items.empty()) write(loop.otherwise, std::make_shared<Scope>(Scope{outer, {}}), out);
  }

  static Value loop_variable(const List& items, size_t i) {
    const auto at = static_cast<int64_t>(i), size = static_cast<int64_t>(items.size());
    Dict loop = {{"index", at + 1},       {"index0", at},
                 {"revindex", size - at}, {"revindex0", size - at - 1},
                 {"first", at == 0},      {"last", at + 1 == size},
                 {"length", size}};
    if (i > 0) loop.emplace_back("previtem", items[i - 1]);
    if (i + 1 < items.size()) loop.emplace_back("nextitem", items[i + 1]);
    loop.emplace_back("cycle", Function([at](const Arguments& given) {
                        const auto count = static_cast<int64_t>(given.positional.size());
                        return count ? given.positional[static_cast<size_t>(at % count)] : Value();
                      }));
    return loop;
  }

  void set(const Statement& statement, const ScopePointer& scope) {
    Value value;
    if (statement.expression) {
      value = value_of(*statement.expression, scope);
    } else {
      std::string text;
      write(statement.body, std::make_shared<Scope>(Scope{scope, {}}), text);
      value = text;
    }
    if (statement.attribute.empty()) return assign(statement.names, value, *scope);
    Namespace* changed = scope->find(statement.names[0]).name_space();
    if (!changed) throw TemplateError{fmt::format("'{}' is not a namespace", statement.names[0])};
    for (auto& [name, held] : changed->fields) {
      if (name == statement.attribute) return void(held = value);
    }
    changed->fields.emplace_back(statement.attribute, value);
  }

  void define(const Statement& macro, const ScopePointer& scope) {
    const std::weak_ptr<Scope> home = scope;  // the macro lives in it
    scope->names[macro.text] = Function([this, &macro, home](const Arguments& given) {
      if (++depth_ > kMostDepth) throw TemplateError{"macros call each other too deeply"};
      auto inner = std::make_shared<Scope>(Scope{home.lock(), {}});
      const size_t count = macro.names.size(), least = count - macro.defaults.size();
      if (given.positional.size() > count) throw TemplateError{"too many arguments for a macro"};
      for (size_t i = 0; i < count; ++i) {
        Value value = given.get(i, macro.names[i]);
        if (value.is_undefined() && i >= least) value = value_of(*macro.defaults[i - least], inner);
        inner->names[macro.names[i]] = value;
      }
      std::string text;
      write(macro.body, inner, text);
      --depth_;
      return Value(text);
    });
  }

  Value value_of(const Expression& expression, const ScopePointer& scope) {
    using Kind = Expression::Kind;
    step(expression.line);
    const auto part = [&](size_t i) { return value_of(*expression.parts[i], scope); };
    const auto optional = [&](size_t i) { return expression.parts[i] ? part(i) : Value(); };
    switch (expression.kind) {
      case Kind::kConstant:
        return expression.value;
      case Kind::kName:
        return scope->find(expression.name);
      case Kind::kList:
        return list_of(expression, scope);
      case Kind::kDict:
        return dict_of(expression, scope);
      case Kind::kUnary:
        return unary(expression.name, part(0));
      case Kind::kBinary:
        if (expression.name == "and" || expression.name == "or") {
          const Value left = part(0);
          return left.truth() == (expression.name == "or") ? left : part(1);
        }
        return binary(expression.name, part(0), part(1));
      case Kind::kCompare:
        return comparison(expression, scope);
      case Kind::kCondition:
        return part(1).truth() ? part(0) : optional(2);
      case Kind::kAttribute:
        return attribute_of(part(0), expression.name);
      case Kind::kItem:
        return item_of(part(0), part(1));
      case Kind::kSlice:
        return slice_of(part(0), optional(1), optional(2), optional(3));
      case Kind::kCall:
        return call(expression, scope);
      case Kind::kFilter:
        return apply_filter(expression.name, part(0), arguments_of(expression, scope));
      case Kind::kTest:
        return apply_test(expression.name, part(0), arguments_of(expression, scope));
    }
    return {};
  }

  Value list_of(const Expression& expression, const ScopePointer& scope) {
    List list;
    for (const auto& part : expression.parts) list.push_back(value_of(*part, scope));
    return list;
  }

  Value dict_of(const Expression& expression, const ScopePointer& scope) {
    Dict dict;
    for (size_t i = 0; i + 1 < expression.parts.size(); i += 2) {
      const std::string key = to_text(value_of(*expression.parts[i], scope));
      dict.emplace_back(key, value_of(*expression.parts[i + 1], scope));
    }
    return dict;
  }

  Value comparison(const Expression& expression, const ScopePointer& scope) {
    Value left = value_of(*expression.parts[0], scope);
    for (size_t i = 0; i < expression.names.size(); ++i) {
      Value right = value_of(*expression.parts[i + 1], scope);
      if (!compares(expression.names[i], left, right)) return false;
      left = std::move(right);
    }
    return true;
  }

  Arguments arguments_of(const Expression& expression, const ScopePointer& scope) {
    Arguments given;
    for (size_t i = 1; i < expression.parts.size(); ++i) {
      given.positional.push_back(value_of(*expression.parts[i], scope));
    }
    for (const auto& [name, part] : expression.named) {
      given.named.emplace_back(name, value_of(*part, scope));
    }
    return given;
  }

  Value call(const Expression& expression, const ScopePointer& scope) {
    const Expression& callee = *expression.parts[0];
    Value target;
    if (callee.kind == Expression::Kind::kAttribute) {
      const Value of = value_of(*callee.parts[0], scope);
      bool found = false;
      Value result = call_method(of, callee.name, arguments_of(expression, scope), found);
      if (found) return result;
      target = attribute_of(of, callee.name);
      if (!target.function()) {
        throw TemplateError{fmt::format("a {} has no method '{}'", of.type(), callee.name)};
      }
    } else {
      target = value_of(callee, scope);
    }
    if (target.is_undefined()) {
      throw TemplateError{fmt::format("'{}' is undefined", target.undefined_name())};
    }
    if (!target.function())
      throw TemplateError{fmt::format("a {} cannot be called", target.type())};
    const Arguments given = arguments_of(expression, scope);
    line_ = expression.line;
    return (*target.function())(given);
  }

  int& line_;
  int64_t steps_ = 0;
  int depth_ = 0;
  Rendered rendered_;
};

}  // namespace

Rendered render(const Body& body, const Dict& variables, int& line) {
  return Evaluator(line).run(body, variables);
}

}  // namespace rankwise::chat
