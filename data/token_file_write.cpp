// Writing: parts, each by one rank, and the file that makes them one store.
#include <algorithm>
#include <numeric>

#include "data/loader.h"
#include "data/token_arrays.h"
#include "data/token_file.h"
#include "distributed/checkpoint/durable.h"
#include "distributed/core/error.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

// Makes the HDF5 file `path` by `fill`; it is on disk and whole under its name, or not there.
template <class Fill>
void make_file(const fs::path& path, const Fill& fill) {
  const fs::path partial = path.string() + ".partial";
  try {
    const auto lock = hdf5_lock();
    const Handle file(H5Fcreate(partial.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose,
                      "making the file");
    fill(file);
    checked(H5Fflush(file, H5F_SCOPE_LOCAL), "writing the file");
  } catch (const Hdf5Failure& failure) {
    std::error_code ignored;
    fs::remove(partial, ignored);
    throw machine_error("{}: {} failed: disk full, or the folder not writable?", path.string(),
                        failure.doing);
  }
  sync_file(partial);
  fs::rename(partial, path);
  sync_folder(fs::absolute(path).parent_path());
}

// A dataset over those of the parts that have it, one behind the other.
void write_virtual(hid_t file, const std::vector<TokenPart>& parts, const char* name, hid_t type,
                   int64_t TokenPart::*size, bool TokenPart::*has = nullptr) {
  hsize_t all = 0;
  for (const TokenPart& part : parts) all += static_cast<hsize_t>(part.*size);
  const Handle space(H5Screate_simple(1, &all, nullptr), H5Sclose, "making a space");
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "making a property list");
  hsize_t first = 0;
  for (const TokenPart& part : parts) {
    const auto count = static_cast<hsize_t>(part.*size);
    if (count > 0 && (!has || part.*has)) {
      const Handle source(H5Screate_simple(1, &count, nullptr), H5Sclose, "making a space");
      checked(H5Sselect_hyperslab(space, H5S_SELECT_SET, &first, nullptr, &count, nullptr),
              "selecting numbers");
      checked(H5Pset_virtual(creation, space, part.file.c_str(), name, source),
              "joining the parts");
    }
    first += count;
  }
  checked(H5Sselect_all(space), "selecting numbers");
  Handle(H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose,
         "making a dataset");
}

// The counts of all parts' examples, one behind the other.
std::vector<int32_t> counts_of(const fs::path& folder, const std::vector<TokenPart>& parts,
                               const char* name, int64_t TokenPart::*size) {
  std::vector<int32_t> all;
  for (const TokenPart& part : parts) {
    try {
      const Handle file = open_hdf5(folder / part.file);
      const std::vector<int32_t> counts = read_whole_array<int32_t>(file, name, part.*size);
      all.insert(all.end(), counts.begin(), counts.end());
    } catch (const Hdf5Failure& failure) {
      throw input_error("{}: damaged ({} failed)", (folder / part.file).string(), failure.doing);
    }
  }
  return all;
}

std::vector<int64_t> sums_of(const std::vector<int32_t>& counts) {
  std::vector<int64_t> sums = {0};
  for (const int32_t count : counts) sums.push_back(sums.back() + count);
  return sums;
}

template <class Number>
std::vector<int32_t> narrowed(const std::vector<Number>& numbers) {
  return {numbers.begin(), numbers.end()};
}

bool have_questions(const std::vector<TokenPart>& parts) {
  return std::ranges::any_of(parts, [](const TokenPart& part) { return part.questions > 0; });
}

struct Offsets {
  std::vector<int64_t> rows, tokens, labels, questions;
  std::vector<int32_t> target_counts;
};

Offsets offsets_of(const fs::path& folder, const std::vector<TokenPart>& parts) {
  Offsets offsets;
  offsets.rows = sums_of(counts_of(folder, parts, "row_examples", &TokenPart::rows));
  offsets.tokens = sums_of(counts_of(folder, parts, "lengths", &TokenPart::examples));
  offsets.labels = sums_of(counts_of(folder, parts, "label_counts", &TokenPart::examples));
  offsets.target_counts = counts_of(folder, parts, "target_counts", &TokenPart::examples);
  if (have_questions(parts))
    offsets.questions = sums_of(counts_of(folder, parts, "question_lengths", &TokenPart::rows));
  return offsets;
}

// Blocks of all tokens, of which each has a label; the first of a block is predicted by nothing.
Offsets block_offsets(int64_t tokens, int64_t size) {
  Offsets offsets;
  offsets.tokens = offsets.labels = cut_blocks(tokens, size);
  for (size_t i = 1; i < offsets.tokens.size(); ++i)
    offsets.target_counts.push_back(
        static_cast<int32_t>(offsets.tokens[i] - offsets.tokens[i - 1] - 1));
  offsets.rows.resize(offsets.tokens.size());
  std::iota(offsets.rows.begin(), offsets.rows.end(), 0);
  return offsets;
}

// Beside the store.
std::string name_of_part(const fs::path& path) {
  return (path.parent_path().filename() / path.filename()).string();
}

// Whether the offsets are 0, 1, … count.
bool is_count(const std::vector<int64_t>& offsets, int64_t count) {
  for (int64_t i = 0; i < std::ssize(offsets); ++i) {
    if (offsets[static_cast<size_t>(i)] != i) return false;
  }
  return std::ssize(offsets) == count + 1;
}

}  // namespace

fs::path part_path(const fs::path& file, int64_t number) {
  return fs::path(file.string() + ".parts") / fmt::format("{:06}.h5", number);
}

TokenPart write_part(const fs::path& path, const FlatExamples& examples, TaskType task,
                     const std::string& identity) {
  TokenPart part{name_of_part(path),
                 std::ssize(examples.row_examples),
                 std::ssize(examples.lengths),
                 std::ssize(examples.ids),
                 std::ssize(examples.labels) + std::ssize(examples.values),
                 examples.truncated_rows,
                 std::ssize(examples.questions),
                 !examples.types.empty(),
                 !examples.values.empty()};
  std::vector<int32_t> target_counts;
  size_t at = 0;
  for (const int64_t count : examples.label_counts) {
    const auto labels = examples.values.empty()
                            ? std::span(examples.labels).subspan(at, static_cast<size_t>(count))
                            : std::span<const int32_t>();
    target_counts.push_back(static_cast<int32_t>(target_count(labels, {task})));
    at += static_cast<size_t>(count);
  }
  make_file(path, [&](hid_t file) {
    write_array(file, "row_examples", narrowed(examples.row_examples));
    write_array(file, "lengths", narrowed(examples.lengths));
    write_array(file, "label_counts", narrowed(examples.label_counts));
    write_array(file, "target_counts", target_counts);
    write_array(file, "input_ids", examples.ids);
    if (part.typed) write_array(file, "token_type_ids", examples.types);
    if (part.regression) {
      write_array(file, "labels", examples.values);
    } else {
      write_array(file, "labels", examples.labels);
    }
    if (part.questions > 0) {
      write_array(file, "question_lengths", narrowed(examples.question_lengths));
      write_array(file, "questions", examples.questions);
    }
    write_text(file, "identity", identity);
    Json description = to_json(part);
    description["file"] = "";  // the same bytes whatever the store is called
    write_text(file, "part", description.dump());
  });
  return part;
}

std::optional<TokenPart> read_part(const fs::path& path, const std::string& identity) {
  if (!fs::exists(path)) return std::nullopt;
  const auto lock = hdf5_lock();
  try {
    const Handle file = open_hdf5(path);
    if (read_text(file, "identity") != identity) return std::nullopt;
    TokenPart part =
        token_part(parse_json(read_text(file, "part"), path.string(), ErrorKind::kInput));
    part.file = name_of_part(path);
    return part;
  } catch (const Hdf5Failure&) {
    return std::nullopt;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

void write_token_file(const fs::path& path, const std::vector<TokenPart>& parts,
                      const TokenFileSettings& settings,
                      const std::vector<std::string>& label_names,
                      std::optional<int64_t> block_size) {
  int64_t tokens = 0, truncated_rows = 0;
  Json list = Json::array();
  for (const TokenPart& part : parts) {
    tokens += part.tokens;
    truncated_rows += part.truncated_rows;
    list.push_back(to_json(part));
  }
  if (tokens == 0) throw input_error("{}: no tokens", path.string());
  const bool typed = std::ranges::any_of(parts, &TokenPart::typed);
  const bool regression = std::ranges::any_of(parts, &TokenPart::regression);
  make_file(path, [&](hid_t file) {
    const Offsets offsets = block_size ? block_offsets(tokens, *block_size)
                                       : offsets_of(fs::absolute(path).parent_path(), parts);
    const auto examples = std::ssize(offsets.tokens) - 1;
    const bool one_each = is_count(offsets.rows, examples);
    if (!one_each) write_array(file, "row_offsets", offsets.rows);
    write_array(file, "offsets", offsets.tokens);
    write_array(file, "label_offsets", offsets.labels);
    write_array(file, "target_counts", offsets.target_counts);
    write_virtual(file, parts, "input_ids", H5T_STD_I32LE, &TokenPart::tokens);
    if (typed)
      write_virtual(file, parts, "token_type_ids", H5T_STD_I32LE, &TokenPart::tokens,
                    &TokenPart::typed);
    write_virtual(file, parts, "labels", regression ? H5T_IEEE_F32LE : H5T_STD_I32LE,
                  &TokenPart::labels);
    if (have_questions(parts)) {
      write_array(file, "question_offsets", offsets.questions);
      write_virtual(file, parts, "questions", H5T_STD_U8LE, &TokenPart::questions);
    }
    write_text(file, "rankwise",
               Json{{"format", kTokenFileFormat},
                    {"settings", settings},
                    {"label_names", label_names},
                    {"parts", list},
                    {"rows", std::ssize(offsets.rows) - 1},
                    {"examples", examples},
                    {"one_each", one_each},
                    {"tokens", tokens},
                    {"truncated_rows", truncated_rows}}
                   .dump());
    for (const auto& [name, value] : settings) write_text(file, name, value);
  });
}

}  // namespace rankwise
