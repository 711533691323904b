// The ByteLevel parts: bytes to characters of GPT-2's alphabet, and back.
#include "data/tokenizers/byte_level.h"

#include "data/tokenizers/components.h"
#include "data/tokenizers/split.h"
#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

bool stands_for_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

void write_characters(Pieces& pieces) {
  size_t bytes = 0;
  for (const std::string_view piece : pieces.texts) bytes += piece.size();
  std::string& written = pieces.written.emplace_back();
  written.reserve(2 * bytes);  // so that the views below stay
  for (std::string_view& piece : pieces.texts) {
    const size_t begin = written.size();
    for (const char& byte : piece) {
      const std::string_view character =
          byte_alphabet().character_of(static_cast<unsigned char>(byte));
      pieces.note(written.data() + written.size(), character.size(), &byte);
      written += character;
    }
    piece = std::string_view(written).substr(begin);
  }
}

void prepend_spaces(Pieces& pieces) {
  for (std::string_view& piece : pieces.texts) {
    if (piece.starts_with(' ')) continue;
    const std::string& text = pieces.written.emplace_back(" " + std::string(piece));
    pieces.note(text.data(), 1, piece.data());
    for (size_t i = 0; i < piece.size(); ++i) pieces.note(&text[i + 1], 1, &piece[i]);
    piece = text;
  }
}

}  // namespace

ByteAlphabet::ByteAlphabet() {
  bytes_.fill(-1);
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const char32_t character = stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++;
    unicode::append(character, characters_[static_cast<size_t>(byte)]);
    bytes_[character] = static_cast<int16_t>(byte);
  }
}

bool ByteAlphabet::append_bytes(std::string_view characters, std::string& bytes) const {
  const size_t before = bytes.size();
  for (size_t at = 0; at < characters.size();) {
    const char32_t character = unicode::next(characters, at);
    if (character >= bytes_.size() || bytes_[character] < 0) {
      bytes.resize(before);
      return false;
    }
    bytes.push_back(static_cast<char>(bytes_[character]));
  }
  return true;
}

const ByteAlphabet& byte_alphabet() {
  static const ByteAlphabet alphabet;
  return alphabet;
}

PreTokenizer byte_level_pre_tokenizer(const Section& section) {
  const bool prefix_space = section.boolean("add_prefix_space", true);
  PreTokenizer split;
  if (section.boolean("use_regex", true)) split = gpt2_words();
  return [prefix_space, split](Pieces& pieces) {
    if (prefix_space) prepend_spaces(pieces);
    if (split) split(pieces);
    write_characters(pieces);
  };
}

Normalizer byte_level_normalizer(const Section&) {
  return [](std::string& text, Origins* origins) {
    std::string result;
    OriginsWriter writer(origins);
    for (size_t i = 0; i < text.size(); ++i) {
      result += byte_alphabet().character_of(static_cast<unsigned char>(text[i]));
      writer.wrote(result.size(), i, i + 1);
    }
    text.swap(result);
    writer.finish();
  };
}

// A token with a character that stands for no byte is taken as it is.
Decoder byte_level_decoder(const Section&) {
  return [](std::vector<std::string>& tokens) {
    std::string bytes;
    for (const std::string& token : tokens) {
      if (!byte_alphabet().append_bytes(token, bytes)) bytes += token;
    }
    tokens = {unicode::with_replacements(bytes)};
  };
}

}  // namespace rankwise
