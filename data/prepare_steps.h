// What preparing in memory and preparing a file have in common.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "data/readers/reader.h"
#include "data/tasks/task.h"
#include "distributed/comm/communicator.h"

namespace rankwise {

std::set<std::string> labels_of_row(const Task& task, const Row& row);

// Collective. The labels of all ranks, in the order of their classes.
std::vector<std::string> unite_labels(Communicator& communicator,
                                      const std::set<std::string>& mine);

// Errors: kInput: the labels that were counted are only one.
void check_label_count(const Task& task, const std::filesystem::path& file);

// On all threads. Errors: those of Task::encode, of the first row that has one.
std::vector<EncodedRow> encode_rows(const Task& task, std::vector<Row> rows,
                                    const std::filesystem::path& file, const RowLimits& limits);

}  // namespace rankwise
