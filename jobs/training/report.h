// What a run leaves behind for people and tools: metrics.jsonl, trainer_state.json, TensorBoard
// event files, report.html. Only rank 0 makes them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "peft/hub/json.h"

namespace rankwise {

// Hugging Face's EarlyStoppingCallback: counter is the number of evaluations without improvement.
struct EarlyStopping {
  int64_t patience = 1;
  double threshold = 0;
  int64_t counter = 0;
};

// Hugging Face's TrainerState, the fields that its files have.
struct TrainerState {
  int64_t global_step = 0, max_steps = 0, num_train_epochs = 0, train_batch_size = 0;
  int64_t logging_steps = 10, eval_steps = 500, save_steps = 500;
  int64_t num_input_tokens_seen = 0;
  double epoch = 0;
  double total_flos = 0;
  std::optional<double> best_metric;
  std::optional<std::string> best_model_checkpoint;
  std::optional<int64_t> best_global_step;
  std::vector<Json> log_history;
  bool should_save = true,
       should_training_stop = false;  // TrainerControl, when the file is written
  std::optional<EarlyStopping> early_stopping;

  // As trainer_state.json of transformers 4.57.6 (stateful_callbacks, is_hyper_param_search,
  // trial_params … included).
  Json json() const;
  // The way back. Errors: kModel: a missing key or another type.
  static TrainerState from_json(const Json& json);
};

// One object a line, written whole by one system call; numbers are not rounded, NaN and infinity
// become null. A new run empties the file; a resumed one cuts away the lines past its step (it does
// those updates again) and half a line at the end. Errors: kMachine, with the file; after one,
// nothing of that line is in it.
class MetricsFile {
 public:
  MetricsFile(std::filesystem::path file, std::optional<int64_t> resumed_at_step);
  void write(const Json& line);

 private:
  std::filesystem::path file_;
};

// Its lines. Errors: kModel: a damaged one.
std::vector<Json> read_metrics_file(const std::filesystem::path& file);

// events.out.tfevents.<time>.<host>.<pid>.<number> with scalar summaries (TFRecord framing, masked
// CRC32C; Event and Summary protocol buffers). Tags as Trainer's callback names them: train/loss,
// eval/accuracy … A resumed run makes a new file, which voids what earlier ones say of later steps.
class TensorBoardFile {
 public:
  explicit TensorBoardFile(const std::filesystem::path& folder,
                           std::optional<int64_t> resumed_at_step = {});
  void scalar(const std::string& tag, int64_t step, double value);
  void text(const std::string& tag, const std::string& value);
  void flush();  // nothing is in the file before; errors: kMachine

 private:
  std::filesystem::path file_;
  std::string pending_;
};
// As TensorBoardCallback names a key of log_history: loss → train/loss, eval_loss → eval/loss.
std::string tensorboard_tag(const std::string& key);

// Whether a value of an evaluation (eval_…, test_…) says how good the model is, not how much or how
// fast was evaluated.
bool is_metric(const std::string& key);

// One file that opens offline: curves as inline SVG, throughput, the resolved settings.
// state: its log_history makes the curves. settings and summary: objects, shown as tables.
std::string report_html(const std::string& title, const TrainerState& state, const Json& settings,
                        const Json& summary);

// The first row is the head. Text for a terminal: columns padded, two spaces apart.
using TableRows = std::vector<std::vector<std::string>>;
std::string text_table(const TableRows& rows);
// A page of that table and charts (line_chart).
std::string table_html(const std::string& title, const TableRows& rows,
                       const std::vector<std::string>& charts);

struct NamedHistory {
  std::string name;
  std::vector<Json> log_history;
};

// The same for several runs: their table, the first row its head, and their losses and metrics side
// by side.
std::string comparison_html(const std::string& title, const TableRows& rows,
                            const std::vector<NamedHistory>& histories);

}  // namespace rankwise
