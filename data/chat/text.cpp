// Python's methods of str, as far as templates use them.
#include <fmt/format.h>

#include <algorithm>

#include "data/chat/builtins.h"
#include "data/tokenizers/unicode.h"

namespace rankwise::chat {
namespace {

const std::string& text_argument(const Arguments& arguments, size_t position, const char* name) {
  static const std::string empty;
  if (position >= arguments.positional.size()) return empty;
  const std::string* text = arguments.positional[position].text();
  if (!text) throw TemplateError{fmt::format("{}: an argument is not a str", name)};
  return *text;
}

std::string strip(const std::string& text, const Arguments& arguments, bool left, bool right) {
  return stripped(text, text_argument(arguments, 0, "strip"), left, right);
}

List split_words(std::string_view text) {
  List parts;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    const std::string_view character = text.substr(at, (unicode::next(text, end), end - at));
    const bool space = stripped(character, "", true, true).empty();
    if (!space) {
      for (size_t next = end; next < text.size(); end = next) {
        const size_t begin = next;
        unicode::next(text, next);
        if (stripped(text.substr(begin, next - begin), "", true, true).empty()) break;
        end = next;
      }
      parts.emplace_back(text.substr(at, end - at));
    }
    at = end;
  }
  return parts;
}

List split(const std::string& text, const Arguments& arguments, bool from_right) {
  const Value separator = arguments.get(0, "sep"), count = arguments.get(1, "maxsplit");
  if (separator.is_undefined() || separator.is_none()) return split_words(text);
  if (!separator.text() || separator.text()->empty())
    throw TemplateError{"split: an empty separator"};
  const std::string& wanted = *separator.text();
  int64_t left = count.is_undefined() ? INT64_MAX : count.integer();
  if (left < 0) left = INT64_MAX;
  List parts;
  std::string_view rest = text;
  for (size_t at;
       left > 0 && (at = from_right ? rest.rfind(wanted) : rest.find(wanted)) != rest.npos;
       --left) {
    if (from_right) {
      parts.emplace_back(rest.substr(at + wanted.size()));
      rest = rest.substr(0, at);
    } else {
      parts.emplace_back(rest.substr(0, at));
      rest = rest.substr(at + wanted.size());
    }
  }
  parts.emplace_back(rest);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

bool any_affix(const std::string& text, const Arguments& arguments, bool start) {
  const Value wanted = arguments.get(0, "");
  const auto fits = [&](const Value& one) {
    if (!one.text()) throw TemplateError{"startswith, endswith: not a str"};
    return start ? text.starts_with(*one.text()) : text.ends_with(*one.text());
  };
  if (!wanted.list()) return fits(wanted);
  return std::any_of(wanted.list()->begin(), wanted.list()->end(), fits);
}

std::string replaced(const std::string& text, const Arguments& arguments) {
  const std::string &from = text_argument(arguments, 0, "replace"),
                    &to = text_argument(arguments, 1, "replace");
  int64_t left =
      arguments.get(2, "count").is_undefined() ? -1 : arguments.get(2, "count").integer();
  if (from.empty()) throw TemplateError{"replace: an empty text"};
  std::string result;
  size_t done = 0;
  for (size_t at; left != 0 && (at = text.find(from, done)) != text.npos; --left) {
    result.append(text, done, at - done).append(to);
    done = at + from.size();
  }
  return result.append(text, done);
}

std::string titled(const std::string& text, bool every_word) {
  std::string result;
  bool start = true;
  for (const std::string& character : characters_of(text)) {
    size_t end = 0;
    const bool letter = unicode::class_of(unicode::next(character, end)) == unicode::Class::kLetter;
    result += start && letter ? upper(character) : lower(character);
    start = every_word ? !letter : false;
  }
  return result;
}

List lines_of(const std::string& text) {
  List lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find_first_of("\r\n", begin), text.size());
    lines.emplace_back(text.substr(begin, end - begin));
    begin = end + (text.compare(end, 2, "\r\n") == 0 ? 2 : 1);
  }
  return lines;
}

int64_t found_at(const std::string& text, const std::string& wanted) {
  const size_t at = text.find(wanted);
  if (at == text.npos) return -1;
  return static_cast<int64_t>(characters_of(std::string_view(text).substr(0, at)).size());
}

bool all_are(const std::string& text, unicode::Class kind) {
  const auto characters = characters_of(text);
  return !text.empty() && std::all_of(characters.begin(), characters.end(), [&](const auto& one) {
    size_t end = 0;
    return unicode::class_of(unicode::next(one, end)) == kind;
  });
}

}  // namespace

std::string stripped(std::string_view text, std::string_view wanted, bool left, bool right) {
  const auto characters = characters_of(text);
  const auto goes = [&](const std::string& one) {
    if (!wanted.empty()) return wanted.find(one) != wanted.npos;
    size_t end = 0;
    const char32_t c = unicode::next(one, end);
    return unicode::is_whitespace(c) || (c >= 0x1C && c <= 0x1F);  // Python's isspace
  };
  size_t begin = 0, end = characters.size();
  while (left && begin < end && goes(characters[begin])) ++begin;
  while (right && end > begin && goes(characters[end - 1])) --end;
  std::string result;
  for (size_t i = begin; i < end; ++i) result += characters[i];
  return result;
}

std::string upper(std::string_view text) { return unicode::uppercase(text); }

std::string lower(std::string_view text) {
  std::string result;
  for (size_t at = 0; at < text.size();) unicode::append_lowercase(unicode::next(text, at), result);
  return result;
}

Value text_method(const std::string& text, std::string_view name, const Arguments& arguments,
                  bool& found) {
  found = true;
  if (name == "strip") return strip(text, arguments, true, true);
  if (name == "lstrip") return strip(text, arguments, true, false);
  if (name == "rstrip") return strip(text, arguments, false, true);
  if (name == "split") return split(text, arguments, false);
  if (name == "rsplit") return split(text, arguments, true);
  if (name == "splitlines") return lines_of(text);
  if (name == "startswith") return any_affix(text, arguments, true);
  if (name == "endswith") return any_affix(text, arguments, false);
  if (name == "replace") return replaced(text, arguments);
  if (name == "upper") return upper(text);
  if (name == "lower") return lower(text);
  if (name == "title") return titled(text, true);
  if (name == "capitalize") return titled(text, false);
  if (name == "find") return found_at(text, text_argument(arguments, 0, "find"));
  if (name == "isdigit") return all_are(text, unicode::Class::kNumber);
  if (name == "isalpha") return all_are(text, unicode::Class::kLetter);
  if (name == "join") return apply_filter("join", arguments.get(0, ""), {{text}, {}});
  if (name == "count") {
    const std::string& wanted = text_argument(arguments, 0, "count");
    int64_t count = 0;
    for (size_t at = 0; !wanted.empty() && (at = text.find(wanted, at)) != text.npos; ++count) {
      at += wanted.size();
    }
    return count;
  }
  found = false;
  return {};
}

}  // namespace rankwise::chat
