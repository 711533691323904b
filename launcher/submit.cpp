// From words to a BatchJob; batch_script.cpp writes it, slurm.cpp sends it.
#include "launcher/submit.h"

#include <algorithm>
#include <fstream>

#include "distributed/core/error.h"
#include "launcher/batch_script.h"
#include "launcher/command_line.h"
#include "launcher/help.h"
#include "launcher/slurm.h"
#include "launcher/submit_options.h"

namespace rankwise {
namespace {

constexpr Verb kSubmit = {"submit", "write or send a Slurm batch script for any of these", nullptr};

// Where the verb stands: the first word that is no option and no option's value.
size_t verb_at(const std::vector<std::string>& words, const Fields& fields) {
  size_t at = 0;
  while (at < words.size() && words[at].starts_with("--")) {
    const Field* field = fields.find(words[at].substr(2));
    const bool bare =
        words[at].find('=') != std::string::npos ||
        (field && field->is_bool() &&
         (at + 1 == words.size() || (words[at + 1] != "true" && words[at + 1] != "false")));
    at += bare ? 1 : 2;
  }
  return std::min(at, words.size());
}

// Where a verb that saves leaves what tells of progress: a folder.
std::string output_of(const Fields& fields) {
  const Field* file = fields.find("output_file");
  if (file && !file->text().empty()) return file->text() + ".parts";
  const std::string folder = fields.find("output_dir")->text();
  if (folder.empty()) throw usage_error("--output_dir must be given");
  return folder;
}

// Reads the verb's words as the verb will; fills in what the script has to know of them.
void read_verb(BatchJob& job) {
  const std::unique_ptr<Job> verb = find_verb(job.words.at(0), verbs()).make();
  Fields fields;
  verb->declare(fields);
  const std::filesystem::path config =
      read_arguments({job.words.begin() + 1, job.words.end()}, fields);
  if (!config.empty()) read_config(config, fields);
  SubmitOptions& options = job.options;
  if (const Field* threads = fields.find("threads")) {
    if (!options.cpus_per_task && threads->given()) {
      options.cpus_per_task = std::stoll(threads->text());
    } else if (options.cpus_per_task && !threads->given()) {
      job.words.insert(job.words.end(), {"--threads", std::to_string(*options.cpus_per_task)});
    }
  }
  if (!verb->saves_on_stop()) return;
  if (fields.at("model_name_or_path").text().empty())
    throw usage_error("--model_name_or_path must be given");
  job.output = output_of(fields);
  if (!options.array.empty() && job.output.find("%a") == std::string::npos) {
    throw Error(ErrorKind::kUsage, "the jobs of --array would all write to " + job.output,
                "write %a for the job's number: --output_dir " + job.output + "-%a");
  }
}

void write_script(const std::filesystem::path& file, const std::string& text) {
  std::ofstream stream(file);
  if (!(stream << text << std::flush)) throw machine_error("{} cannot be written", file.string());
}

std::string send(const BatchJob& job) {
  const std::string script = batch_script(job);
  std::string numbers, before;
  for (int64_t i = 0; i < job.options.chain; ++i) {
    before = send_to_slurm(script, before);
    numbers += before + '\n';
  }
  return numbers;
}

}  // namespace

const std::vector<Verb>& all_verbs() {
  static const std::vector<Verb> list = [] {
    std::vector<Verb> every = verbs();
    every.push_back(kSubmit);
    return every;
  }();
  return list;
}

std::string submit(const std::vector<std::string>& words, int columns) {
  BatchJob job;
  Fields fields;
  job.options.declare(fields);
  const auto verb = words.begin() + static_cast<std::ptrdiff_t>(verb_at(words, fields));
  const std::vector<std::string> own(words.begin(), verb);
  if (asks_for_help(own)) return verb_help(kSubmit, fields, columns);
  if (verb != words.end() && (*verb == "-h")) return verb_help(kSubmit, fields, columns);
  const std::filesystem::path config = read_arguments(own, fields);
  if (!config.empty()) read_config(config, fields);
  if (verb == words.end()) {
    throw Error(ErrorKind::kUsage, "submit needs a verb",
                "rankwise submit --nodes 2 finetune --model_name_or_path ...");
  }
  job.words.assign(verb, words.end());
  job.options.check();
  read_verb(job);
  job.binary = std::filesystem::read_symlink("/proc/self/exe");
  job.folder = std::filesystem::current_path();
  const std::string& launcher = job.options.launcher;
  job.pmix = launcher == "srun" || (launcher == "auto" && slurm_has_pmix());

  if (!job.options.script.empty()) write_script(job.options.script, batch_script(job));
  if (job.options.send) return send(job);
  return job.options.script.empty() ? batch_script(job) : "";
}

}  // namespace rankwise
