// Options that several verbs share, one struct a subject. Names and defaults are Hugging Face's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "distributed/comm/reduction_model.h"
#include "distributed/core/field.h"
#include "jobs/training/optimizer.h"
#include "jobs/training/parameter_groups.h"
#include "peft/base/task.h"

namespace rankwise {

struct ModelOptions {
  std::string model_name_or_path;
  std::vector<std::string> adapter_name_or_path;
  std::string task_type;  // empty: see choose_task()
  TaskType default_task = TaskType::kSeqCls;
  std::string torch_dtype = "float32";
  bool bf16 = false;
  std::string base_dtype = "unpack";
  std::optional<double> model_dropout;
  bool allow_missing_targets = false;

  void declare_base(Fields& fields);     // which model, which task, held how
  void declare_adapter(Fields& fields);  // which adapter folder
  // Where no task is given: the adapter folder's, else default_task. Errors: kModel.
  void choose_task();
};

struct MachineOptions {
  std::string device = "auto", backend = "auto";
  std::optional<int64_t> threads;
  bool allow_mixed_hosts = false;
  double hang_timeout = 300;

  void declare(Fields& fields);
};

struct LinkOptions {
  std::optional<double> latency, bandwidth;

  // default_text: what holds where they are not given.
  void declare(Fields& fields, const std::string& default_text);
  // Between nodes. Errors: kUsage: one without the other.
  std::optional<Link> link() const;
};

struct TrainingOptions {
  AdamWOptions adamw;
  LoraPlusOptions lora_plus;
  std::string output_dir;
  double num_train_epochs = 3;
  int64_t max_steps = -1;
  int64_t per_device_train_batch_size = 8, per_device_eval_batch_size = 8,
          gradient_accumulation_steps = 1;
  std::optional<int64_t> global_batch_size;
  double max_grad_norm = 1;
  std::string lr_scheduler_type = "linear", lr_scheduler_kwargs = "{}";
  int64_t warmup_steps = 0;
  double warmup_ratio = 0;
  int64_t seed = 42;
  bool gradient_checkpointing = false;

  int64_t check_steps = 0;

  int64_t logging_steps = 10;
  std::optional<std::string> logging_dir;
  std::string eval_strategy = "no";
  std::optional<int64_t> eval_steps;
  bool load_best_model_at_end = false;
  std::optional<std::string> metric_for_best_model;
  std::optional<bool> greater_is_better;
  std::optional<int64_t> early_stopping_patience;
  double early_stopping_threshold = 0;
  std::vector<std::string> report_to = {"jsonl", "tensorboard"};
  std::optional<bool> disable_tqdm;

  std::string save_strategy = "steps";
  int64_t save_steps = 500;
  std::optional<int64_t> save_total_limit;
  std::string resume_from_checkpoint = "auto";
  std::optional<double> time_limit;  // minutes
  bool overwrite_output_dir = false;

  void declare(Fields& fields);
  // Contradictions between options. Errors: kUsage.
  void check(bool has_validation) const;
  std::string best_metric() const;  // "eval_loss" …
  bool best_is_greater() const;
};

}  // namespace rankwise
