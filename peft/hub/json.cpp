// Reads JSON with a bounded depth and errors that name file and position, writes it as Python's
// json.dumps does.
#include "peft/hub/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <set>
#include <vector>

namespace rankwise {
namespace {

constexpr int kMaxDepth = 200;  // destroying a value recurses, so its depth must be small

Error error_at(std::string_view text, size_t byte, const std::string& what,
               const std::string& where, ErrorKind kind) {
  const std::string_view before = text.substr(0, byte);
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  const size_t column = before.size() - line_start + 1;
  if (text.find('\n') >= text.size() - 1) {  // one line: the row of a JSONL file
    return Error(kind, fmt::format("{}: column {}: {}", where, column, what));
  }
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  return Error(kind, fmt::format("{}: line {}, column {}: {}", where, line, column, what));
}

void check_depth(std::string_view text, const std::string& where, ErrorKind kind) {
  int depth = 0;
  bool in_string = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string) {
      if (c == '\\') ++at;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) {
        throw error_at(text, at, fmt::format("nested deeper than {}", kMaxDepth), where, kind);
      }
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

// What the library says, without its own code and position.
std::string reason(const std::exception& error) {
  std::string text = error.what();
  if (text.starts_with('[')) text.erase(0, text.find("] ") + 2);
  if (text.starts_with("parse error at")) text.erase(0, text.find(": ") + 2);
  if (text.size() > 300) text = text.substr(0, 300) + " …";
  return text;
}

// The code point at text[at]; moves `at` past it. The library accepts only valid UTF-8, but a
// caller may set any bytes.
char32_t next_code_point(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) -> unsigned { return i < text.size() ? uint8_t(text[i]) : 0; };
  const unsigned first = byte(at);
  const size_t length = first < 0x80   ? 1
                        : first < 0xC2 ? 0
                        : first < 0xE0 ? 2
                        : first < 0xF0 ? 3
                        : first < 0xF5 ? 4
                                       : 0;
  char32_t code = length <= 1 ? first : first & (0x7F >> length);
  bool valid = length > 0;
  for (size_t i = 1; i < length; ++i) {
    valid &= (byte(at + i) & 0xC0) == 0x80;
    code = code << 6 | (byte(at + i) & 0x3F);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  valid = valid && code >= kLeast[length] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
  if (!valid) throw input_error("'{}' is not UTF-8 (byte {})", text, at);
  at += length;
  return code;
}

void write_string(std::string& out, std::string_view text) {
  constexpr std::string_view kShort =
      "\"\"\\\\\nn\rr\tt\ff\bb";  // pairs: the character, its escape
  out += '"';
  for (size_t at = 0; at < text.size();) {
    const char32_t code = next_code_point(text, at);
    size_t escape = 0;
    while (escape < kShort.size() && char32_t(kShort[escape]) != code) escape += 2;
    if (escape < kShort.size()) {
      out += {'\\', kShort[escape + 1]};
    } else if (code >= ' ' && code <= '~') {
      out += char(code);
    } else if (code < 0x10000) {
      out += fmt::format("\\u{:04x}", uint32_t(code));
    } else {
      const uint32_t pair = code - 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (pair >> 10), 0xDC00 + (pair & 0x3FF));
    }
  }
  out += '"';
}

void write_value(std::string& out, const Json& value, size_t depth) {
  const auto new_line = [&out](size_t level) { out.append("\n").append(2 * level, ' '); };
  if (value.is_structured() && value.empty()) {
    out += value.is_object() ? "{}" : "[]";
  } else if (value.is_structured()) {
    out += value.is_object() ? '{' : '[';
    bool first = true;
    for (const auto& [name, element] : value.items()) {
      if (!first) out += ',';
      first = false;
      new_line(depth + 1);
      if (value.is_object()) {
        write_string(out, name);
        out += ": ";
      }
      write_value(out, element, depth + 1);
    }
    new_line(depth);
    out += value.is_object() ? '}' : ']';
  } else if (value.is_string()) {
    write_string(out, value.get_ref<const std::string&>());
  } else if (value.is_number_float()) {
    out += python_float(value.get<double>());
  } else {
    out += value.dump();
  }
}

Json parse_unique(std::string_view text, const std::string& where, ErrorKind kind) {
  std::vector<std::set<std::string>> keys;  // of each open object
  return Json::parse(text, [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second) {
      throw Error(kind, fmt::format("{}: the key {} is there twice", where, value.dump()));
    }
    return true;
  });
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where, ErrorKind kind,
                RepeatedKey repeated) {
  check_depth(text, where, kind);
  try {
    return repeated == RepeatedKey::kError ? parse_unique(text, where, kind) : Json::parse(text);
  } catch (const Json::parse_error& error) {
    throw error_at(text, error.byte > 0 ? error.byte - 1 : 0, reason(error), where, kind);
  } catch (const Json::exception& error) {  // a number that overflows; the text names it
    throw Error(kind, fmt::format("{}: {}", where, reason(error)));
  }
}

OrderedJson parse_ordered_json(std::string_view text, const std::string& where, ErrorKind kind) {
  parse_json(text, where, kind);  // for its errors
  return OrderedJson::parse(text);
}

Json read_json(const std::filesystem::path& file, ErrorKind kind) {
  return parse_json(read_text_file(file, kind), file.string(), kind);
}

std::string read_text_file(const std::filesystem::path& file, ErrorKind kind) {
  std::ifstream in(file, std::ios::binary);
  std::string text;
  while (in) {  // in pieces, so that pipes work too
    constexpr size_t kPiece = 1 << 20;
    const size_t had = text.size();
    text.resize(had + kPiece);
    in.read(text.data() + had, kPiece);
    text.resize(had + size_t(in.gcount()));
  }
  if (!in.eof())
    throw Error(kind, fmt::format("cannot read {}: {}", file.string(), std::strerror(errno)));
  return text;
}

std::string pretty(const Json& value) {
  std::string out;
  write_value(out, value, 0);
  return out;
}

std::string python_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  char buffer[32];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  const std::string_view scientific(buffer,
                                    end);  // [-]d[.ddd]e±dd, the shortest digits that read back
  const int exponent = std::stoi(std::string(scientific.substr(scientific.find('e') + 1)));
  if (exponent < -4 || exponent >= 16) return std::string(scientific);
  const auto fixed_end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed).ptr;
  std::string fixed(buffer, fixed_end);
  if (fixed.find('.') == std::string::npos) fixed += ".0";
  return fixed;
}

}  // namespace rankwise
