// The template is read when the first conversation asks for it.
#include "data/tasks/chat_row.h"

#include <algorithm>

#include "data/tasks/encode.h"

namespace rankwise {
namespace {

// For templates that write a date: one that never changes, so that a run that is resumed another
// day has the same rows. It is the one that Llama 3's templates write where they are given no
// clock.
constexpr std::time_t kDate = 1'721'952'000;  // 26 July 2024

ChatText rendered(const Columns& columns, const Json& messages, const ChatTemplate& chat) {
  const OrderedJson conversation = {
      {"messages", parse_ordered_json(messages.dump(), "messages", ErrorKind::kInternal)}};
  try {
    return chat.render_turns(conversation, false, kDate);
  } catch (const Error& error) {
    throw Error(error.kind(), columns.error("{}", error.what()).what());
  }
}

bool spoken(const TextSpan& token, const std::vector<std::pair<size_t, size_t>>& turns) {
  return std::ranges::any_of(
      turns, [&](const auto& turn) { return token.begin < turn.second && token.end > turn.first; });
}

}  // namespace

EncodedRow ChatRows::encode(const Columns& columns, const std::string& column,
                            const RowLimits& limits) const {
  const Json& messages = columns.at(column);
  if (!messages.is_array() || messages.empty())
    throw columns.error("column '{}' must be a list of messages", column);
  if (columns.find("tools")) throw columns.error("column 'tools': tools are not supported");
  const ChatText chat = rendered(columns, messages, chat_template(columns, limits));
  if (chat.assistant.empty())
    throw columns.error("column '{}': the assistant says nothing, so there is no loss", column);
  PlacedTokens tokens = tokenised_placed(columns, chat.text, limits);
  Example example{std::move(tokens.ids), {}, {}};
  for (size_t i = 0; i < tokens.spans.size(); ++i)
    example.labels.push_back(spoken(tokens.spans[i], chat.assistant) ? example.input_ids[i]
                                                                     : kIgnoredLabel);
  const bool truncated = cut_to(limits.max_length, example);
  return {{std::move(example)}, truncated};
}

const ChatTemplate& ChatRows::chat_template(const Columns& columns, const RowLimits& limits) const {
  std::call_once(loaded_, [&] {
    if (auto found = load_chat_template(limits.model_folder)) template_.emplace(std::move(*found));
  });
  if (template_) return *template_;
  const Error error =
      columns.error("a conversation, but {} has no chat template", limits.model_folder.string());
  throw Error(ErrorKind::kModel, error.what());
}

}  // namespace rankwise
