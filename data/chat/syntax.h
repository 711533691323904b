// The tree of a template: expressions and statements. Made by parser.cpp, walked by evaluator.cpp.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/chat/value.h"

namespace rankwise::chat {

struct Expression;
using ExpressionPointer = std::unique_ptr<Expression>;

struct Expression {
  enum class Kind {
    kConstant,   // value
    kName,       // name
    kList,       // parts
    kDict,       // parts: key, value, key, value …
    kUnary,      // name: not, -, +; parts: one
    kBinary,     // name: the sign, and, or, in; parts: two
    kCompare,    // names: signs; parts: one more than names
    kCondition,  // parts: then, if, else (may be null)
    kAttribute,  // parts: of; name
    kItem,       // parts: of, key
    kSlice,      // parts: of, from, to, step (may be null)
    kCall,       // parts: callee, positional …; named
    kFilter,     // parts: input, positional …; name; named
    kTest,       // the same; name
  };
  Kind kind;
  int line;
  std::string name;
  Value value;
  std::vector<ExpressionPointer> parts;
  std::vector<std::string> names;
  std::vector<std::pair<std::string, ExpressionPointer>> named;
};

struct Statement;
using Body = std::vector<Statement>;

struct Statement {
  enum class Kind {
    kText,        // text
    kPrint,       // expression
    kIf,          // branches: expression (null: else) and body
    kFor,         // names; expression: over what; condition (may be null); body; otherwise
    kSet,         // names, or one name and attribute; expression, or body
    kMacro,       // text: name; names: parameters; defaults; body
    kGeneration,  // body
    kBreak,
    kContinue,
  };
  Kind kind;
  int line;
  std::string text;
  std::string attribute;
  std::vector<std::string> names;
  ExpressionPointer expression, condition;
  std::vector<ExpressionPointer> defaults;  // of the last parameters
  std::vector<std::pair<ExpressionPointer, Body>> branches;
  Body body, otherwise;
};

// `line`: where the parser is, for the message when it throws TemplateError.
Body parse(std::string_view source, int& line);

}  // namespace rankwise::chat
