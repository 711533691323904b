// Reads, tokenises and stores a dataset file: blocks of rows are dealt to ranks round robin, what
// they make of them is gathered, and the first rank of each node lays it out in row order in the
// node's memory.
#include "data/prepare.h"

#include <set>

#include "data/gather_questions.h"
#include "data/gather_store.h"
#include "data/prepare_steps.h"
#include "distributed/comm/agree.h"

namespace rankwise {
namespace {

struct Share {
  std::vector<Row> rows;
  int64_t file_rows = 0, file_bytes = 0;
};

Share read_share(const World& world, const std::filesystem::path& file, const RowLimits& limits) {
  Share share;
  share.file_rows = read_rows(file, rows_of_rank(world, limits),
                              [&](Row&& row) { share.rows.push_back(std::move(row)); });
  std::error_code pipe;  // which has no size
  share.file_bytes = static_cast<int64_t>(std::filesystem::file_size(file, pipe));
  return share;
}

// Collective. Each host may have a file of its own by that name.
void check_same_file(Communicator& communicator, const std::filesystem::path& file,
                     const Share& share) {
  const World& world = communicator.world();
  const std::vector<std::string> all = gather_texts(
      communicator, fmt::format("{} rows in {} bytes", share.file_rows, share.file_bytes));
  for (size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    throw input_error("{}: the ranks read different files: rank {} on host {} has {}, rank 0 {}",
                      file.string(), rank, world.hosts[rank], all[rank], all[0])
        .as_agreed();
  }
}

int64_t row_in_file(const World& world, int64_t mine) {
  return (mine / kBlockRows * world.ranks + world.rank) * kBlockRows + mine % kBlockRows;
}

// Collective. Takes the questions out of this rank's rows: all rows of the file are such, or none.
std::vector<Question> take_questions(Communicator& communicator, std::vector<EncodedRow>& rows,
                                     const std::filesystem::path& file) {
  std::vector<Question> mine;
  RowKinds kinds;
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t row = row_in_file(communicator.world(), static_cast<int64_t>(i));
    kinds.add(row, rows[i].question.has_value());
    if (!rows[i].question) continue;
    mine.push_back(std::move(*rows[i].question));
    mine.back().row = row;
    rows[i].question.reset();
  }
  check_one_kind(communicator, kinds, file);
  return mine;
}

// Every row has a label or none has.
void check_labels(const TokenStore& store, const std::filesystem::path& file) {
  if (!store.labelled()) return;
  for (int64_t row = 0; row < store.rows(); ++row) {
    const auto at = static_cast<size_t>(row);
    if (store.label_offsets[at] != store.label_offsets[at + 1]) continue;
    throw input_error("{}: {} {} has no label, but others have", file.string(),
                      store.row_offsets.empty() ? "row" : "window", row + 1)
        .as_agreed();  // the store is the same on all ranks
  }
}

}  // namespace

TokenStore prepare(Communicator& communicator, Task& task, const std::filesystem::path& file,
                   const RowLimits& limits) {
  const World& world = communicator.world();
  Share share;
  together(communicator, "read " + file.string(), [&] { share = read_share(world, file, limits); });
  check_same_file(communicator, file, share);
  std::vector<Row> rows = std::move(share.rows);

  const bool count_labels = task.label_names().empty();
  if (count_labels) {
    std::set<std::string> mine;
    for (const Row& row : rows) mine.merge(labels_of_row(task, row));
    std::vector<std::string> labels = unite_labels(communicator, mine);
    together(communicator, "labels of " + file.string(), [&] { task.fix_labels(labels); });
  }

  std::vector<EncodedRow> encoded;
  together(communicator, "tokenise " + file.string(), [&] {
    encoded = encode_rows(task, std::move(rows), file, limits);
    if (count_labels) check_label_count(task, file);
  });

  std::vector<Question> questions = take_questions(communicator, encoded, file);
  TokenStore store =
      gather_store(communicator, std::move(encoded), task.label_names(), task.block_size());
  if (store.tokens() == 0) throw input_error("{}: no tokens", file.string()).as_agreed();
  if (task.type() == TaskType::kSeqCls || task.type() == TaskType::kQuestionAns)
    check_labels(store, file);
  if (limits.keep_questions)
    store.questions = gather_questions(communicator, store, std::move(questions));
  return store;
}

}  // namespace rankwise
