// Decoders: from tokens back to text.
#include "data/tokenizers/components.h"

namespace rankwise {

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

}  // namespace rankwise
