// What preparing in memory and preparing a file have in common.
#pragma once

#include <filesystem>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "data/readers/reader.h"
#include "data/tasks/task.h"
#include "distributed/comm/communicator.h"

namespace rankwise {

// For read_rows: rows of this rank, where blocks are dealt round robin; each row that is passed
// over counts as work too (RowLimits::each_row). Refers to both.
std::function<bool(int64_t)> rows_of_rank(const World& world, const RowLimits& limits);

std::set<std::string> labels_of_row(const Task& task, const Row& row);

// Collective. The labels of all ranks, in the order of their classes.
std::vector<std::string> unite_labels(Communicator& communicator,
                                      const std::set<std::string>& mine);

// Errors: kInput: the labels that were counted are only one.
void check_label_count(const Task& task, const std::filesystem::path& file);

// The first rows of a file, from 0, that are a question's text and that are not.
struct RowKinds {
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  int64_t text = kNone, other = kNone;
  void add(int64_t row, bool is_text);
  bool mixed() const { return text != kNone && other != kNone; }
};

// Collective. Errors (all ranks): kInput: the ranks' rows together are of both kinds.
void check_one_kind(Communicator& communicator, const RowKinds& mine,
                    const std::filesystem::path& file);

// On all threads. Errors: those of Task::encode, of the first row that has one.
std::vector<EncodedRow> encode_rows(const Task& task, std::vector<Row> rows,
                                    const std::filesystem::path& file, const RowLimits& limits);

}  // namespace rankwise
