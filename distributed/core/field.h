// An option, declared once: its name, where its value lives, its help and its range. The command
// line, config files,
// --help, run.ini, adapter_config.json and checkpoint attributes all visit the same list of fields.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace rankwise {

using FieldValue =
    std::variant<bool*, int64_t*, double*, std::string*, std::vector<std::string>*,
                 std::vector<int64_t>*, std::vector<double>*, std::optional<bool>*,
                 std::optional<int64_t>*, std::optional<double>*, std::optional<std::string>*>;

class Field {
 public:
  Field(std::string name, FieldValue value, std::string help)
      : name_(std::move(name)), help_(std::move(help)), value_(value) {}

  // Declaration, chained: fields.add("r", r, "rank").at_least(1)
  Field& at_least(double least);   // inclusive
  Field& at_most(double most);     // inclusive
  Field& more_than(double bound);  // exclusive
  Field& less_than(double bound);  // exclusive
  Field& one_of(std::vector<std::string> choices);
  Field& changes_result();                // a resumed run must have the same value
  Field& default_text(std::string text);  // what --help shows where the default is worked out later
  Field& preset(std::string_view text);   // another default than the value declared

  const std::string& name() const { return name_; }
  const std::string& help() const { return help_; }
  const std::string& group() const { return group_; }
  const std::vector<std::string>& choices() const { return choices_; }
  bool is_bool() const;  // a bare --name means true
  bool must_match_on_resume() const { return changes_result_; }
  bool given() const { return given_; }  // set explicitly (config file or command line)
  const std::string& default_text() const { return default_; }  // as --help shows it

  // The same option as another declares it, with its value, bounds and help; where this one was
  // given, with its text. Errors: kUsage: the text is none that the other takes.
  void become(Field other);

  // Parses and stores. Lists are comma-separated; booleans true|false; an empty text empties an
  // optional. Throws Error(kUsage) naming the option, the text and what is allowed.
  void set(std::string_view text);
  std::string text() const;  // set(text()) restores the value; "" for an empty optional

 private:
  friend class Fields;
  void check(double number, std::string_view text) const;

  std::string name_, help_, group_, default_;
  FieldValue value_;
  std::vector<std::string> choices_;
  std::optional<double> least_, most_, above_, below_;
  bool changes_result_ = false, given_ = false;
};

// The fields of one verb, in the order in which --help shows them.
class Fields {
 public:
  void group(std::string title) {
    group_ = std::move(title);
  }  // heads the fields added from here on
  template <class T>
  Field& add(std::string name, T& value, std::string help) {
    return insert(Field(std::move(name), FieldValue(&value), std::move(help)));
  }
  void add(Field field) { fields_.push_back(std::move(field)); }  // keeps its group
  void remove(std::string_view name);
  std::vector<Field>& all() { return fields_; }
  const std::vector<Field>& all() const { return fields_; }
  Field* find(std::string_view name);  // nullptr where there is none
  const Field* find(std::string_view name) const;
  Field& at(std::string_view name);  // throws Error(kUsage) with the nearest name
  bool given(std::string_view name) const;

 private:
  Field& insert(Field field);
  std::string group_;
  std::vector<Field> fields_;
};

// The candidate with the smallest edit distance to name; "" where none is near enough to suggest.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace rankwise
