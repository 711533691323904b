// What a task puts on top of a decoder, by the names of Hugging Face's For… classes.
#pragma once

#include <string>
#include <vector>

#include "peft/base/family.h"

namespace rankwise {

struct DecoderHead {
  Linear output;
  DropoutSite dropout;  // before it: TOKEN_CLS
  TaskType task = TaskType::kCausalLm;
  int64_t pad_token = -1;

  struct Names {
    std::string word_table;            // "model.embed_tokens.weight": what a tied head is
    std::string token_head = "score";  // TOKEN_CLS: "score" or "classifier", with a bias
  };
  void build(ModelBuilder& builder, Sites& sites, const Config& config, const BuildOptions& options,
             int64_t features, bool tied, const Names& names);

  // The tokens that the head sees. SEQ_CLS: each sequence's last that is no padding id.
  std::vector<int64_t> seen(const Pass& pass) const;
};

}  // namespace rankwise
