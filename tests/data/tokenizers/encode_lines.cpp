// Encodes the rows of a JSONL file with a model folder's tokenizer and prints JSON; says on
// standard error how much processor time that took. The C++ side of tests/parity/tokenizers.py.
//
//   encode_lines FOLDER ROWS.jsonl     rows: {"text": …, "pair": … or null, "max_length": …}
//
// prints a line for each row: {"decoded", "decoded_all", "ids", "type_ids"}.
#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>

#include "data/tokenizers/tokenizer.h"
#include "peft/hub/json.h"

using namespace rankwise;

namespace {

double cpu_seconds_of(const std::function<void()>& work) {
  const std::clock_t begin = std::clock();
  work();
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

std::vector<Json> read_rows(const char* file) {
  std::vector<Json> rows;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    rows.push_back(parse_json(line, file, ErrorKind::kInput));
  }
  return rows;
}

Encoding encode(const Tokenizer& tokenizer, const Json& row) {
  std::optional<std::string_view> pair;
  if (!row.at("pair").is_null()) pair = row.at("pair").get_ref<const std::string&>();
  return tokenizer.encode(row.at("text").get_ref<const std::string&>(), pair,
                          row.at("max_length").get<int64_t>());
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) throw usage_error("encode_lines FOLDER ROWS.jsonl");
  const std::vector<Json> rows = read_rows(argv[2]);
  std::unique_ptr<Tokenizer> tokenizer;
  const double loading = cpu_seconds_of([&] { tokenizer = load_tokenizer(argv[1]); });
  if (!tokenizer) throw model_error("{}: no tokenizer", argv[1]);
  std::vector<Encoding> encodings;
  encodings.reserve(rows.size());
  const double encoding = cpu_seconds_of([&] {
    for (const Json& row : rows) encodings.push_back(encode(*tokenizer, row));
  });
  for (const Encoding& row : encodings) {
    const Json line = {{"decoded", tokenizer->decode(row.ids, true)},
                       {"decoded_all", tokenizer->decode(row.ids, false)},
                       {"ids", row.ids},
                       {"type_ids", row.type_ids}};
    std::puts(line.dump().c_str());
  }
  std::fprintf(stderr, "{\"loading_seconds\": %.6f, \"encoding_seconds\": %.6f}\n", loading,
               encoding);
  return 0;
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return error.exit_code();
}
