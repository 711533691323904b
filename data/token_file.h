// A token store in an HDF5 file, as `prepare` makes it and training reads it.
//
// <name>.h5 has the arrays of a store by the names of its fields: /offsets, /label_offsets,
// /row_offsets and /target_counts in itself, /input_ids, /token_type_ids and /labels (int32, or
// float32 of a regression) as virtual datasets over <name>.h5.parts/<number>.h5, which ranks write
// in parallel. Of questions of text also /questions, a line of JSON each (bytes, virtual), and
// /question_offsets [rows of the text + 1]. Its attributes say what it was made of; "parts" lists
// the parts. All is in chunks, compressed, each with Fletcher's checksum.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/flat_examples.h"
#include "data/token_store.h"
#include "distributed/comm/communicator.h"

namespace rankwise {

inline constexpr int kTokenFileFormat = 2;   // 1, which none says: without questions
inline constexpr int64_t kPartRows = 65536;  // of the text file

struct TokenPart {
  std::string file;  // beside the .h5 file
  int64_t rows = 0, examples = 0, tokens = 0, labels = 0, truncated_rows = 0;
  int64_t questions = 0;  // bytes of their lines
  bool typed = false, regression = false;
};

Json to_json(const TokenPart& part);
TokenPart token_part(const Json& json);  // throws what nlohmann-json does

// What the file was made of; a text each: "task", "tokenizer", "max_length" …
using TokenFileSettings = std::map<std::string, std::string>;

std::filesystem::path part_path(const std::filesystem::path& file, int64_t number);

// Writes a part under a temporary name, syncs and renames it. identity: of settings and source.
// Errors: kMachine.
TokenPart write_part(const std::filesystem::path& path, const FlatExamples& examples, TaskType task,
                     const std::string& identity);
// What a part holds; nothing where it is not there or of another identity.
std::optional<TokenPart> read_part(const std::filesystem::path& path, const std::string& identity);

// Writes the file over its parts. block_size: their tokens are read as blocks of so many. Errors:
// kMachine, kInput: a part is damaged.
void write_token_file(const std::filesystem::path& file, const std::vector<TokenPart>& parts,
                      const TokenFileSettings& settings,
                      const std::vector<std::string>& label_names,
                      std::optional<int64_t> block_size);

// Collective. Only offsets and counts are read, once a node. Errors (all ranks): kInput: no token
// store, damaged, other files on other ranks, a setting that is not `expected` (both are shown).
TokenStore open_token_file(Communicator& communicator, const std::filesystem::path& file,
                           const TokenFileSettings& expected);

// Reads rows from the parts, questions' places from the file. Thread-safe.
class TokenFile {
 public:
  TokenFile(std::filesystem::path file, std::vector<TokenPart> parts, int format);
  ~TokenFile();
  Example example(const TokenStore& store, int64_t row) const;  // Errors: kInput: damaged
  // Of rows begin … end - 1 of the text; empty where they are none. Errors: kInput: damaged.
  std::vector<Question> questions(const TokenStore& store, int64_t begin, int64_t end) const;
  // Whether it was written when questions were not kept yet.
  bool before_questions() const { return format_ < 2; }

 private:
  struct Open;
  std::filesystem::path path_of(size_t part) const;
  // Numbers begin … end - 1 of an array in a part, or in the file itself: part parts_.size().
  // hdf5_lock() is held.
  template <class Number>
  void read_from(size_t part, const char* array, int64_t begin, int64_t end, Number* numbers) const;
  // Numbers begin … end - 1 of all parts' together; zeros for parts that do not have the array.
  template <class Number>
  std::vector<Number> read(const char* array, int64_t TokenPart::*size, int64_t begin, int64_t end,
                           bool TokenPart::*has = nullptr) const;

  std::filesystem::path file_;
  std::vector<TokenPart> parts_;
  int format_;
  bool typed_, regression_;  // whether some part is
  std::unique_ptr<Open> open_;
};

}  // namespace rankwise
