// Part p of the rows is made by rank p modulo ranks; rank 0 joins the parts.
#include "data/prepare_file.h"

#include <algorithm>
#include <map>

#include "data/gather_store.h"
#include "data/prepare_steps.h"
#include "distributed/comm/agree.h"
#include "distributed/core/hash.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBatchRows = 1024;  // tokenised at a time

// Collective. The labels of the file, where the task has to count them.
void count_labels(Communicator& communicator, Task& task, const fs::path& source,
                  const RowLimits& limits) {
  std::set<std::string> mine;
  together(communicator, "reading labels of " + source.string(), [&] {
    read_rows(source, rows_of_rank(communicator.world(), limits),
              [&](Row&& row) { mine.merge(labels_of_row(task, row)); });
  });
  const std::vector<std::string> labels = unite_labels(communicator, mine);
  together(communicator, "labels of " + source.string(), [&] {
    task.fix_labels(labels);
    check_label_count(task, source);
  });
}

// What decides the bytes of a part.
std::string identity_of(const TokenFileSettings& settings, const Task& task, const fs::path& source,
                        int64_t part_rows) {
  const Json all = {{"settings", settings},
                    {"format", kTokenFileFormat},
                    {"labels", task.label_names()},
                    {"source", fs::absolute(source).string()},
                    {"bytes", fs::file_size(source)},
                    {"changed", fs::last_write_time(source).time_since_epoch().count()},
                    {"part rows", part_rows}};
  return all.dump();
}

// The parts of one rank, made as its rows come.
class Parts {
 public:
  Parts(const Task& task, const fs::path& source, const RowLimits& limits, const fs::path& output,
        std::string identity, int64_t part_rows)
      : task_(task),
        source_(source),
        limits_(limits),
        output_(output),
        identity_(std::move(identity)),
        part_rows_(part_rows) {}

  // Whether the part is still to be made; else it is taken as it is.
  bool wanted(int64_t number) {
    if (number == asked_) return missing_;
    finish();
    asked_ = number;
    const std::optional<TokenPart> there = read_part(part_path(output_, number), identity_);
    missing_ = !there;
    if (there) {
      made_[number] = *there;
      kinds_.add(number * part_rows_, there->questions > 0);
      ++kept_;
    }
    return missing_;
  }

  void add(Row&& row) {
    batch_.push_back(std::move(row));
    if (batch_.size() == kBatchRows) encode();
  }

  // Writes the part that is under way, if there is one; not after rows that are to be refused.
  void finish() {
    encode();
    if (!examples_.row_examples.empty() && !kinds_.mixed())
      made_[asked_] = write_part(part_path(output_, asked_), examples_, task_.type(), identity_);
    examples_ = {};
  }

  const std::map<int64_t, TokenPart>& made() const { return made_; }
  const RowKinds& kinds() const { return kinds_; }
  int64_t kept() const { return kept_; }

 private:
  void encode() {
    for (const EncodedRow& row : encode_rows(task_, std::move(batch_), source_, limits_)) {
      kinds_.add(asked_ * part_rows_ + std::ssize(examples_.row_examples),
                 row.question.has_value());
      examples_.add(row);
    }
    batch_ = {};
  }

  const Task& task_;
  const fs::path& source_;
  const RowLimits& limits_;
  const fs::path& output_;
  std::string identity_;
  int64_t part_rows_;
  RowKinds kinds_;
  int64_t asked_ = -1, kept_ = 0;
  bool missing_ = false;
  std::vector<Row> batch_;
  FlatExamples examples_;
  std::map<int64_t, TokenPart> made_;
};

// Parts of an earlier preparation that had more of them.
void remove_parts_behind(const fs::path& output, int64_t count) {
  for (int64_t number = count; fs::exists(part_path(output, number)); ++number)
    fs::remove(part_path(output, number));
}

}  // namespace

PreparedFile prepare_token_file(Communicator& communicator, Task& task, const fs::path& source,
                                RowLimits limits, const TokenFileSettings& settings,
                                const fs::path& output, int64_t part_rows) {
  limits.keep_questions = true;
  const World& world = communicator.world();
  if (task.label_names().empty() && task.counts_labels())
    count_labels(communicator, task, source, limits);
  together(communicator, "making the folder of parts", [&] {
    std::error_code failed;
    if (world.rank == 0) fs::create_directories(part_path(output, 0).parent_path(), failed);
    if (failed)
      throw machine_error("{}: cannot be made: {}", part_path(output, 0).parent_path().string(),
                          failed.message());
  });
  std::optional<Parts> parts;
  together(communicator, "tokenising " + source.string(), [&] {
    parts.emplace(task, source, limits, output, identity_of(settings, task, source, part_rows),
                  part_rows);
    read_rows(
        source,
        [&](int64_t row) {
          limits.each_row();
          const int64_t number = row / part_rows;
          return number % world.ranks == world.rank && parts->wanted(number);
        },
        [&](Row&& row) { parts->add(std::move(row)); });
    parts->finish();
  });
  check_one_kind(communicator, parts->kinds(), source);
  Json mine = {{"kept", parts->kept()}, {"parts", Json::object()}};
  for (const auto& [number, part] : parts->made())
    mine["parts"][std::to_string(number)] = to_json(part);
  std::map<int64_t, TokenPart> all;
  PreparedFile prepared;
  for (const std::string& text : gather_texts(communicator, mine.dump())) {
    const Json of_rank = parse_json(text, "parts", ErrorKind::kInternal);
    prepared.kept_parts += of_rank["kept"].get<int64_t>();
    for (const auto& [number, part] : of_rank["parts"].items())
      all[std::stoll(number)] = token_part(part);
  }
  std::vector<TokenPart> in_order;
  for (const auto& [number, part] : all) {
    in_order.push_back(part);
    prepared.rows += part.rows;
    prepared.tokens += part.tokens;
    prepared.truncated_rows += part.truncated_rows;
  }
  prepared.parts = std::ssize(in_order);
  together(communicator, "writing " + output.string(), [&] {
    if (world.rank != 0) return;
    write_token_file(output, in_order, settings, task.label_names(), task.block_size());
    remove_parts_behind(output, prepared.parts);
  });
  return prepared;
}

}  // namespace rankwise
