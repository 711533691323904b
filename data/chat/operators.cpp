// The operators of operators.h.
#include "data/chat/operators.h"

#include <fmt/format.h>

#include <cmath>

namespace rankwise::chat {
namespace {

constexpr int64_t kMostBytes = 1 << 20;  // of a repeated text

[[noreturn]] void refuse(std::string_view sign, const Value& left, const Value& right) {
  throw TemplateError{fmt::format("'{}' of a {} and a {}", sign, left.type(), right.type())};
}

int64_t floor_division(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

// Doubles where the whole numbers would not fit.
Value whole(std::string_view sign, int64_t a, int64_t b) {
  int64_t result = 0;
  if (sign == "+" && !__builtin_add_overflow(a, b, &result)) return result;
  if (sign == "-" && !__builtin_sub_overflow(a, b, &result)) return result;
  if (sign == "*" && !__builtin_mul_overflow(a, b, &result)) return result;
  if (sign == "//" && b != -1) return floor_division(a, b);
  if (sign == "%" && b != -1) return a - floor_division(a, b) * b;
  throw TemplateError{fmt::format("'{}' of {} and {} is not supported", sign, a, b)};
}

Value fraction(std::string_view sign, double a, double b) {
  if (sign == "+") return a + b;
  if (sign == "-") return a - b;
  if (sign == "*") return a * b;
  if (sign == "/") return a / b;
  if (sign == "//") return std::floor(a / b);
  if (sign == "%") return a - std::floor(a / b) * b;
  return std::pow(a, b);
}

Value arithmetic(std::string_view sign, const Value& left, const Value& right) {
  const bool divides = sign == "/" || sign == "//" || sign == "%";
  if (divides && right.number() == 0) throw TemplateError{"division by zero"};
  if (left.is_float() || right.is_float() || sign == "/") {
    return fraction(sign, left.number(), right.number());
  }
  if (sign != "**") return whole(sign, left.integer(), right.integer());
  const double power = std::pow(left.number(), right.number());
  return right.integer() >= 0 && std::fabs(power) < 9e15 ? Value(static_cast<int64_t>(power))
                                                         : Value(power);
}

Value repeated(const std::string& text, int64_t count) {
  if (count > 0 && static_cast<int64_t>(text.size()) > kMostBytes / count) {
    throw TemplateError{"a repeated text is too long"};
  }
  std::string result;
  for (int64_t i = 0; i < count; ++i) result += text;
  return result;
}

}  // namespace

Value unary(std::string_view sign, const Value& value) {
  if (sign == "not") return !value.truth();
  if (value.is_float()) return sign == "-" ? -value.number() : value.number();
  return sign == "-" ? whole("-", 0, value.integer()) : Value(value.integer());
}

Value binary(std::string_view sign, const Value& left, const Value& right) {
  if (sign == "~") return to_text(left) + to_text(right);
  if (left.is_number() && right.is_number()) return arithmetic(sign, left, right);
  if (sign == "+" && left.text() && right.text()) return *left.text() + *right.text();
  if (sign == "+" && left.list() && right.list()) {
    List joined = *left.list();
    joined.insert(joined.end(), right.list()->begin(), right.list()->end());
    return joined;
  }
  if (sign == "*" && left.text() && right.is_integer())
    return repeated(*left.text(), right.integer());
  refuse(sign, left, right);
}

bool compares(std::string_view sign, const Value& left, const Value& right) {
  if (sign == "==") return equal(left, right);
  if (sign == "!=") return !equal(left, right);
  if (sign == "in") return contains(right, left);
  if (sign == "not in") return !contains(right, left);
  const int order = compare(left, right);
  if (sign == "<") return order < 0;
  if (sign == ">") return order > 0;
  return sign == "<=" ? order <= 0 : order >= 0;
}

}  // namespace rankwise::chat
