// Reads and renders chat templates, and finds the assistant's turns in the text.
#include "data/chat_template.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/chat/builtins.h"
#include "data/chat/evaluator.h"
#include "data/tokenizers/section.h"
#include "data/tokenizers/unicode.h"
#include "peft/hub/gguf_model.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;
using chat::Body;
using chat::Dict;
using chat::List;
using chat::Statement;

bool has_generation(const Body& body) {
  return std::any_of(body.begin(), body.end(), [](const Statement& statement) {
    const auto in_branch = [](const auto& branch) { return has_generation(branch.second); };
    return statement.kind == Statement::Kind::kGeneration || has_generation(statement.body) ||
           has_generation(statement.otherwise) ||
           std::any_of(statement.branches.begin(), statement.branches.end(), in_branch);
  });
}

size_t common_prefix(const std::string& a, const std::string& b) {
  const size_t shorter = std::min(a.size(), b.size());
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + ptrdiff_t(shorter), b.begin()).first - a.begin());
}

void put(Dict& variables, const std::string& name, chat::Value value) {
  for (auto& [known, held] : variables) {
    if (known == name) return void(held = std::move(value));
  }
  variables.emplace_back(name, std::move(value));
}

// The special tokens that a class of transformers knows without a config.
Json default_tokens(const std::string& tokenizer_class) {
  if (tokenizer_class.starts_with("Llama") || tokenizer_class.starts_with("CodeLlama")) {
    return {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}};
  }
  if (tokenizer_class.starts_with("Gemma")) {
    return {{"bos_token", "<bos>"},
            {"eos_token", "<eos>"},
            {"unk_token", "<unk>"},
            {"pad_token", "<pad>"}};
  }
  if (tokenizer_class.starts_with("GPT2")) {
    return {{"bos_token", "<|endoftext|>"},
            {"eos_token", "<|endoftext|>"},
            {"unk_token", "<|endoftext|>"}};
  }
  if (tokenizer_class.starts_with("Qwen2")) {
    return {{"eos_token", "<|endoftext|>"},
            {"unk_token", "<|endoftext|>"},
            {"pad_token", "<|endoftext|>"}};
  }
  return Json::object();
}

Json special_tokens_of(const Section& config) {
  Json tokens = default_tokens(config.text("tokenizer_class", ""));
  for (const char* name : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                           "cls_token", "mask_token"}) {
    if (!config.json().contains(name)) continue;
    if (!config.has(name)) {
      tokens.erase(name);
    } else {
      const Section token = config.at(name);
      tokens[name] = token.json().is_object() ? token.text("content") : token.as_text();
    }
  }
  return tokens;
}

std::optional<std::string> source_in(const Section& config, const std::string& name) {
  if (!config.has("chat_template")) return std::nullopt;
  const Section value = config.at("chat_template");
  if (!value.json().is_array()) return value.as_text();
  std::string known;
  for (const Section& item : config.items("chat_template")) {
    if (item.text("name") == name) return item.text("template");
    known += (known.empty() ? "" : ", ") + item.text("name");
  }
  throw value.error(fmt::format("has no template '{}' (there are: {})", name, known));
}

std::optional<ChatTemplate> chat_template_of_gguf(const fs::path& file) {
  const GgufTokenizer tables = gguf_tokenizer(read_gguf(file));
  if (!tables.chat_template) return std::nullopt;
  Json tokens = Json::object();
  for (const auto& [name, id] : {std::pair{"bos_token", tables.bos_id},
                                 {"eos_token", tables.eos_id},
                                 {"unk_token", tables.unknown_id},
                                 {"pad_token", tables.padding_id}}) {
    if (id) tokens[name] = tables.tokens[static_cast<size_t>(*id)];
  }
  return ChatTemplate(*tables.chat_template, file.string(), tokens);
}

}  // namespace

struct ChatTemplate::Parsed {
  std::string where;
  Dict special_tokens;
  Body body;
  bool has_generation = false;

  Error error(int line, const std::string& message) const {
    return model_error("{}: chat template, line {}: {}", where, line, message);
  }

  Dict variables(const OrderedJson& conversation, bool add_generation_prompt,
                 std::time_t now) const {
    if (!conversation.is_object() || !conversation.contains("messages") ||
        !conversation["messages"].is_array()) {
      throw input_error("{}: a conversation has no list of messages", where);
    }
    Dict made = chat::functions(now);
    for (const char* name : {"tools", "documents"}) made.emplace_back(name, chat::None{});
    for (const auto& [name, token] : special_tokens) put(made, name, token);
    for (const auto& [name, value] : conversation.items()) put(made, name, chat::from_json(value));
    put(made, "add_generation_prompt", add_generation_prompt);
    return made;
  }

  chat::Rendered render(const Dict& variables) const {
    int line = 1;
    try {
      return chat::render(body, variables, line);
    } catch (const chat::TemplateError& caught) {
      throw error(line, caught.message);
    } catch (const chat::Raised& raised) {
      throw input_error("{}: the chat template says (line {}): {}", where, line, raised.message);
    }
  }

  // The text of the first `count` messages.
  std::string prefix(Dict variables, const List& messages, size_t count, bool prompt) const {
    put(variables, "messages", List(messages.begin(), messages.begin() + ptrdiff_t(count)));
    put(variables, "add_generation_prompt", prompt);
    return render(variables).text;
  }

  // Where a message's turn begins. Some templates render no conversation that is empty or ends
  // here: then where its content is, behind the turn before.
  size_t begin_of(const Dict& variables, const List& messages, size_t at,
                  const ChatText& chat) const {
    try {
      return common_prefix(prefix(variables, messages, at, true), chat.text);
    } catch (const Error&) {
      const chat::Value content = chat::attribute_of(messages[at], "content");
      if (!content.text()) throw;
      const size_t after = chat.assistant.empty() ? 0 : chat.assistant.back().second;
      const size_t found = chat.text.find(chat::stripped(*content.text(), "", true, true), after);
      if (found == std::string::npos) throw;
      return found;
    }
  }
};

ChatTemplate::ChatTemplate(const std::string& source, std::string where, const Json& tokens) {
  auto parsed = std::make_unique<Parsed>();
  parsed->where = std::move(where);
  for (const auto& [name, token] : tokens.items()) {
    parsed->special_tokens.emplace_back(name, token.get<std::string>());
  }
  int line = 1;
  try {
    parsed->body = chat::parse(unicode::with_replacements(source), line);
  } catch (const chat::TemplateError& caught) {
    throw parsed->error(line, caught.message);
  }
  parsed->has_generation = has_generation(parsed->body);
  parsed_ = std::move(parsed);
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;

std::string ChatTemplate::render(const OrderedJson& conversation, bool add_generation_prompt,
                                 std::time_t now) const {
  return parsed_->render(parsed_->variables(conversation, add_generation_prompt, now)).text;
}

ChatText ChatTemplate::render_turns(const OrderedJson& conversation, bool add_generation_prompt,
                                    std::time_t now) const {
  const Dict variables = parsed_->variables(conversation, add_generation_prompt, now);
  chat::Rendered rendered = parsed_->render(variables);
  if (parsed_->has_generation) return {std::move(rendered.text), std::move(rendered.generations)};

  ChatText found{std::move(rendered.text), {}};
  const List messages = *chat::find(variables, "messages")->list();
  for (size_t i = 0; i < messages.size(); ++i) {
    const chat::Value role = chat::attribute_of(messages[i], "role");
    if (!role.text() || *role.text() != "assistant") continue;
    const size_t begin = parsed_->begin_of(variables, messages, i, found);
    const size_t end =
        common_prefix(parsed_->prefix(variables, messages, i + 1, false), found.text);
    if (begin < end) found.assistant.emplace_back(begin, end);
  }
  return found;
}

std::string chat_template_text(const fs::path& folder) {
  if (is_gguf(folder)) return gguf_tokenizer(read_gguf(folder)).chat_template.value_or("");
  std::string text;
  for (const char* name : {"chat_template.jinja", "tokenizer_config.json"}) {
    const fs::path file = folder / name;
    if (fs::exists(file)) text += read_text_file(file, ErrorKind::kModel);
  }
  return text;
}

std::optional<ChatTemplate> load_chat_template(const fs::path& folder, const std::string& name) {
  if (is_gguf(folder)) return chat_template_of_gguf(folder);
  const fs::path file = folder / "chat_template.jinja",
                 config_file = folder / "tokenizer_config.json";
  const Json config_json = fs::exists(config_file) ? read_json(config_file) : Json::object();
  const Section config(config_json, config_file.string());
  const Json tokens = special_tokens_of(config);
  if (fs::exists(file)) {
    return ChatTemplate(read_text_file(file, ErrorKind::kModel), file.string(), tokens);
  }
  const auto source = source_in(config, name);
  if (!source) return std::nullopt;
  return ChatTemplate(*source, config_file.string(), tokens);
}

}  // namespace rankwise
