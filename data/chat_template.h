// A conversation to text, by the chat template of a model folder (Jinja, as transformers renders
// it). What a template may use: data/chat/.
#pragma once

#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "peft/hub/json.h"

namespace rankwise {

struct ChatText {
  std::string text;
  // Byte ranges [begin, end) of what the assistant says, in order: where a loss is taken on
  // assistant turns only. By {% generation %} blocks where the template has them, as transformers'
  // return_assistant_tokens_mask. Else by rendering prefixes of the conversation: a turn begins
  // where the text up to it ends, the generation prompt included (or at its content, where the
  // template refuses to render that much), and ends where the text with it ends.
  std::vector<std::pair<size_t, size_t>> assistant;
};

// Thread-safe: const calls may run side by side.
class ChatTemplate {
 public:
  // `where`: the file, for messages; `special_tokens`: {"bos_token": "<s>", …}. Errors: kModel: the
  // template is not understood, with its line.
  ChatTemplate(const std::string& source, std::string where, const Json& special_tokens);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;

  // `conversation`: {"messages": [{"role": …, "content": …}, …]}, and "tools", "documents" or
  // anything else that the template asks for. Errors: kModel: what the template does with it fails,
  // with the line; kInput: what the template itself says of the conversation (raise_exception).
  std::string render(const OrderedJson& conversation, bool add_generation_prompt,
                     std::time_t now = std::time(nullptr)) const;
  // Also where the assistant speaks.
  ChatText render_turns(const OrderedJson& conversation, bool add_generation_prompt,
                        std::time_t now = std::time(nullptr)) const;

 private:
  struct Parsed;
  std::unique_ptr<const Parsed> parsed_;
};

// chat_template.jinja, or "chat_template" of tokenizer_config.json: a text, or a list of
// {"name", "template"}, of which `name` is taken; or what a .gguf file has. Nothing where there is
// none. Errors: kModel.
std::optional<ChatTemplate> load_chat_template(const std::filesystem::path& model_folder,
                                               const std::string& name = "default");

// The files that a template may be in, for telling folders apart.
std::string chat_template_text(const std::filesystem::path& model_folder);

}  // namespace rankwise
