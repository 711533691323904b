// A window of the last ids is decoded with and without the last one; what that one added is where a
// stop text must end.
#include "data/stop_strings.h"

#include <algorithm>

#include "distributed/core/error.h"
#include "peft/hub/json.h"

namespace rankwise {
namespace {

// A token is a byte at least; a few more ids, since a first token may lose its space and its
// character's first bytes.
constexpr size_t kMoreIds = 8;

}  // namespace

std::vector<std::string> parse_stop_strings(const std::string& text) {
  std::vector<std::string> stops;
  if (text.starts_with('[')) {
    const Json list = parse_json(text, "--stop", ErrorKind::kUsage);
    for (const Json& stop : list) {
      if (!stop.is_string()) throw usage_error("--stop: {} is not a text", stop.dump());
      stops.push_back(stop.get<std::string>());
    }
    return stops;
  }
  for (size_t begin = 0; !text.empty() && begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    stops.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return stops;
}

StopStrings::StopStrings(const Tokenizer& tokenizer, std::vector<std::string> stops)
    : tokenizer_(tokenizer), stops_(std::move(stops)) {
  for (const std::string& stop : stops_) {
    if (stop.empty()) throw usage_error("--stop: an empty text ends everything");
    window_ = std::max(window_, stop.size() + kMoreIds);
  }
}

bool StopStrings::end(const std::vector<int64_t>& ids) const {
  if (stops_.empty() || ids.empty()) return false;
  std::vector<int32_t> last(ids.end() - static_cast<std::ptrdiff_t>(std::min(window_, ids.size())),
                            ids.end());
  const std::string text = tokenizer_.decode(last, false);
  last.pop_back();
  const std::string before = tokenizer_.decode(last, false);
  const auto [differs, _] = std::mismatch(text.begin(), text.end(), before.begin(), before.end());
  const auto settled = static_cast<size_t>(differs - text.begin());
  return std::any_of(stops_.begin(), stops_.end(), [&](const std::string& stop) {
    const size_t found = text.rfind(stop);
    return found != std::string::npos && found + stop.size() > settled;
  });
}

}  // namespace rankwise
