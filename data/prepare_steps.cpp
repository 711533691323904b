// Labels of all ranks, and rows to examples on all threads.
#include "data/prepare_steps.h"

#include <ATen/Parallel.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <mutex>

#include "data/gather_store.h"
#include "data/tasks/labels.h"
#include "distributed/comm/agree.h"

namespace rankwise {
namespace {

constexpr int64_t kThreadRows = 32;  // fewest rows that are worth a thread

// Calls body(i) for 0..count-1 on all threads; of what is thrown, the lowest i's is thrown here.
template <class Body>
void for_each_row(int64_t count, const Body& body) {
  std::mutex mutex;
  std::exception_ptr first;
  int64_t first_row = count;
  at::parallel_for(0, count, kThreadRows, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      try {
        body(static_cast<size_t>(row));
      } catch (...) {
        const std::scoped_lock lock(mutex);
        if (row < first_row) first = std::current_exception();
        first_row = std::min(first_row, row);
        return;
      }
    }
  });
  if (first) std::rethrow_exception(first);
}

}  // namespace

std::function<bool(int64_t)> rows_of_rank(const World& world, const RowLimits& limits) {
  return [&](int64_t row) {
    limits.each_row();
    return rank_of_row(row, world.ranks) == world.rank;
  };
}

std::set<std::string> labels_of_row(const Task& task, const Row& row) {
  const std::vector<std::string> labels = task.labels_in(row);
  return {labels.begin(), labels.end()};
}

std::vector<std::string> unite_labels(Communicator& communicator,
                                      const std::set<std::string>& mine) {
  std::vector<std::string> all;
  for (const auto& text : gather_texts(communicator, Json(mine).dump())) {
    for (const Json& label : parse_json(text, "labels", ErrorKind::kInternal)) {
      all.push_back(label.get<std::string>());
    }
  }
  return sorted_labels(std::move(all));
}

void check_label_count(const Task& task, const std::filesystem::path& file) {
  if (task.label_names().size() == 1) {
    throw input_error("{}: the only label is '{}'; a classification needs two at least",
                      file.string(), task.label_names()[0]);
  }
}

void RowKinds::add(int64_t row, bool is_text) {
  int64_t& first = is_text ? text : other;
  first = std::min(first, row);
}

void check_one_kind(Communicator& communicator, const RowKinds& mine,
                    const std::filesystem::path& file) {
  const at::Tensor all = communicator.all_gather(at::tensor({mine.text, mine.other}, at::kLong));
  const auto* first = all.const_data_ptr<int64_t>();  // [ranks, 2]
  RowKinds kinds;
  for (int rank = 0; rank < communicator.world().ranks; ++rank, first += 2) {
    kinds.add(first[0], true);
    kinds.add(first[1], false);
  }
  if (!kinds.mixed()) return;
  throw input_error("{}:{}: {}", file.string(), std::max(kinds.text, kinds.other) + 1,
                    kinds.text < kinds.other ? "a row of input_ids among rows of text"
                                             : "a row of text among rows of input_ids")
      .as_agreed();
}

std::vector<EncodedRow> encode_rows(const Task& task, std::vector<Row> rows,
                                    const std::filesystem::path& file, const RowLimits& limits) {
  std::vector<EncodedRow> encoded(rows.size());
  for_each_row(std::ssize(rows), [&](size_t i) {
    limits.each_row();
    encoded[i] = task.encode(rows[i], file, limits);
    rows[i].columns = nullptr;  // the text is not needed any more
  });
  return encoded;
}

}  // namespace rankwise
