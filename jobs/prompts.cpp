// Reads prompts and makes ids of them.
#include "jobs/prompts.h"

#include <limits>

#include "data/chat_template.h"
#include "data/readers/reader.h"
#include "data/tasks/columns.h"
#include "distributed/comm/agree.h"
#include "jobs/adapters.h"

namespace rankwise {
namespace {

class PromptReader {
 public:
  PromptReader(const Setup& setup, bool chat, std::time_t now)
      : setup_(setup),
        now_(now),
        chat_(chat ? load_chat_template(setup.model_folder) : std::nullopt) {
    if (chat && !chat_)
      throw usage_error("--chat: {} has no chat template", setup.model_folder.string());
  }

  PromptRow of_text(const std::string& text, std::string where) {
    if (!setup_.tokenizer)
      throw model_error("{}: a prompt of text, but the model has no tokenizer",
                        setup_.model_folder.string());
    const std::vector<int32_t> ids = encoded(text);
    PromptRow row{text, {ids.begin(), ids.end()}, std::move(where)};
    if (row.ids.empty()) throw input_error("{}: the prompt has no tokens", row.where);
    for (const int64_t id : row.ids) {
      if (id >= setup_.vocabulary)
        throw model_error(
            "{}: the tokenizer gives the id {}, but the model's vocabulary ends at {}", row.where,
            id, setup_.vocabulary - 1);
    }
    return row;
  }
  int64_t cut() const { return cut_; }

 private:
  std::vector<int32_t> encoded(const std::string& text) {
    if (chat_) {
      OrderedJson conversation;
      conversation["messages"] = OrderedJson::array({{{"role", "user"}, {"content", text}}});
      return setup_.tokenizer->encode_plain(chat_->render(conversation, true, now_));
    }
    const bool may_cut = setup_.task_type == TaskType::kSeq2SeqLm;
    const int64_t most = may_cut ? setup_.max_length : std::numeric_limits<int32_t>::max();
    Encoding encoding = setup_.tokenizer->encode(text, std::nullopt, most);
    cut_ += encoding.truncated;
    return std::move(encoding.ids);
  }

  const Setup& setup_;
  std::time_t now_;
  std::optional<ChatTemplate> chat_;
  int64_t cut_ = 0;
};

}  // namespace

void PromptOptions::declare(Fields& fields) {
  fields.group("prompts");
  fields.add("prompt", prompt, "one prompt");
  fields.add("prompt_file", prompt_file,
             ".txt, a prompt a line, or .jsonl with rows of \"prompt\" or of \"input_ids\", and "
             "\"adapter\"");
  fields.add("prompt_column", prompt_column, "column with the prompt");
  fields.add("chat", chat, "a prompt is what a user says: by the model's chat template");
}

void PromptOptions::check() const {
  if (prompt.empty() == prompt_file.empty())
    throw usage_error("one of --prompt and --prompt_file must be given");
}

std::vector<PromptRow> PromptOptions::read(JobContext& context, const Setup& setup) const {
  // Templates may ask for the date, and ranks must agree.
  const std::string now = gather_texts(context.communicator, std::to_string(std::time(nullptr)))[0];
  std::vector<PromptRow> prompts;
  together(context.communicator, "reading prompts", [&] {
    PromptReader reader(setup, chat, std::stoll(now));
    if (prompt_file.empty()) {
      prompts.push_back(reader.of_text(prompt, "--prompt"));
      return;
    }
    const std::filesystem::path file = prompt_file;
    read_rows(file, [&](Row&& row) {
      const Columns columns(row, file);
      const std::string where = fmt::format("{}:{}", prompt_file, row.number);
      if (columns.find("input_ids")) {
        const auto ids = columns.ids("input_ids", setup.vocabulary);
        if (ids.empty()) throw columns.error("column 'input_ids' is empty");
        prompts.push_back({"", {ids.begin(), ids.end()}, where});
      } else {
        const bool plain = !columns.find(prompt_column) && columns.find("text");
        prompts.push_back(reader.of_text(columns.text(plain ? "text" : prompt_column), where));
      }
      prompts.back().adapter = adapter_of(columns);
    });
    if (reader.cut() > 0)
      context.log.warning(
          fmt::format("{} prompts were cut to {} tokens", reader.cut(), setup.max_length));
  });
  return prompts;
}

void check_lengths(const std::vector<PromptRow>& prompts, int64_t positions,
                   const RowModels& models) {
  for (size_t row = 0; row < prompts.size(); ++row) {
    const PromptRow& prompt = prompts[row];
    const int64_t before = models.of(static_cast<int64_t>(row)).virtual_tokens();
    const int64_t used = std::ssize(prompt.ids) + before;
    if (used >= positions)
      throw input_error(
          "{}: the prompt has {} tokens{}, but the model has positions for {}, new "
          "text included",
          prompt.where, std::ssize(prompt.ids),
          before > 0 ? fmt::format(" behind {} of the adapter", before) : "", positions);
  }
}

}  // namespace rankwise
