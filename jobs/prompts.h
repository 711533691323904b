// The prompts of generate: texts or ids, from the command line or a file, checked against the
// model.
#pragma once

#include <string>
#include <vector>

#include "distributed/core/field.h"
#include "jobs/setup.h"

namespace rankwise {

struct PromptRow {
  std::string text;  // as given; empty for rows of ids
  std::vector<int64_t> ids;
  std::string where;         // "--prompt", or file and line: for messages
  std::string adapter = {};  // that the row names; empty: the active one
};

struct PromptOptions {
  std::string prompt, prompt_file, prompt_column = "prompt";
  bool chat = false;

  void declare(Fields& fields);
  void check() const;  // Errors: kUsage
  // Collective. Texts for an encoder are cut to setup.max_length, which is counted and logged.
  // Errors: kInput: a row of another form, ids beyond the vocabulary, nothing in it; kUsage,
  // kModel: no tokenizer, no chat template.
  std::vector<PromptRow> read(JobContext& context, const Setup& setup) const;
};

// Each prompt leaves room for new text behind its model's virtual tokens. Errors: kInput with the
// row.
void check_lengths(const std::vector<PromptRow>& prompts, int64_t positions,
                   const RowModels& models);

}  // namespace rankwise
