// ICU's expressions on UTF-8 text: the text is widened, offsets are counted back.
#include "data/tokenizers/regex.h"

#include <fmt/format.h>
#include <unicode/uregex.h>

#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

constexpr size_t kMostBytes = 1 << 14;    // of an expression
constexpr int32_t kMostSteps = 100;       // of 10,000 operations, for one match
constexpr int32_t kMostStack = 16 << 20;  // bytes

using Expression = std::unique_ptr<URegularExpression, decltype(&uregex_close)>;

// Byte offsets of ascending UTF-16 offsets.
class Offsets {
 public:
  explicit Offsets(std::string_view text) : text_(text) {}
  size_t bytes_at(int32_t wide) {
    while (wide_ < wide) wide_ += unicode::next(text_, bytes_) > 0xFFFF ? 2 : 1;
    return bytes_;
  }

 private:
  std::string_view text_;
  int32_t wide_ = 0;
  size_t bytes_ = 0;
};

// {1,3}+ is a repetition there, and greed without return here.
bool repeats_a_count(std::string_view expression) {
  for (size_t at = 0; (at = expression.find("}+", at)) != expression.npos; ++at) {
    const size_t open = expression.rfind('{', at);
    if (open == expression.npos) continue;
    const std::string_view count = expression.substr(open + 1, at - open - 1);
    if (!count.empty() && count.find_first_not_of("0123456789,") == count.npos) return true;
  }
  return false;
}

}  // namespace

Regex::Regex(const std::string& expression, const Section& where) {
  if (expression.size() > kMostBytes) throw where.error("is longer than 16384 bytes");
  if (repeats_a_count(expression)) {
    throw where.error("has a '+' behind a count, which Oniguruma and ICU read differently");
  }
  const std::u16string wide = unicode::to_utf16(expression);
  UErrorCode status = U_ZERO_ERROR;
  UParseError place{};
  compiled_ = {uregex_open(wide.data(), static_cast<int32_t>(wide.size()),
                           UREGEX_MULTILINE | UREGEX_UNIX_LINES, &place, &status),
               uregex_close};
  if (U_FAILURE(status)) {
    throw where.error(
        fmt::format("is an expression that is not understood at character {} ({}): {}",
                    place.offset, u_errorName(status), expression));
  }
}

void Regex::for_each_match(std::string_view text,
                           const std::function<void(size_t begin, size_t end)>& found) const {
  const std::u16string wide = unicode::to_utf16(text);
  UErrorCode status = U_ZERO_ERROR;
  const Expression mine(uregex_clone(compiled_.get(), &status), &uregex_close);
  uregex_setTimeLimit(mine.get(), kMostSteps, &status);
  uregex_setStackLimit(mine.get(), kMostStack, &status);
  uregex_setText(mine.get(), wide.data(), static_cast<int32_t>(wide.size()), &status);
  Offsets offsets(text);
  int32_t done = -1;
  while (uregex_findNext(mine.get(), &status)) {
    const int32_t begin = uregex_start(mine.get(), 0, &status);
    const int32_t end = uregex_end(mine.get(), 0, &status);
    if (begin == end && begin == done) continue;
    done = end;
    const size_t first = offsets.bytes_at(begin);
    found(first, offsets.bytes_at(end));
  }
  if (U_FAILURE(status)) {
    throw model_error("a regular expression of the tokenizer fails on a text of {} bytes: {}",
                      text.size(), u_errorName(status));
  }
}

}  // namespace rankwise
