// The names of the tasks.
#include "peft/base/task.h"

#include <fmt/ranges.h>

#include <vector>

#include "distributed/core/error.h"
#include "distributed/core/field.h"

namespace rankwise {
namespace {

struct Name {
  TaskType task;
  std::string_view name;
};

constexpr Name kNames[] = {
    {TaskType::kSeqCls, "SEQ_CLS"},           {TaskType::kTokenCls, "TOKEN_CLS"},
    {TaskType::kQuestionAns, "QUESTION_ANS"}, {TaskType::kCausalLm, "CAUSAL_LM"},
    {TaskType::kSeq2SeqLm, "SEQ_2_SEQ_LM"},   {TaskType::kFeatureExtraction, "FEATURE_EXTRACTION"},
};

}  // namespace

TaskType task_type(std::string_view name) {
  std::vector<std::string> names;
  for (const Name& entry : kNames) {
    if (entry.name == name) return entry.task;
    names.emplace_back(entry.name);
  }
  const std::string nearest = nearest_name(name, names);
  throw usage_error("unknown task type '{}'; known: {}{}", name, fmt::join(names, ", "),
                    nearest.empty() ? "" : fmt::format(" (did you mean {}?)", nearest));
}

std::string_view name_of(TaskType task) {
  for (const Name& entry : kNames) {
    if (entry.task == task) return entry.name;
  }
  throw internal_error("a task type without a name: {}", static_cast<int>(task));
}

}  // namespace rankwise
