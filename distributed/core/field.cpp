// Parses, checks and prints the value of an option, and finds options by name. Knows no command
// line and no file format: whoever reads one hands over a name and a text.
#include "distributed/core/field.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <type_traits>
#include <utility>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsList : std::false_type {};
template <class T>
struct IsList<std::vector<T>> : std::true_type {};

std::string_view shown(std::string_view text) { return text.empty() ? "''" : text; }

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// What is wrong with a text, without the option's name, which only Field::set knows.
struct Unparsable {
  std::string reason;
};

void parse(std::string_view text, bool& value) {
  if (text == "true" || text == "True" || text == "1") {
    value = true;
  } else if (text == "false" || text == "False" || text == "0") {
    value = false;
  } else {
    throw Unparsable{"must be true or false"};
  }
}

template <class Number>
void parse_number(std::string_view text, Number& value, const char* wanted) {
  const char* end = text.data() + text.size();
  const auto [stopped_at, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc::result_out_of_range) throw Unparsable{"is out of range"};
  if (error != std::errc() || stopped_at != end) throw Unparsable{wanted};
}

void parse(std::string_view text, int64_t& value) {
  parse_number(text, value, "must be a whole number");
}

void parse(std::string_view text, double& value) {
  parse_number(text, value, "must be a number");
  if (!std::isfinite(value)) throw Unparsable{"must be a finite number"};
}

void parse(std::string_view text, std::string& value) { value = text; }

template <class Item>
void parse(std::string_view text, std::vector<Item>& items) {
  items.clear();
  if (trimmed(text).empty()) return;
  for (size_t start = 0; start <= text.size();) {
    const size_t comma = std::min(text.find(',', start), text.size());
    const std::string_view item = trimmed(text.substr(start, comma - start));
    if (item.empty()) throw Unparsable{"has an empty entry"};
    parse(item, items.emplace_back());
    start = comma + 1;
  }
}

template <class T>
void parse(std::string_view text, std::optional<T>& value) {
  if (text.empty()) {
    value.reset();
  } else {
    parse(text, value.emplace());
  }
}

std::string print(bool value) { return value ? "true" : "false"; }
std::string print(int64_t value) { return std::to_string(value); }
std::string print(double value) {
  char buffer[32];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  return {buffer, end};
}
std::string print(const std::string& value) { return value; }
template <class Item>
std::string print(const std::vector<Item>& items) {
  std::string text;
  for (const Item& item : items) text += (text.empty() ? "" : ",") + print(item);
  return text;
}
template <class T>
std::string print(const std::optional<T>& value) {
  return value ? print(*value) : std::string();
}

// Calls with every number / every text that a value holds: none for an empty optional, each entry
// of a list.
template <class Value, class OnNumber, class OnText>
void visit_parts(const Value& value, const OnNumber& on_number, const OnText& on_text) {
  if constexpr (IsOptional<Value>::value) {
    if (value) visit_parts(*value, on_number, on_text);
  } else if constexpr (IsList<Value>::value) {
    for (const auto& item : value) visit_parts(item, on_number, on_text);
  } else if constexpr (std::is_same_v<Value, std::string>) {
    on_text(value);
  } else if constexpr (!std::is_same_v<Value, bool>) {
    on_number(static_cast<double>(value));
  }
}

// Edit distance in which a swap of neighbours counts one (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before, above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = above;
    above = row;
  }
  return above.back();
}

}  // namespace

Field& Field::at_least(double least) {
  least_ = least;
  return *this;
}
Field& Field::at_most(double most) {
  most_ = most;
  return *this;
}
Field& Field::more_than(double bound) {
  above_ = bound;
  return *this;
}
Field& Field::less_than(double bound) {
  below_ = bound;
  return *this;
}
Field& Field::one_of(std::vector<std::string> choices) {
  choices_ = std::move(choices);
  return *this;
}
Field& Field::changes_result() {
  changes_result_ = true;
  return *this;
}
Field& Field::default_text(std::string text) {
  default_ = std::move(text);
  return *this;
}

Field& Field::preset(std::string_view text) {
  set(text);
  given_ = false;
  default_ = this->text();
  return *this;
}

void Field::become(Field other) {
  other.group_ = group_;
  if (given_) other.set(text());
  *this = std::move(other);
}

bool Field::is_bool() const {
  return std::holds_alternative<bool*>(value_) ||
         std::holds_alternative<std::optional<bool>*>(value_);
}

void Field::check(double number, std::string_view text) const {
  const auto refuse = [&](const char* rule, double bound) {
    throw usage_error("--{} {}: must be {} {}", name_, shown(text), rule, print(bound));
  };
  if (least_ && number < *least_) refuse("at least", *least_);
  if (most_ && number > *most_) refuse("at most", *most_);
  if (above_ && number <= *above_) refuse("more than", *above_);
  if (below_ && number >= *below_) refuse("less than", *below_);
}

void Field::set(std::string_view text) {
  const auto check_choice = [&](const std::string& item) {
    if (choices_.empty() || std::find(choices_.begin(), choices_.end(), item) != choices_.end())
      return;
    const std::string nearest = nearest_name(item, choices_);
    throw usage_error("--{} {}: must be one of {}{}", name_, shown(text), fmt::join(choices_, ", "),
                      nearest.empty() ? "" : fmt::format(" (did you mean {}?)", nearest));
  };
  std::visit(
      [&](auto* value) {
        std::remove_reference_t<decltype(*value)> parsed{};
        try {
          parse(text, parsed);
        } catch (const Unparsable& problem) {
          throw usage_error("--{} {}: {}", name_, shown(text), problem.reason);
        }
        visit_parts(
            parsed, [&](double number) { check(number, text); }, check_choice);
        *value = std::move(parsed);
      },
      value_);
  given_ = true;
}

std::string Field::text() const {
  return std::visit([](const auto* value) { return print(*value); }, value_);
}

Field& Fields::insert(Field field) {
  if (find(field.name())) throw internal_error("option --{} is declared twice", field.name());
  field.group_ = group_;
  field.default_ = field.text();
  return fields_.emplace_back(std::move(field));
}

void Fields::remove(std::string_view name) {
  std::erase_if(fields_, [&](const Field& field) { return field.name() == name; });
}

const Field* Fields::find(std::string_view name) const {
  const auto found = std::find_if(fields_.begin(), fields_.end(),
                                  [&](const Field& field) { return field.name() == name; });
  return found == fields_.end() ? nullptr : &*found;
}

Field* Fields::find(std::string_view name) {
  return const_cast<Field*>(std::as_const(*this).find(name));
}

Field& Fields::at(std::string_view name) {
  if (Field* field = find(name)) return *field;
  std::vector<std::string> names;
  for (const Field& field : fields_) names.push_back(field.name());
  const std::string nearest = nearest_name(name, names);
  throw usage_error("unknown option --{}{}", name,
                    nearest.empty() ? "" : fmt::format(" (did you mean --{}?)", nearest));
}

bool Fields::given(std::string_view name) const {
  const Field* field = find(name);
  return field && field->given();
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  std::string nearest;
  size_t least = 0;
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(name, candidate);
    if (distance > std::max(name.size(), candidate.size()) / 3) continue;
    if (nearest.empty() || distance < least) {
      nearest = candidate;
      least = distance;
    }
  }
  return nearest;
}

}  // namespace rankwise
