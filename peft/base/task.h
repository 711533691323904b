// The tasks, by the names of peft's TaskType.
#pragma once

#include <string>
#include <string_view>

namespace rankwise {

enum class TaskType { kSeqCls, kTokenCls, kQuestionAns, kCausalLm, kSeq2SeqLm, kFeatureExtraction };

TaskType task_type(std::string_view name);  // Errors: kUsage with the nearest name
std::string_view name_of(TaskType task);    // "SEQ_CLS" …

}  // namespace rankwise
