// Reading: the file's attributes and offsets at the start, rows of its parts as they are needed.
#include "data/token_file.h"

#include <algorithm>
#include <cstring>

#include "data/token_arrays.h"
#include "distributed/comm/agree.h"
#include "distributed/core/hash.h"
#include "distributed/memory/node_memory.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

Error damaged(const fs::path& file, const Hdf5Failure& failure) {
  return input_error("{}: no token store, or damaged ({} failed)", file.string(), failure.doing);
}

// What the leader of a node reads.
struct Index {
  TokenFileSettings settings;
  std::vector<std::string> label_names;
  std::vector<TokenPart> parts;
  int format = 1;
  int64_t rows = 0, examples = 0, truncated_rows = 0;
  bool one_each = true;  // each row is one example
  int64_t row_offsets() const { return one_each ? 0 : rows + 1; }
};

Index read_index(const fs::path& file) {
  if (!fs::exists(file)) throw input_error("{}: no such file", file.string());
  const auto lock = hdf5_lock();
  try {
    const Handle opened = open_hdf5(file);
    const Json description =
        parse_json(read_text(opened, "rankwise"), file.string(), ErrorKind::kInput);
    Index index;
    index.settings = description.at("settings").get<TokenFileSettings>();
    index.label_names = description.at("label_names").get<std::vector<std::string>>();
    for (const Json& part : description.at("parts")) index.parts.push_back(token_part(part));
    index.format = description.value("format", index.format);
    if (index.format > kTokenFileFormat)
      throw input_error("{}: of format {}, this Rankwise knows {}", file.string(), index.format,
                        kTokenFileFormat);
    index.rows = description.at("rows").get<int64_t>();
    index.examples = description.at("examples").get<int64_t>();
    index.one_each = description.at("one_each").get<bool>();
    index.truncated_rows = description.at("truncated_rows").get<int64_t>();
    return index;
  } catch (const Hdf5Failure& failure) {
    throw damaged(file, failure);
  } catch (const nlohmann::json::exception& error) {
    throw input_error("{}: its description is damaged: {}", file.string(), error.what());
  }
}

void expect_settings(const fs::path& file, const TokenFileSettings& stored,
                     const TokenFileSettings& expected) {
  for (const auto& [name, value] : expected) {
    const auto found = stored.find(name);
    const std::string was = found == stored.end() ? "" : found->second;
    if (was != value)
      throw input_error("{}: was prepared with {} '{}', the run has '{}'", file.string(), name, was,
                        value);
  }
}

// Whether the question is of this row of the text, and its windows and tokens are where they can
// be.
bool fits(const Question& question, const TokenStore& store, int64_t row) {
  int64_t example = store.first_example(row);
  if (std::ssize(question.windows) != store.first_example(row + 1) - example) return false;
  return std::ranges::all_of(question.windows,
                             [&](const Window& window) {
                               return 0 <= window.begin && window.begin <= window.end &&
                                      window.end <= store.length(example++) && 0 <= window.first &&
                                      window.first + window.end - window.begin <=
                                          std::ssize(question.tokens);
                             }) &&
         std::ranges::all_of(question.tokens, [&](const TextSpan& token) {
           return token.begin <= token.end && token.end <= question.context.size();
         });
}

template <class T>
std::span<const T> take(const std::byte*& at, int64_t count) {
  const std::span<const T> taken(reinterpret_cast<const T*>(at), static_cast<size_t>(count));
  at += taken.size_bytes();
  return taken;
}

}  // namespace

Json to_json(const TokenPart& part) {
  return {{"file", part.file},
          {"rows", part.rows},
          {"examples", part.examples},
          {"tokens", part.tokens},
          {"labels", part.labels},
          {"truncated_rows", part.truncated_rows},
          {"questions", part.questions},
          {"typed", part.typed},
          {"regression", part.regression}};
}

TokenPart token_part(const Json& json) {
  const auto count = [&](const char* name) { return json.at(name).get<int64_t>(); };
  return {json.at("file").get<std::string>(),
          count("rows"),
          count("examples"),
          count("tokens"),
          count("labels"),
          count("truncated_rows"),
          json.value("questions", int64_t{0}),
          json.at("typed").get<bool>(),
          json.at("regression").get<bool>()};
}

TokenStore open_token_file(Communicator& communicator, const fs::path& file,
                           const TokenFileSettings& expected) {
  Index index;
  together(communicator, "opening " + file.string(), [&] {
    index = read_index(file);
    expect_settings(file, index.settings, expected);
  });
  const int64_t row_offsets = index.row_offsets();
  const auto bytes =
      static_cast<size_t>((row_offsets + 2 * (index.examples + 1)) * 8 + index.examples * 4);
  const auto memory =
      std::make_shared<NodeMemory>(communicator, bytes, [&](std::span<std::byte> out) {
        const auto lock = hdf5_lock();
        std::byte* at = out.data();
        const auto put = [&](const auto& numbers) {
          std::memcpy(at, numbers.data(), numbers.size() * sizeof numbers[0]);
          at += numbers.size() * sizeof numbers[0];
        };
        try {
          const Handle opened = open_hdf5(file);
          if (row_offsets > 0) put(read_whole_array<int64_t>(opened, "row_offsets", row_offsets));
          put(read_whole_array<int64_t>(opened, "offsets", index.examples + 1));
          put(read_whole_array<int64_t>(opened, "label_offsets", index.examples + 1));
          put(read_whole_array<int32_t>(opened, "target_counts", index.examples));
        } catch (const Hdf5Failure& failure) {
          throw damaged(file, failure);
        }
      });
  TokenStore store;
  const std::byte* at = memory->bytes().data();
  store.row_offsets = take<int64_t>(at, row_offsets);
  store.offsets = take<int64_t>(at, index.examples + 1);
  store.label_offsets = take<int64_t>(at, index.examples + 1);
  store.target_counts = take<int32_t>(at, index.examples);
  store.label_names = index.label_names;
  store.truncated_rows = index.truncated_rows;
  store.owner = memory;
  Hash hash;
  for (const auto& [name, value] : index.settings) hash.add(value.data(), value.size());
  hash.add(memory->bytes().data(), bytes);
  store.identity = fmt::format("{:016x}", hash.value());
  store.file = std::make_shared<TokenFile>(file, std::move(index.parts), index.format);
  const std::string first = broadcast_text(communicator, store.identity);
  together(communicator, "comparing " + file.string(), [&] {
    if (store.identity != first)
      throw input_error("{}: the ranks read different files", file.string());
  });
  return store;
}

// Parts that were read from before, with the arrays of each.
struct TokenFile::Open {
  struct Array {
    Handle file, dataset;
  };
  std::map<std::pair<size_t, std::string>, Array> arrays;
};

TokenFile::TokenFile(fs::path file, std::vector<TokenPart> parts, int format)
    : file_(std::move(file)),
      parts_(std::move(parts)),
      format_(format),
      typed_(std::ranges::any_of(parts_, &TokenPart::typed)),
      regression_(std::ranges::any_of(parts_, &TokenPart::regression)),
      open_(std::make_unique<Open>()) {}

TokenFile::~TokenFile() {
  const auto lock = hdf5_lock();
  open_.reset();
}

fs::path TokenFile::path_of(size_t part) const {
  return part < parts_.size() ? file_.parent_path() / parts_[part].file : file_;
}

template <class Number>
void TokenFile::read_from(size_t part, const char* array, int64_t begin, int64_t end,
                          Number* numbers) const {
  constexpr size_t kMostOpen = 256;
  try {
    if (open_->arrays.size() >= kMostOpen) open_->arrays.clear();
    auto found = open_->arrays.find({part, array});
    if (found == open_->arrays.end()) {
      Handle opened = open_hdf5(path_of(part));
      Handle dataset(H5Dopen2(opened, array, H5P_DEFAULT), H5Dclose, "opening a dataset");
      Open::Array both{std::move(opened), std::move(dataset)};
      found = open_->arrays.emplace(std::pair(part, array), std::move(both)).first;
    }
    read_array(found->second.dataset, hdf5_type<Number>(), static_cast<hsize_t>(begin),
               static_cast<hsize_t>(end - begin), numbers);
  } catch (const Hdf5Failure& failure) {
    throw damaged(path_of(part), failure);
  }
}

template <class Number>
std::vector<Number> TokenFile::read(const char* array, int64_t TokenPart::*size, int64_t begin,
                                    int64_t end, bool TokenPart::*has) const {
  std::vector<Number> numbers(static_cast<size_t>(end - begin));
  const auto lock = hdf5_lock();
  int64_t first = 0;  // of the part
  for (size_t i = 0; i < parts_.size() && first < end; first += parts_[i++].*size) {
    const int64_t from = std::max(begin, first), to = std::min(end, first + parts_[i].*size);
    if (from >= to || (has && !(parts_[i].*has))) continue;
    read_from(i, array, from - first, to - first, numbers.data() + (from - begin));
  }
  return numbers;
}

Example TokenFile::example(const TokenStore& store, int64_t row) const {
  const auto at = static_cast<size_t>(row);
  const int64_t begin = store.offsets[at], end = store.offsets[at + 1];
  const int64_t first = store.label_offsets[at], last = store.label_offsets[at + 1];
  Example example;
  example.input_ids = read<int32_t>("input_ids", &TokenPart::tokens, begin, end);
  if (typed_)
    example.token_type_ids =
        read<int32_t>("token_type_ids", &TokenPart::tokens, begin, end, &TokenPart::typed);
  if (regression_) {
    example.values = read<float>("labels", &TokenPart::labels, first, last);
  } else if (last > first) {
    example.labels = read<int32_t>("labels", &TokenPart::labels, first, last);
  }
  return example;
}

std::vector<Question> TokenFile::questions(const TokenStore& store, int64_t begin,
                                           int64_t end) const {
  std::vector<Question> questions;
  if (std::ranges::all_of(parts_, [](const TokenPart& part) { return part.questions == 0; }))
    return questions;
  std::vector<int64_t> offsets(static_cast<size_t>(end - begin + 1));
  {
    const auto lock = hdf5_lock();
    read_from(parts_.size(), "question_offsets", begin, end + 1, offsets.data());
  }
  const std::vector<char> bytes =
      read<char>("questions", &TokenPart::questions, offsets.front(), offsets.back());
  const std::string_view lines(bytes.data(), bytes.size());
  for (int64_t row = begin; row < end; ++row) {
    const auto at = static_cast<size_t>(row - begin);
    const std::string where = fmt::format("{}: the question of row {}", file_.string(), row + 1);
    const std::string_view line = lines.substr(static_cast<size_t>(offsets[at] - offsets[0]),
                                               static_cast<size_t>(offsets[at + 1] - offsets[at]));
    Question& question = questions.emplace_back(question_of(line, where));
    question.row = row;
    if (!fits(question, store, row)) throw input_error("{} is damaged", where);
  }
  return questions;
}

}  // namespace rankwise
