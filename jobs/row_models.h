// Which model computes which row: one for all, or each row's own (jobs/adapters.h).
#pragma once

#include <vector>

#include "peft/model/adapted_model.h"

namespace rankwise {

struct RowModels {
  RowModels() = default;
  RowModels(const AdaptedModel& model) : models{&model} {}

  std::vector<const AdaptedModel*> models;
  std::vector<int64_t> of_rows;  // [rows], into models; empty: the first for all

  const AdaptedModel& of(int64_t row) const {
    return *models[of_rows.empty() ? 0 : static_cast<size_t>(of_rows[static_cast<size_t>(row)])];
  }
};

}  // namespace rankwise
