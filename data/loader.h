// Rows to packed units; and a thread that packs ahead while the model computes.
#pragma once

#include <functional>
#include <future>
#include <optional>

#include "data/plan.h"
#include "data/token_store.h"
#include "peft/base/task.h"
#include "peft/base/unit.h"

namespace rankwise {

// Packs rows end to end, T rounded up to a multiple of 16. targets as the task wants them (unit.h).
Unit pack(const TokenStore& store, const UnitRows& rows, TaskType task);

// Hands out the units of a list in order, each packed one ahead on a background thread.
class Loader {
 public:
  Loader(const TokenStore& store, TaskType task) : store_(store), task_(task) {}
  // Calls `each(unit, index in `units`)` for the dealt indices, in that order. Stops early when
  // `each` returns false.
  void run(std::span<const UnitRows> units, std::span<const int64_t> dealt,
           const std::function<bool(const Unit&, int64_t)>& each) const;

 private:
  const TokenStore& store_;
  TaskType task_;
};

}  // namespace rankwise
