// Metaspace: spaces become a visible character (▁) that words begin with; and back.
#include <fmt/format.h>

#include "data/tokenizers/components.h"
#include "data/tokenizers/split.h"
#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

enum class Prepend { kAlways, kFirst, kNever };

struct Options {
  std::string replacement;
  Prepend prepend = Prepend::kAlways;
  bool split = true;
};

Prepend read_prepend(const Section& section) {
  if (!section.has("prepend_scheme")) {  // files before 2024
    return section.boolean("add_prefix_space", true) ? Prepend::kAlways : Prepend::kNever;
  }
  const std::string scheme = section.text("prepend_scheme");
  if (scheme == "always") return Prepend::kAlways;
  if (scheme == "first") return Prepend::kFirst;
  if (scheme == "never") return Prepend::kNever;
  throw section.at("prepend_scheme")
      .error(fmt::format("is '{}' (known: always, first, never)", scheme));
}

Options read_options(const Section& section) {
  Options options{section.text("replacement", "\u2581"), read_prepend(section),
                  section.boolean("split", true)};
  size_t end = 0;
  if (!options.replacement.empty()) unicode::next(options.replacement, end);
  if (end == 0 || end != options.replacement.size()) {
    throw section.at("replacement").error("must be one character");
  }
  return options;
}

// Cuts before each replacement.
void cut(std::string_view text, std::string_view replacement, std::vector<std::string_view>& out) {
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t next = std::min(text.find(replacement, begin + 1), text.size());
    out.push_back(text.substr(begin, next - begin));
    begin = next;
  }
}

// text: `piece` with replaced spaces and, where `prepended`, one more at the front.
void note_sources(Pieces& pieces, const std::string& text, std::string_view piece,
                  std::string_view replacement, bool prepended) {
  const char* made = text.data();
  if (prepended) {
    pieces.note(made, replacement.size(), piece.data());
    made += replacement.size();
  }
  for (const char& byte : piece) {
    const size_t count = byte == ' ' ? replacement.size() : 1;
    pieces.note(made, count, &byte);
    made += count;
  }
}

}  // namespace

PreTokenizer metaspace_pre_tokenizer(const Section& section) {
  const Options options = read_options(section);
  return [options](Pieces& pieces) {
    std::vector<std::string_view> texts;
    for (const std::string_view piece : pieces.texts) {
      std::string& text = pieces.written.emplace_back(piece);
      replace_all(text, " ", options.replacement);
      const bool wanted = options.prepend == Prepend::kAlways ||
                          (options.prepend == Prepend::kFirst && piece.data() == pieces.row_start);
      const bool prepended = wanted && !text.starts_with(options.replacement);
      if (prepended) text.insert(0, options.replacement);
      note_sources(pieces, text, piece, options.replacement, prepended);
      if (options.split) {
        cut(text, options.replacement, texts);
      } else {
        texts.push_back(text);
      }
    }
    pieces.texts.swap(texts);
  };
}

Decoder metaspace_decoder(const Section& section) {
  const Options options = read_options(section);
  return [options](std::vector<std::string>& tokens) {
    const bool dropped = options.prepend != Prepend::kNever;
    for (size_t i = 0; i < tokens.size(); ++i) {
      replace_all(tokens[i], options.replacement, i == 0 && dropped ? "" : " ");
    }
  };
}

}  // namespace rankwise
