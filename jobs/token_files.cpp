// Options and model folder to the settings of a token store.
#include "jobs/token_files.h"

#include "data/chat_template.h"
#include "distributed/core/hash.h"

namespace rankwise {
namespace {

std::string text_of(const std::optional<int64_t>& value) {
  return value ? std::to_string(*value) : "";
}

}  // namespace

bool is_token_file(const std::filesystem::path& file) { return file.extension() == ".h5"; }

TokenFileSettings token_file_settings(const Setup& setup, const DataOptions& data) {
  const Json columns = {data.text_column,       data.text_pair_column, data.label_column,
                        data.source_column,     data.target_column,    data.prompt_column,
                        data.completion_column, data.messages_column};
  return {{"task", std::string(name_of(setup.task_type))},
          {"tokenizer", setup.tokenizer ? setup.tokenizer->identity() : ""},
          {"chat_template",
           fmt::format("{:016x}", hash_of_text(chat_template_text(setup.model_folder)))},
          {"vocabulary", std::to_string(setup.vocabulary)},
          {"token_types", std::to_string(token_types(setup))},
          {"regression", setup.task->regression() ? "true" : "false"},
          {"max_length", std::to_string(setup.max_length)},
          {"max_source_length", text_of(data.max_source_length)},
          {"max_target_length", text_of(data.max_target_length)},
          {"block_size", text_of(data.block_size)},
          {"doc_stride", text_of(data.doc_stride)},
          {"columns", columns.dump()}};
}

TokenFileSettings expected_settings(const Setup& setup, const DataOptions& data) {
  TokenFileSettings settings = token_file_settings(setup, data);
  settings.erase("columns");
  if (!data.max_length) settings.erase("max_length");
  if (!data.max_source_length) settings.erase("max_source_length");
  if (!data.max_target_length) settings.erase("max_target_length");
  if (!data.block_size) settings.erase("block_size");
  if (!data.doc_stride) settings.erase("doc_stride");
  return settings;
}

}  // namespace rankwise
