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

// How the rows of a task become units.
struct Packing {
  TaskType task = TaskType::kSeqCls;
  int64_t decoder_start_token = 0,
          pad_token = 0;       // SEQ_2_SEQ_LM: the decoder reads the labels
                               // shifted by the first, ignored ones as the second
  int64_t virtual_tokens = 0;  // of a prompt: each row begins with room for so many
};

// Packs rows end to end, T rounded up to a multiple of 16. targets as the task wants them (unit.h).
Unit pack(const TokenStore& store, const UnitRows& rows, const Packing& packing);

// How many targets of the loss a row has: 1, or its labels that are not ignored.
int64_t target_count(const TokenStore& store, int64_t row, const Packing& packing);
int64_t target_count(std::span<const int32_t> labels, const Packing& packing);

// Hands out the units of a list in order, each packed one ahead on a background thread.
class Loader {
 public:
  Loader(const TokenStore& store, const Packing& packing) : store_(store), packing_(packing) {}
  // Calls `each(unit, index in `units`)` for the dealt indices, in that order. Stops early when
  // `each` returns false.
  void run(std::span<const UnitRows> units, std::span<const int64_t> dealt,
           const std::function<bool(const Unit&, int64_t)>& each) const;

 private:
  const TokenStore& store_;
  Packing packing_;
};

}  // namespace rankwise
