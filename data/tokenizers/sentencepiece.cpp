// The pieces and the cut are sentencepiece's; added tokens, </s> and <s> are those of the T5 and
// the Llama class. The only door to sentencepiece.
#include "data/tokenizers/sentencepiece.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <set>

#include "data/tokenizers/model_folder.h"
#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;
using sentencepiece::SentencePieceProcessor;

constexpr std::string_view kSpace = "\u2581";

void check(const sentencepiece::util::Status& status, const fs::path& file) {
  if (!status.ok()) throw model_error("{}: {}", file.string(), status.ToString());
}

// What the newer classes ("legacy": false) put behind the file, by the rules of protobuf: the
// normalizer's add_dummy_prefix is false.
constexpr std::string_view kNoPrefix("\x1a\x02\x18\x00", 4);

class PieceModel : public Model {
 public:
  // `prefix`: the newer classes' own treatment of the first space, see append_ids.
  PieceModel(const fs::path& file, const std::string& bytes, bool legacy,
             const std::string& unknown)
      : legacy_(legacy), unknown_(unknown) {
    check(processor_->LoadFromSerializedProto(legacy ? bytes : bytes + std::string(kNoPrefix)),
          file);
    std::vector<std::string> texts;
    for (int id = 0; id < processor_->GetPieceSize(); ++id)
      texts.push_back(processor_->IdToPiece(id));
    if (texts.empty()) throw model_error("{}: no pieces", file.string());
    vocabulary_ = std::make_unique<Vocabulary>(texts);
    if (!legacy) unknown_length_ = encoded(unknown_).size();
  }

  // A newer class keeps the space that a text begins with: it encodes the unknown token before it,
  // and drops that.
  void append_ids(std::string_view text, std::vector<int32_t>& ids) const override {
    const bool guarded = this->guarded(text);
    const std::vector<int> found =
        encoded(guarded ? unknown_ + std::string(text) : std::string(text));
    const size_t dropped = guarded ? std::min(unknown_length_, found.size()) : 0;
    ids.insert(ids.end(), found.begin() + static_cast<ptrdiff_t>(dropped), found.end());
  }

  void append_tokens(std::string_view text, std::vector<PieceToken>& tokens) const override {
    const std::string guard = guarded(text) ? unknown_ : "";
    const auto found = processor_->EncodeAsImmutableProto(guard + std::string(text));
    for (size_t i = guard.empty() ? 0 : unknown_length_; i < found.pieces_size(); ++i) {
      const auto piece = found.pieces(static_cast<int>(i));
      const auto place = [&](uint32_t at) {
        return std::max<size_t>(at, guard.size()) - guard.size();
      };
      tokens.push_back(
          {static_cast<int32_t>(piece.id()), place(piece.begin()), place(piece.end())});
    }
  }

  const Vocabulary& vocabulary() const override { return *vocabulary_; }
  std::shared_ptr<const SentencePieceProcessor> processor() const { return processor_; }

 private:
  bool guarded(std::string_view text) const {
    return !legacy_ && (text.starts_with(kSpace) || text.starts_with(' '));
  }

  std::vector<int> encoded(const std::string& text) const {
    std::vector<int> ids;
    const auto status = processor_->Encode(text, &ids);
    if (!status.ok()) throw model_error("sentencepiece: {}", status.ToString());
    return ids;
  }

  std::shared_ptr<SentencePieceProcessor> processor_ = std::make_shared<SentencePieceProcessor>();
  bool legacy_;
  std::string unknown_;
  size_t unknown_length_ = 0;
  std::unique_ptr<Vocabulary> vocabulary_;
};

Json added_token(const std::string& content, int64_t id, bool strips) {
  return {{"content", content},  {"id", id},         {"special", true},
          {"normalized", false}, {"lstrip", strips}, {"rstrip", strips}};
}

// The special tokens that the class knows without a config. T5 counts its <extra_id_…> downwards.
Json default_tokens(bool llama, const Vocabulary& vocabulary, const Section& config) {
  Json tokens = Json::array();
  const auto add = [&](const char* name, const char* otherwise) {
    const std::string content = special_token(config, name, otherwise);
    if (const auto id = vocabulary.id_of(content))
      tokens.push_back(added_token(content, *id, false));
  };
  add("unk_token", "<unk>");
  add("eos_token", "</s>");
  if (llama) add("bos_token", "<s>");
  if (llama) return tokens;
  add("pad_token", "<pad>");
  const int64_t count = config.has("extra_ids") ? config.integer("extra_ids", 0, 10'000) : 100;
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(
        added_token(fmt::format("<extra_id_{}>", i), vocabulary.size() + count - 1 - i, true));
  }
  return tokens;
}

Json t5_template(const Vocabulary& vocabulary, const Section& config, const fs::path& file) {
  const std::string eos = special_token(config, "eos_token", "</s>");
  const auto id = vocabulary.id_of(eos);
  if (!id) throw model_error("{}: no '{}' (eos_token)", file.string(), eos);
  const Json end = {{"SpecialToken", {{"id", eos}, {"type_id", 0}}}};
  const Json a = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const Json b = {{"Sequence", {{"id", "B"}, {"type_id", 0}}}};
  Json made = {{"type", "TemplateProcessing"}, {"single", {a, end}}, {"pair", {a, end, b, end}}};
  made["special_tokens"][eos] = {{"ids", {*id}}};
  return made;
}

// text: `piece` with plain spaces and, at the start of a row, one more before it.
void note_sources(Pieces& pieces, const std::string& text, std::string_view piece) {
  const char* made = text.data();
  if (piece.data() == pieces.row_start) {
    pieces.note(made, kSpace.size(), piece.data());
    made += kSpace.size();
  }
  for (size_t at = 0; at < piece.size(); ++made) {
    pieces.note(made, 1, &piece[at]);
    at += piece.substr(at).starts_with(kSpace) ? kSpace.size() : 1;
  }
}

// The newer classes put one space before a row, and know the visible space as a space.
void prepend_space(Pieces& pieces) {
  for (std::string_view& piece : pieces.texts) {
    std::string& text = pieces.written.emplace_back(piece);
    replace_all(text, kSpace, " ");
    if (piece.data() == pieces.row_start) text.insert(0, kSpace);
    note_sources(pieces, text, piece);
    piece = text;
  }
}

// Runs of pieces are sentencepiece's to join; special tokens stand between them. As the classes do
// it, T5's and Llama's a little differently.
class RunDecoder {
 public:
  RunDecoder(std::shared_ptr<const SentencePieceProcessor> processor, const Json& added, bool llama,
             bool legacy)
      : processor_(std::move(processor)), llama_(llama), legacy_(legacy) {
    for (const Json& token : added) {
      if (token["special"]) special_.insert(token["content"].get<std::string>());
    }
  }

  void operator()(std::vector<std::string>& tokens) const {
    if (tokens.empty()) return;
    if (tokens[0].starts_with(kSpace)) tokens[0].erase(0, kSpace.size());
    std::string text;
    std::vector<std::string> run;
    bool after_special = false;
    for (size_t i = 0; i < tokens.size(); ++i) {
      const bool special = special_.contains(tokens[i]);
      if (special && !after_special && (!llama_ || (i > 0 && legacy_))) text += ' ';
      if (special) {
        text += decoded(run) + tokens[i];
        run.clear();
      } else {
        if (llama_ && after_special && i == 1 && !tokens[i].starts_with(kSpace)) text += ' ';
        run.push_back(tokens[i]);
      }
      after_special = special;
    }
    tokens = {text + decoded(run)};
  }

 private:
  std::string decoded(const std::vector<std::string>& run) const {
    std::string text;
    const auto status = processor_->Decode(run, &text);
    if (!status.ok()) throw model_error("sentencepiece: {}", status.ToString());
    return text;
  }

  std::shared_ptr<const SentencePieceProcessor> processor_;
  bool llama_, legacy_;
  std::set<std::string> special_;
};

}  // namespace

std::unique_ptr<Tokenizer> tokenizer_of_sentencepiece(const fs::path& file, const Section& config) {
  const bool is_t5_file = file.filename() == "spiece.model";
  const std::string name = tokenizer_class(config, is_t5_file ? "T5Tokenizer" : "LlamaTokenizer");
  const bool llama = name == "LlamaTokenizer";
  if (!llama && name != "T5Tokenizer" && name != "MT5Tokenizer") {
    throw model_error("{}: a {} needs a tokenizer.json", file.string(), name);
  }
  return tokenizer_of_pieces(read_text_file(file, ErrorKind::kModel), llama, file, config);
}

std::unique_ptr<Tokenizer> tokenizer_of_pieces(const std::string& bytes, bool llama,
                                               const fs::path& file, const Section& config) {
  const bool legacy = config.boolean("legacy", true);
  auto model = std::make_unique<PieceModel>(file, bytes, legacy,
                                            special_token(config, "unk_token", "<unk>"));
  const Vocabulary& vocabulary = model->vocabulary();
  Json root = {{"added_tokens", default_tokens(llama, vocabulary, config)}};
  root["model"] = {
      {"type", "sentencepiece"}, {"legacy", legacy}, {"hash", TokenIndex::hash(bytes)}};
  for (const auto& token : vocabulary.tokens())
    root["model"]["vocab"][std::string(token)] = *vocabulary.id_of(token);
  if (!llama) root["post_processor"] = t5_template(vocabulary, config, file);
  apply_config(config, root);
  TokenizerSettings settings = settings_of(config, false);
  settings.strip_decoded = !llama;
  settings.odd_to_first = true;
  OwnParts own;
  own.decoder = RunDecoder(model->processor(), root["added_tokens"], llama, legacy);
  if (!legacy) own.pre_tokenizer = prepend_space;
  own.model = std::move(model);
  return std::make_unique<Pipeline>(Section(root, file.string()), settings, std::move(own));
}

}  // namespace rankwise
