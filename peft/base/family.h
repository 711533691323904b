// A transformer family: how its layers are wired. One file a family; the list is in families.cpp.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peft/base/layers.h"
#include "peft/base/task.h"
#include "peft/hub/model_folder.h"

namespace rankwise {

struct BuildOptions {
  TaskType task = TaskType::kSeqCls;
  int64_t num_labels = 2;
  std::optional<double> model_dropout;  // in place of every dropout of config.json
  // What FEATURE_EXTRACTION's names lack: it is the bare body.
  std::string bare(const std::string& body) const {
    return task == TaskType::kFeatureExtraction ? body : "";
  }
};

// A built model. It knows no method and no trainer.
class Base {
 public:
  virtual ~Base() = default;
  // What the output layer sees: SEQ_CLS one row a sequence [S, F]; token tasks one row a target [N,
  // F]. Hidden states that nothing looks at are not computed.
  virtual at::Tensor features(const Pass& pass) const = 0;
  virtual const Linear& output() const = 0;           // features → logits
  virtual double logit_softcap() const { return 0; }  // logits are capped as scores are; 0: not

  Sites sites;
};

struct Family {
  const char* model_type;    // config.json's
  const char* class_prefix;  // of transformers' classes: "Bert" in BertForSequenceClassification
  std::unique_ptr<Base> (*build)(const Config& config, const BuildOptions& options,
                                 WeightSource& source);
  // The names under which a checkpoint may hold a parameter, most usual first.
  std::vector<std::string> (*names_in_file)(const std::string& path);
  // Tokens of a row that the model has positions for; nothing where they are not limited.
  std::optional<int64_t> (*position_limit)(const Config& config);
};

// transformers' class for a task: "BertForSequenceClassification".
std::string class_name(const Family& family, TaskType task);

// max_position_embeddings, as most families limit positions.
std::optional<int64_t> table_of_positions(const Config& config);

// Errors: kModel: config.json names a model_type that is not in the list (which is shown).
const Family& family_of(const Config& config);

// By Hugging Face's name, or by that in config.json's field `field`. Errors: kModel.
const Activation& activation(std::string_view name);
const Activation& activation(const Config& config, const std::string& field,
                             const std::string& otherwise);

}  // namespace rankwise
