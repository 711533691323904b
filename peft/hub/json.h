// JSON, the only door to its library. Objects are sorted by key, as Hugging Face writes its
// configs.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "distributed/core/error.h"

namespace rankwise {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;  // keys in the order of the file

enum class RepeatedKey { kLastWins, kError };

// Strict JSON: NaN and Infinity, which Python would read, are refused, and so is nesting deeper
// than 200. Errors: `kind`, with `where` (a file, or file:row) and the position.
Json parse_json(std::string_view text, const std::string& where, ErrorKind kind,
                RepeatedKey repeated = RepeatedKey::kLastWins);
OrderedJson parse_ordered_json(std::string_view text, const std::string& where, ErrorKind kind);
Json read_json(const std::filesystem::path& file, ErrorKind kind = ErrorKind::kModel);
std::string read_text_file(const std::filesystem::path& file, ErrorKind kind);

// The text of Python's json.dumps(value, indent=2, sort_keys=True), as peft and transformers write
// their files: indented by 2, sorted, non-ASCII as \uXXXX, doubles as repr. No newline at the end.
// Errors: kInput: a string that is not UTF-8.
std::string pretty(const Json& value);

// A double as Python's json prints it: 0.1, 16.0, 1e-05, 1e+16, NaN.
std::string python_float(double value);

}  // namespace rankwise
