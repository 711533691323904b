// CAUSAL_LM rows that are conversations: the model's own chat template, and a loss on what the
// assistant says.
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "data/chat_template.h"
#include "data/tasks/columns.h"
#include "data/tasks/task.h"

namespace rankwise {

// Thread-safe: const calls may run side by side.
class ChatRows {
 public:
  // `column`: a list of {"role", "content"}. The template's text is tokenised as it is, and a token
  // counts where a part of it is the assistant's. Errors: kInput: no such list, a conversation in
  // which the assistant never speaks or that the template refuses; kModel: no template.
  EncodedRow encode(const Columns& columns, const std::string& column,
                    const RowLimits& limits) const;

 private:
  const ChatTemplate& chat_template(const Columns& columns, const RowLimits& limits) const;

  mutable std::once_flag loaded_;
  mutable std::optional<ChatTemplate> template_;
};

}  // namespace rankwise
