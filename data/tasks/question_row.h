// QUESTION_ANS rows of text: a context that is longer than the model reads becomes several windows.
#pragma once

#include "data/tasks/columns.h"
#include "data/tasks/task.h"

namespace rankwise {

// "question", "context", "answers": {"text": […], "answer_start": […] (characters)}, as SQuAD has
// them; no texts: the question has no answer. An example is a window: the question, then as much of
// the context as max_length leaves room for; the next one repeats `stride` tokens. Its labels are
// the first and the last token of the first answer, or twice 0 where the window lacks a part of it,
// as transformers' run_qa has them. answers_optional: a row without answers has no labels.
// Errors: kInput: columns, an answer that is not where it should be, a question that leaves no
// room; kModel.
EncodedRow question_row(const Columns& columns, int64_t stride, bool answers_optional,
                        const RowLimits& limits);

}  // namespace rankwise
