// Adapters beside each other on one base: many by name, one of them or several together active, and
// rows that choose their own.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "data/tasks/columns.h"
#include "jobs/setup.h"

namespace rankwise {

struct AdapterOptions {
  std::vector<std::string> adapter_name_or_path;
  std::string active_adapter;

  void declare(Fields& fields);
  // Collective. Names the folders; the first becomes the one of `model`. Errors: kUsage: a name
  // twice, or one that cannot be chosen; an active one without any.
  void resolve(JobContext& context, ModelOptions& model);

  std::vector<std::pair<std::string, std::string>> folders;  // name, folder; after resolve()
};

// What a row says of its adapter. Empty: the active one.
struct RowChoice {
  std::string adapter, where;  // where: file and line
};

// The field "adapter": a name, several joined by +, "none", or a list of names. Errors: kInput.
std::string adapter_of(const Columns& columns);

// Collective. Of each row of the store that was made from `file`; empty where no row chooses.
// Errors: kUsage: rows that choose are joined to blocks.
std::vector<RowChoice> choices_of(Communicator& communicator, const std::string& file,
                                  const TokenStore& store, const DataOptions& data);

class Adapters {
 public:
  // Collective. Reads the folders. Errors: kModel: a folder that does not fit the first one's task
  // or labels.
  Adapters(JobContext& context, const Setup& setup, const AdapterOptions& options);

  // Collective. One model for each choice that occurs, all on the same weights; they live as long
  // as this. Without choices: the active one's. Errors: kInput with the row, or kUsage for the
  // active one: an unknown name, adapters that cannot act together.
  RowModels models_for(JobContext& context, const Setup& setup, const ModelOptions& options,
                       const DataOptions& data, const std::vector<RowChoice>& choices);

 private:
  using Chosen = std::vector<size_t>;  // of named_, in the order given; empty: the base alone
  struct Named {
    std::string name;
    AdapterFolder folder;
  };
  Chosen parse(const std::string& text) const;  // errors: kUsage
  void check_stack(const Chosen& chosen) const;
  Chosen active() const;
  int64_t model_of(const Chosen& chosen, std::vector<Chosen>& needed) const;

  std::string active_;
  std::vector<Named> named_;
  std::deque<AdaptedModel> models_;
};

}  // namespace rankwise
