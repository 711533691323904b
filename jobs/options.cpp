// The options, their ranges and their help; and what contradicts what.
#include "jobs/options.h"

#include "distributed/core/error.h"
#include "jobs/training/schedule.h"
#include "peft/hub/adapter_folder.h"

namespace rankwise {

void ModelOptions::declare_base(Fields& fields) {
  fields.group("model");
  fields
      .add("model_name_or_path", model_name_or_path,
           "folder in Hugging Face's form, or a hub name in the local cache")
      .changes_result();
  fields.add("task_type", task_type, "what the head does")
      .one_of({"SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS", "CAUSAL_LM", "SEQ_2_SEQ_LM",
               "FEATURE_EXTRACTION"})
      .default_text(fmt::format("the adapter's, else {}", name_of(default_task)))
      .changes_result();
  fields.add("torch_dtype", torch_dtype, "type in which the base is held")
      .one_of({"float32", "bfloat16", "float16"})
      .changes_result();
  fields.add("bf16", bf16, "products of frozen linears in bfloat16, the rest in float32")
      .changes_result();
  fields
      .add("base_dtype", base_dtype,
           "keep: a quantised base stays so in memory; unpack: held as torch_dtype")
      .one_of({"unpack", "keep"})
      .changes_result();
  fields.add("allow_missing_targets", allow_missing_targets,
             "pass over target names that match nothing");
}

void ModelOptions::declare_adapter(Fields& fields) {
  fields.add("adapter_name_or_path", adapter_name_or_path, "adapter folder to start from or to use")
      .changes_result();
}

void ModelOptions::choose_task() {
  if (!task_type.empty()) return;
  Json of_adapter;
  if (!adapter_name_or_path.empty())
    of_adapter =
        read_adapter_folder(adapter_name_or_path.front()).config.value("task_type", Json());
  task_type = of_adapter.is_string() ? of_adapter.get<std::string>() : name_of(default_task);
}

void MachineOptions::declare(Fields& fields) {
  fields.group("machine");
  fields
      .add("device", device,
           "where to compute; auto: cuda where every rank sees a GPU, which is its local rank's")
      .one_of({"auto", "cpu", "cuda"});
  fields
      .add("backend", backend,
           "who sums gradients; auto: nccl where every rank has a GPU, else mpi")
      .one_of({"auto", "mpi", "nccl"});
  fields.add("threads", threads, "threads of a rank")
      .at_least(1)
      .default_text("allowed cores / ranks on the node");
  fields.add("allow_mixed_hosts", allow_mixed_hosts,
             "accept ranks on unlike processors: rank 0 updates for all, bits depend on who "
             "computes what");
  fields
      .add("hang_timeout", hang_timeout,
           "seconds without progress before the job ends with the late rank's name")
      .more_than(0);
}

void LinkOptions::declare(Fields& fields, const std::string& default_text) {
  fields.add("link_latency", latency, "seconds of an empty message between nodes")
      .at_least(0)
      .default_text(default_text);
  fields.add("link_bandwidth", bandwidth, "bytes a second between two nodes, each way")
      .more_than(0)
      .default_text(default_text);
}

std::optional<Link> LinkOptions::link() const {
  if (latency.has_value() != bandwidth.has_value())
    throw usage_error("--link_latency and --link_bandwidth belong together");
  if (!latency) return std::nullopt;
  return Link{*latency, 1 / *bandwidth};
}

void TrainingOptions::declare(Fields& fields) {
  fields.group("batch");
  fields
      .add("per_device_train_batch_size", per_device_train_batch_size,
           "rows of a unit, the piece of work that is never split")
      .at_least(1)
      .changes_result();
  fields
      .add("per_device_eval_batch_size", per_device_eval_batch_size, "rows of a unit of evaluation")
      .at_least(1);
  fields
      .add("gradient_accumulation_steps", gradient_accumulation_steps,
           "units of a rank in an update")
      .at_least(1);
  fields.add("global_batch_size", global_batch_size, "rows of an update, a multiple of the unit")
      .at_least(1)
      .default_text("batch × accumulation × ranks");
  fields.group("training");
  fields.add("output_dir", output_dir, "where everything goes");
  fields.add("num_train_epochs", num_train_epochs, "passes over the rows")
      .more_than(0)
      .changes_result();
  fields.add("max_steps", max_steps, "updates; -1: by epochs").at_least(-1).changes_result();
  fields.add("learning_rate", adamw.learning_rate, "AdamW's rate at the top of its schedule")
      .at_least(0)
      .changes_result();
  fields.add("weight_decay", adamw.weight_decay, "decoupled weight decay")
      .at_least(0)
      .changes_result();
  fields.add("adam_beta1", adamw.adam_beta1, "decay of the gradient's mean")
      .at_least(0)
      .less_than(1)
      .changes_result();
  fields.add("adam_beta2", adamw.adam_beta2, "decay of the gradient's square")
      .at_least(0)
      .less_than(1)
      .changes_result();
  fields.add("adam_epsilon", adamw.adam_epsilon, "added to the root").more_than(0).changes_result();
  fields.add("loraplus_lr_ratio", lora_plus.lr_ratio, "LoRA+: B's learning rate over A's")
      .more_than(0)
      .default_text("none")
      .changes_result();
  fields.add("loraplus_weight_decay", lora_plus.weight_decay, "weight decay with LoRA+")
      .at_least(0)
      .changes_result();
  fields
      .add("loraplus_lr_embedding", lora_plus.lr_embedding, "rate of adapted embeddings with LoRA+")
      .at_least(0)
      .changes_result();
  fields.add("max_grad_norm", max_grad_norm, "longest gradient; 0: as it is")
      .at_least(0)
      .changes_result();
  fields.add("lr_scheduler_type", lr_scheduler_type, "course of the learning rate")
      .one_of(schedule_names())
      .changes_result();
  fields
      .add("lr_scheduler_kwargs", lr_scheduler_kwargs, "JSON object of the schedule's own settings")
      .changes_result();
  fields.add("warmup_steps", warmup_steps, "updates of linear warm-up")
      .at_least(0)
      .changes_result();
  fields.add("warmup_ratio", warmup_ratio, "the same as a part of all updates")
      .at_least(0)
      .at_most(1)
      .changes_result();
  fields.add("seed", seed, "of order, dropout and initial values").at_least(0).changes_result();
  fields.add("gradient_checkpointing", gradient_checkpointing,
             "compute layers again in the backward pass: less memory, more time");
  fields.group("watching");
  fields.add("logging_steps", logging_steps, "updates between lines of metrics.jsonl").at_least(1);
  fields.add("logging_dir", logging_dir, "TensorBoard files").default_text("<output_dir>/runs");
  fields.add("eval_strategy", eval_strategy, "when to evaluate").one_of({"no", "steps", "epoch"});
  fields.add("eval_steps", eval_steps, "updates between evaluations")
      .at_least(1)
      .default_text("logging_steps");
  fields.add("load_best_model_at_end", load_best_model_at_end,
             "end with the best checkpoint, not the last");
  fields.add("metric_for_best_model", metric_for_best_model, "what best means")
      .default_text("loss");
  fields.add("greater_is_better", greater_is_better, "which way it counts")
      .default_text("true unless the metric is a loss");
  fields
      .add("early_stopping_patience", early_stopping_patience,
           "evaluations without a better value before training ends")
      .at_least(1);
  fields.add("early_stopping_threshold", early_stopping_threshold, "how much better counts")
      .at_least(0);
  fields.add("report_to", report_to, "jsonl, tensorboard; none");
  fields.add("disable_tqdm", disable_tqdm, "no progress bar").default_text("auto");
  fields.group("saving");
  fields.add("save_strategy", save_strategy, "when to save")
      .one_of({"no", "steps", "epoch", "best"});
  fields.add("save_steps", save_steps, "updates between checkpoints").at_least(1);
  fields.add("save_total_limit", save_total_limit, "newest checkpoints to keep, beside the best")
      .at_least(1)
      .default_text("all");
  fields.add("resume_from_checkpoint", resume_from_checkpoint,
             "auto, false, or a checkpoint folder");
  fields.add("time_limit", time_limit, "minutes after which to save and stop").more_than(0);
  fields.add("overwrite_output_dir", overwrite_output_dir, "start anew where a run has been");
}

void TrainingOptions::check(bool has_validation) const {
  if (output_dir.empty()) throw usage_error("--output_dir must be given");
  if (eval_strategy != "no" && !has_validation)
    throw usage_error("--eval_strategy {} needs --validation_file", eval_strategy);
  if (load_best_model_at_end && eval_strategy == "no")
    throw usage_error("--load_best_model_at_end needs --eval_strategy steps or epoch");
  if (load_best_model_at_end && save_strategy != "best" && save_strategy != eval_strategy) {
    throw usage_error(
        "--load_best_model_at_end needs the same --save_strategy ({}) and --eval_strategy ({})",
        save_strategy, eval_strategy);
  }
  if (load_best_model_at_end && save_strategy == "steps" &&
      save_steps % eval_steps.value_or(logging_steps) != 0) {
    throw usage_error(
        "--load_best_model_at_end needs --save_steps ({}) to be a multiple of --eval_steps ({})",
        save_steps, eval_steps.value_or(logging_steps));
  }
  if (save_strategy == "best" && eval_strategy == "no")
    throw usage_error("--save_strategy best needs --eval_strategy steps or epoch");
  if (early_stopping_patience && eval_strategy == "no")
    throw usage_error("--early_stopping_patience needs --eval_strategy steps or epoch");
  if (global_batch_size && *global_batch_size % per_device_train_batch_size != 0) {
    throw usage_error(
        "--global_batch_size {} is not a multiple of --per_device_train_batch_size {}",
        *global_batch_size, per_device_train_batch_size);
  }
  if (lora_plus.lr_ratio && adamw.weight_decay != 0)
    throw usage_error(
        "--weight_decay does not act with --loraplus_lr_ratio: use --loraplus_weight_decay");
  const LoraPlusOptions untouched;
  if (!lora_plus.lr_ratio && (lora_plus.weight_decay != untouched.weight_decay ||
                              lora_plus.lr_embedding != untouched.lr_embedding))
    throw usage_error(
        "--loraplus_weight_decay and --loraplus_lr_embedding need --loraplus_lr_ratio");
  for (const std::string& to : report_to) {
    if (to != "jsonl" && to != "tensorboard" && to != "none")
      throw usage_error("--report_to {}: must be jsonl, tensorboard or none", to);
  }
}

std::string TrainingOptions::best_metric() const {
  const std::string name = metric_for_best_model.value_or("loss");
  return name.starts_with("eval_") ? name : "eval_" + name;
}

bool TrainingOptions::best_is_greater() const {
  return greater_is_better.value_or(!best_metric().ends_with("loss"));
}

}  // namespace rankwise
