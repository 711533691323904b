// From a label as a row has it to the index of its class, for every task with classes.
#pragma once

#include <optional>
#include <string>

#include "data/tasks/columns.h"
#include "data/tasks/labels.h"

namespace rankwise {

// What a label is called; nullopt for a value that cannot name a class.
std::optional<std::string> label_text(const Json& value);

// "0.5": a class is hardly called that.
bool is_fraction(const Json& value);

// value: of `column`, or an entry of it. count: --num_labels. Errors: kInput: no name of a class,
// an unknown one, a number out of range.
int32_t class_of(const Columns& columns, const std::string& column, const Json& value,
                 const Labels& labels, std::optional<int64_t> count);

}  // namespace rankwise
