// Names to folders to models. A stack is one model with several methods on it.
#include "jobs/adapters.h"

#include <algorithm>

#include "data/readers/reader.h"
#include "distributed/comm/agree.h"
#include "jobs/token_files.h"

namespace rankwise {
namespace {

constexpr const char* kNone = "none";

std::pair<std::string, std::string> named_folder(const std::string& text) {
  const size_t equals = text.find('=');
  const bool plain =
      equals == std::string::npos || text.find('/') < equals || std::filesystem::exists(text);
  if (plain) return {"default", text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::vector<std::string> split_names(const std::string& text) {
  std::vector<std::string> names(1);
  for (const char letter : text) {
    if (letter == '+' || letter == ',') {
      names.emplace_back();
    } else {
      names.back() += letter;
    }
  }
  return names;
}

}  // namespace

void AdapterOptions::declare(Fields& fields) {
  fields
      .add("adapter_name_or_path", adapter_name_or_path,
           "adapter folder to use; several: name=folder,other=folder2")
      .changes_result();
  fields
      .add("active_adapter", active_adapter,
           "name of the adapter that acts; name+other: LoRA adapters that act together; none: the "
           "base alone. The field \"adapter\" of a row goes before")
      .default_text("the first")
      .changes_result();
}

void AdapterOptions::resolve(JobContext& context, ModelOptions& model) {
  together(context.communicator, "naming the adapters", [&] {
    for (const std::string& text : adapter_name_or_path) {
      const auto [name, folder] = named_folder(text);
      if (name.empty() || name == kNone || name.find('+') != std::string::npos)
        throw usage_error("--adapter_name_or_path {}: '{}' cannot be an adapter's name", text,
                          name);
      for (const auto& other : folders) {
        if (other.first == name)
          throw Error(ErrorKind::kUsage,
                      fmt::format("--adapter_name_or_path: two adapters are named '{}'", name),
                      "name=folder,other=folder2");
      }
      folders.emplace_back(name, folder);
    }
    if (!folders.empty()) model.adapter_name_or_path = {folders.front().second};
  });
}

std::string adapter_of(const Columns& columns) {
  const Json* value = columns.find("adapter");
  if (!value) return "";
  if (value->is_string()) return value->get<std::string>();
  std::string names;
  for (const Json& name : value->is_array() ? *value : Json::array({Json()})) {
    if (!name.is_string()) throw columns.error("column 'adapter' is {}", value->dump());
    if (!names.empty()) names += '+';
    names += name.get<std::string>();
  }
  return names.empty() ? kNone : names;
}

std::vector<RowChoice> choices_of(Communicator& communicator, const std::string& file,
                                  const TokenStore& store, const DataOptions& data) {
  if (is_token_file(file)) return {};
  Json read = Json::array();  // adapter and line of each row of the file
  bool any = false;
  together(communicator, "reading the adapters of rows", [&] {
    if (communicator.world().rank != 0) return;
    read_rows(file, [&](Row&& row) {
      read.push_back({adapter_of(Columns(row, file)), row.number});
      any = any || !read.back()[0].get_ref<const std::string&>().empty();
    });
    if (any && data.block_size)
      throw usage_error("--block_size joins rows, and {} has rows with adapters of their own",
                        file);
  });
  read = parse_json(broadcast_text(communicator, any ? read.dump() : "[]"), "adapters of rows",
                    ErrorKind::kInternal);
  std::vector<RowChoice> choices;
  for (size_t row = 0; row < read.size(); ++row) {
    const int64_t copies =
        store.row_offsets.empty() ? 1 : store.row_offsets[row + 1] - store.row_offsets[row];
    choices.insert(
        choices.end(), static_cast<size_t>(copies),
        {read[row][0].get<std::string>(), fmt::format("{}:{}", file, read[row][1].get<int64_t>())});
  }
  return choices;
}

Adapters::Adapters(JobContext& context, const Setup& setup, const AdapterOptions& options)
    : active_(options.active_adapter) {
  together(context.communicator, "reading the adapter folders", [&] {
    for (const auto& [name, folder] : options.folders) {
      AdapterFolder read = read_adapter_folder(folder);
      const Json task = read.config.value("task_type", Json());
      if (task.is_string() && task != name_of(setup.task_type))
        throw model_error("{}: its task_type is {}, the run's is {}", folder,
                          task.get<std::string>(), name_of(setup.task_type));
      if (read.labels != setup.adapter->labels)
        throw model_error("{}: its labels are not those of {}", folder,
                          setup.adapter->folder.string());
      named_.push_back({name, std::move(read)});
    }
  });
  for (const Named& named : named_) expect_same_adapter(context.communicator, named.folder);
}

Adapters::Chosen Adapters::parse(const std::string& text) const {
  Chosen chosen;
  if (text == kNone) return chosen;
  std::vector<std::string> known;
  for (const Named& named : named_) known.push_back(named.name);
  for (const std::string& name : split_names(text)) {
    const auto found = std::find(known.begin(), known.end(), name);
    if (found == known.end()) {
      known.emplace_back(kNone);
      const std::string near = nearest_name(name, known);
      throw usage_error("there is no adapter '{}'{}", name,
                        near.empty() ? "" : fmt::format(" (did you mean {}?)", near));
    }
    const auto number = static_cast<size_t>(found - known.begin());
    if (std::find(chosen.begin(), chosen.end(), number) != chosen.end())
      throw usage_error("the adapter '{}' is named twice", name);
    chosen.push_back(number);
  }
  check_stack(chosen);
  return chosen;
}

void Adapters::check_stack(const Chosen& chosen) const {
  if (chosen.size() < 2) return;
  std::vector<std::string> modules;
  for (const size_t number : chosen) {
    const auto& [name, folder] = named_[number];
    const std::string why = method_of(folder)->why_alone();
    if (!why.empty())
      throw usage_error("the adapter '{}' ({}) cannot act together with another: {}", name,
                        folder.config["peft_type"].get<std::string>(), why);
    const Json saved = folder.config.value("modules_to_save", Json());
    for (const Json& module : saved.is_array() ? saved : Json::array()) {
      const auto text = module.get<std::string>();
      if (std::find(modules.begin(), modules.end(), text) != modules.end())
        throw usage_error(
            "the adapter '{}' cannot act together with those before it: '{}' is a module of both",
            name, text);
      modules.push_back(text);
    }
  }
}

Adapters::Chosen Adapters::active() const {
  if (active_.empty()) return named_.empty() ? Chosen() : Chosen{0};
  try {
    return parse(active_);
  } catch (const Error& error) {
    throw usage_error("--active_adapter {}: {}", active_, error.what());
  }
}

// The place of `chosen` among `needed`, at the end where it is new.
int64_t Adapters::model_of(const Chosen& chosen, std::vector<Chosen>& needed) const {
  const auto found = std::find(needed.begin(), needed.end(), chosen);
  if (found != needed.end()) return found - needed.begin();
  needed.push_back(chosen);
  return std::ssize(needed) - 1;
}

RowModels Adapters::models_for(JobContext& context, const Setup& setup, const ModelOptions& options,
                               const DataOptions& data, const std::vector<RowChoice>& choices) {
  RowModels result;
  std::vector<Chosen> needed;
  together(context.communicator, "choosing adapters", [&] {
    const Chosen active = this->active();
    if (choices.empty()) model_of(active, needed);
    for (const auto& [adapter, where] : choices) {
      try {
        result.of_rows.push_back(model_of(adapter.empty() ? active : parse(adapter), needed));
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::kUsage) throw;
        throw input_error("{}: column 'adapter': {}", where, error.what());
      }
    }
  });
  const auto weights = load_weights(context, setup, options, data);
  for (const Chosen& chosen : needed) {
    std::vector<const AdapterFolder*> folders;
    for (const size_t number : chosen) folders.push_back(&named_[number].folder);
    models_.push_back(build_model(context, setup, options, data, folders, weights));
    result.models.push_back(&models_.back());
  }
  return result;
}

}  // namespace rankwise
