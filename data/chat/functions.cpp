// The functions that a template can call, as transformers gives them.
#include <fmt/format.h>

#include "data/chat/builtins.h"

namespace rankwise::chat {
namespace {

constexpr int64_t kMostItems = 1'000'000;  // of a range

Value range(const Arguments& arguments) {
  const List& given = arguments.positional;
  if (given.empty() || given.size() > 3) throw TemplateError{"range takes one to three numbers"};
  const int64_t begin = given.size() > 1 ? given[0].integer() : 0;
  const int64_t end = given[given.size() > 1 ? 1 : 0].integer();
  const int64_t step = given.size() > 2 ? given[2].integer() : 1;
  if (step == 0) throw TemplateError{"range: a step of 0"};
  List numbers;
  for (int64_t at = begin; step > 0 ? at < end : at > end; at += step) {
    if (static_cast<int64_t>(numbers.size()) >= kMostItems)
      throw TemplateError{"a range is too long"};
    numbers.emplace_back(at);
  }
  return numbers;
}

}  // namespace

Dict functions(std::time_t now) {
  Dict made;
  made.emplace_back("range", Function(range));
  made.emplace_back("dict", Function([](const Arguments& given) { return Value(given.named); }));
  made.emplace_back("namespace", Function([](const Arguments& given) {
                      return Value(std::make_shared<Namespace>(Namespace{given.named}));
                    }));
  made.emplace_back("raise_exception", Function([](const Arguments& given) -> Value {
                      throw Raised{to_text(given.get(0, "message"))};
                    }));
  made.emplace_back(
      "strftime_now", Function([now](const Arguments& given) {
        std::tm local{};
        localtime_r(&now, &local);
        char text[200];
        const std::string format = to_text(given.get(0, "format"));
        return Value(std::string(text, std::strftime(text, sizeof text, format.c_str(), &local)));
      }));
  return made;
}

}  // namespace rankwise::chat
