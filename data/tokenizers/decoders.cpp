// Decoders: from tokens back to text.
#include <charconv>
#include <optional>

#include "data/tokenizers/components.h"
#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

std::optional<char> byte_of(std::string_view token) {  // "<0x0A>"
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(value);
}

}  // namespace

void clean_up_spaces(std::string& text) {
  constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
      {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kRules) replace_all(text, from, to);
}

Decoder wordpiece_decoder(const Section& section) {
  const std::string prefix = section.text("prefix", "##");
  const bool cleanup = section.boolean("cleanup", true);
  return [prefix, cleanup](std::vector<std::string>& tokens) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0 && tokens[i].starts_with(prefix)) {
        tokens[i].erase(0, prefix.size());
      } else if (i > 0) {
        tokens[i].insert(tokens[i].begin(), ' ');
      }
      if (!cleanup) continue;
      clean_up_spaces(tokens[i]);
      replace_all(tokens[i], " do not", " don't");
    }
  };
}

Decoder bpe_decoder(const Section& section) {
  const std::string suffix = section.text("suffix", "</w>");
  return [suffix](std::vector<std::string>& tokens) {
    for (size_t i = 0; i < tokens.size() && !suffix.empty(); ++i) {
      replace_all(tokens[i], suffix, i + 1 < tokens.size() ? " " : "");
    }
  };
}

// <0xE4> and the like, runs of which are UTF-8; where a run is not, each byte is a U+FFFD.
Decoder byte_fallback_decoder(const Section&) {
  return [](std::vector<std::string>& tokens) {
    std::vector<std::string> result;
    std::string bytes;
    const auto close = [&] {
      if (unicode::with_replacements(bytes) == bytes) {
        if (!bytes.empty()) result.push_back(bytes);
      } else {
        result.insert(result.end(), bytes.size(), "\ufffd");
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (const auto byte = byte_of(token)) {
        bytes.push_back(*byte);
        continue;
      }
      close();
      result.push_back(std::move(token));
    }
    close();
    tokens.swap(result);
  };
}

Decoder fuse_decoder(const Section&) {
  return [](std::vector<std::string>& tokens) {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens = {all};
  };
}

Decoder strip_decoder(const Section& section) {
  const std::string content = section.text("content");
  const int64_t start = section.integer("start", 0, INT32_MAX);
  const int64_t stop = section.integer("stop", 0, INT32_MAX);
  if (content.empty()) throw section.at("content").error("must not be empty");
  return [content, start, stop](std::vector<std::string>& tokens) {
    for (std::string& token : tokens) {
      size_t begin = 0, end = token.size();
      for (int64_t i = 0; i < start && token.compare(begin, content.size(), content) == 0; ++i) {
        begin += content.size();
      }
      for (int64_t i = 0; i < stop && end >= begin + content.size(); ++i) {
        if (token.compare(end - content.size(), content.size(), content) != 0) break;
        end -= content.size();
      }
      token = token.substr(begin, end - begin);
    }
  };
}

Decoder replace_decoder(const Section& section) {
  const Normalizer replace = replace_normalizer(section);
  return [replace](std::vector<std::string>& tokens) {
    for (std::string& token : tokens) replace(token, nullptr);
  };
}

Decoder sequence_decoder(const Section& section) {
  std::vector<Decoder> steps;
  for (const Section& item : section.items("decoders")) steps.push_back(make_decoder(item));
  return [steps](std::vector<std::string>& tokens) {
    for (const Decoder& step : steps) step(tokens);
  };
}

}  // namespace rankwise
