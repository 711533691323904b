// generate: text from a base with or without an adapter. Prompts are grouped into fixed units
// before they are dealt to ranks, so that the bytes do not depend on ranks.
#include "peft/model/generate.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "data/plan.h"
#include "data/stop_strings.h"
#include "distributed/checkpoint/store.h"
#include "distributed/comm/agree.h"
#include "jobs/adapters.h"
#include "jobs/prompts.h"

namespace rankwise {
namespace {

class Generate : public Job {
 public:
  Generate() { model_.default_task = TaskType::kCausalLm; }
  void declare(Fields& fields) override;
  Outcome run(JobContext& context, Fields& fields) override;

 private:
  void check() const;
  GenerationOptions resolve(const Setup& setup) const;
  // Whether the text appears on a terminal while it is made.
  bool streams(const JobContext& context, const Setup& setup,
               const GenerationOptions& options) const;
  std::vector<std::vector<int64_t>> texts_of(JobContext& context, const AdaptedModel& model,
                                             const Setup& setup,
                                             const std::vector<PromptRow>& inputs,
                                             const UnitRows& unit,
                                             const GenerationOptions& options) const;

  ModelOptions model_;
  AdapterOptions adapters_;
  MachineOptions machine_;
  DataOptions data_;
  PromptOptions prompts_;
  std::string output_file_, early_stopping_, stop_;
  bool ignore_eos_ = false;
  int64_t unit_rows_ = 8, seed_ = 42, num_return_sequences_ = 1;
  std::optional<int64_t> max_new_tokens_, top_k_, num_beams_;
  std::optional<bool> do_sample_;
  std::optional<double> temperature_, top_p_, repetition_penalty_, length_penalty_;
};

void Generate::declare(Fields& fields) {
  model_.declare_base(fields);
  adapters_.declare(fields);
  prompts_.declare(fields);
  fields.add("output_file", output_file_, "JSONL: prompt, text, input_ids, new_ids, in order")
      .default_text("standard output");
  fields.group("generation");
  const char* by_model = "generation_config.json's, or ";
  fields.add("max_new_tokens", max_new_tokens_, "most tokens of a text")
      .at_least(1)
      .default_text(std::string(by_model) + "20");
  fields.add("do_sample", do_sample_, "draw tokens, instead of taking the likeliest")
      .default_text(std::string(by_model) + "false");
  fields.add("temperature", temperature_, "logits are divided by it")
      .more_than(0)
      .default_text(std::string(by_model) + "1");
  fields.add("top_k", top_k_, "draw among the likeliest so many; 0: among all")
      .at_least(0)
      .default_text(std::string(by_model) + "50");
  fields.add("top_p", top_p_, "draw among the likeliest with this probability together")
      .more_than(0)
      .default_text(std::string(by_model) + "1");
  fields
      .add("repetition_penalty", repetition_penalty_, "above 1: tokens seen before are less likely")
      .more_than(0)
      .default_text(std::string(by_model) + "1");
  fields.add("num_beams", num_beams_, "texts that are followed at a time, the likeliest wins")
      .at_least(1)
      .default_text(std::string(by_model) + "1");
  fields
      .add("length_penalty", length_penalty_,
           "beams: log-probabilities are divided by length to this power")
      .default_text(std::string(by_model) + "1");
  fields
      .add("early_stopping", early_stopping_,
           "beams: true: ends with num_beams texts; false: when better ones are unlikely; never: "
           "when there can be none")
      .one_of({"true", "false", "never"})
      .default_text(std::string(by_model) + "false");
  fields.add("num_return_sequences", num_return_sequences_, "texts a prompt").at_least(1);
  fields.add("seed", seed_, "of the draws");
  fields.add("stop", stop_, "texts that end a text: separated by commas, or a JSON list");
  fields.add("ignore_eos", ignore_eos_, "go on behind the end token");
  fields.add("per_device_eval_batch_size", unit_rows_, "prompts computed together").at_least(1);
  machine_.declare(fields);
}

void Generate::check() const {
  prompts_.check();
  const TaskType task = task_type(model_.task_type);
  if (task != TaskType::kCausalLm && task != TaskType::kSeq2SeqLm)
    throw usage_error("--task_type {} makes no text", name_of(task));
}

BeamStopping early_stopping(const Json& value) {
  if (value == "never") return BeamStopping::kNever;
  return value == true || value == "true" ? BeamStopping::kYes : BeamStopping::kNo;
}

// The command line, else generation_config.json, else config.json, else the defaults.
GenerationOptions Generate::resolve(const Setup& setup) const {
  const std::filesystem::path file = setup.model_folder / "generation_config.json";
  const Config config = std::filesystem::exists(file) ? Config::read(file) : setup.config;
  GenerationOptions options;
  options.max_new_tokens =
      max_new_tokens_.value_or(config.integer("max_new_tokens", options.max_new_tokens));
  options.do_sample = do_sample_.value_or(config.boolean("do_sample", false));
  options.temperature = temperature_.value_or(config.number("temperature", 1));
  options.top_k = top_k_.value_or(config.integer("top_k", 50));
  options.top_p = top_p_.value_or(config.number("top_p", 1));
  options.repetition_penalty = repetition_penalty_.value_or(config.number("repetition_penalty", 1));
  options.num_return_sequences = num_return_sequences_;
  options.num_beams = num_beams_.value_or(config.integer("num_beams", 1));
  options.length_penalty = length_penalty_.value_or(config.number("length_penalty", 1));
  options.early_stopping =
      early_stopping(early_stopping_.empty() ? config.json().value("early_stopping", Json())
                                             : Json(early_stopping_));
  if (options.num_beams > 1 && options.do_sample)
    throw usage_error("--num_beams {}: beams are not drawn; --do_sample false is needed",
                      options.num_beams);
  if (options.num_beams > 1 && num_return_sequences_ > options.num_beams)
    throw usage_error("--num_return_sequences {}: there are only {} beams", num_return_sequences_,
                      options.num_beams);
  options.positions = setup.positions;
  options.seed = static_cast<uint64_t>(seed_);
  options.decoder_start_token =
      config.integer("decoder_start_token_id", setup.config.integer("decoder_start_token_id", 0));
  if (ignore_eos_) return options;
  const Json end =
      config.json().value("eos_token_id", setup.config.json().value("eos_token_id", Json()));
  if (end.is_number_integer()) options.eos_token_ids = {end.get<int64_t>()};
  if (end.is_array()) options.eos_token_ids = end.get<std::vector<int64_t>>();
  return options;
}

bool Generate::streams(const JobContext& context, const Setup& setup,
                       const GenerationOptions& options) const {
  return context.out_is_terminal && output_file_.empty() && prompts_.prompt_file.empty() &&
         options.num_return_sequences == 1 && options.num_beams == 1 && setup.tokenizer;
}

std::vector<std::vector<int64_t>> Generate::texts_of(JobContext& context, const AdaptedModel& model,
                                                     const Setup& setup,
                                                     const std::vector<PromptRow>& inputs,
                                                     const UnitRows& unit,
                                                     const GenerationOptions& options) const {
  std::vector<Prompt> prompts;
  for (const int64_t row : unit.rows)
    prompts.push_back({inputs[static_cast<size_t>(row)].ids, row});
  GenerationWatch watch;
  std::optional<StopStrings> stops;
  if (!stop_.empty()) {
    stops.emplace(*setup.tokenizer, parse_stop_strings(stop_));
    watch.ends = [&](const std::vector<int64_t>& ids) { return stops->end(ids); };
  }
  std::optional<StreamDecoder> decoder;
  if (streams(context, setup, options)) {
    decoder.emplace(*setup.tokenizer, true);
    watch.hears = [&](int64_t token) {
      context.out << decoder->add(static_cast<int32_t>(token)) << std::flush;
    };
  }
  auto texts = generate(model, prompts, options, setup.task_type == TaskType::kSeq2SeqLm, watch);
  if (decoder) context.out << decoder->finish() << std::endl;
  return texts;
}

// The output of a unit's rows, into all: JSON objects, one a line.
void add_lines(const Setup& setup, const std::vector<PromptRow>& inputs, const UnitRows& unit,
               const std::vector<std::vector<int64_t>>& texts,
               std::map<int64_t, std::string>& all) {
  const auto text_of = [&](const std::vector<int64_t>& ids) {
    return setup.tokenizer ? setup.tokenizer->decode({ids.begin(), ids.end()}, true) : "";
  };
  const size_t copies = texts.size() / unit.rows.size();
  for (size_t i = 0; i < texts.size(); ++i) {
    const int64_t row = unit.rows[i / copies];
    const PromptRow& input = inputs[static_cast<size_t>(row)];
    all[row] += Json{{"prompt", input.text.empty() ? text_of(input.ids) : input.text},
                     {"text", text_of(texts[i])},
                     {"input_ids", input.ids},
                     {"new_ids", texts[i]}}
                    .dump() +
                "\n";
  }
}

Outcome Generate::run(JobContext& context, Fields&) {
  Communicator& communicator = context.communicator;
  adapters_.resolve(context, model_);
  Setup setup = set_up(context, machine_, model_, data_, [&] { check(); });
  GenerationOptions options;
  together(communicator, "reading the options of generation", [&] {
    options = resolve(setup);
    if (!stop_.empty() && !setup.tokenizer)
      throw usage_error("--stop: {} has no tokenizer", setup.model_folder.string());
  });
  const std::vector<PromptRow> inputs = prompts_.read(context, setup);
  std::vector<RowChoice> choices;
  for (const PromptRow& input : inputs) choices.push_back({input.adapter, input.where});
  Adapters adapters(context, setup, adapters_);
  const RowModels models = adapters.models_for(context, setup, model_, data_, choices);
  together(communicator, "checking the prompts' lengths", [&] {
    if (!setup.positions || setup.task_type != TaskType::kCausalLm) return;
    check_lengths(inputs, *setup.positions, models);
    const int64_t room = *setup.positions - options.max_new_tokens;
    int64_t tight = 0;
    for (int64_t row = 0; row < std::ssize(inputs); ++row)
      tight += std::ssize(inputs[row].ids) + models.of(row).virtual_tokens() > room;
    if (tight > 0)
      context.log.warning(fmt::format(
          "{} prompts leave room for fewer than {} new tokens: the model has positions for {}",
          tight, options.max_new_tokens, *setup.positions));
  });
  communicator.enter_phase("generation");
  std::vector<int64_t> lengths;
  lengths.reserve(inputs.size());
  for (const PromptRow& input : inputs) lengths.push_back(std::ssize(input.ids));
  const std::vector<UnitRows> units =
      Plan(lengths, unit_rows_, unit_rows_, 0).in_order(unit_rows_, models.of_rows);
  const World& world = communicator.world();
  int64_t new_tokens = 0;
  const auto begun = std::chrono::steady_clock::now();
  std::map<int64_t, std::string> mine;  // row → its lines
  for (const int64_t number : Plan::dealt_to(units, world.rank, world.ranks)) {
    const UnitRows& unit = units[static_cast<size_t>(number)];
    const auto texts =
        texts_of(context, models.of(unit.rows.front()), setup, inputs, unit, options);
    for (const std::vector<int64_t>& text : texts) new_tokens += std::ssize(text);
    add_lines(setup, inputs, unit, texts, mine);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  context.log.info("{} new tokens in {:.3f} s{}", new_tokens, took.count(),
                   world.ranks > 1 ? " on rank 0" : "");
  std::vector<std::string> parts(inputs.size());
  for (const std::string& text : gather_texts(communicator, Json(mine).dump())) {
    for (const Json& row : parse_json(text, "texts", ErrorKind::kInternal))
      parts[row[0].get<size_t>()] = row[1].get<std::string>();
  }
  std::string all;
  for (const std::string& part : parts) all += part;
  if (output_file_.empty() && !streams(context, setup, options)) context.out << all << std::flush;
  together(communicator, "writing " + output_file_, [&] {
    if (world.rank == 0 && !output_file_.empty()) write_file_durably(output_file_, all);
  });
  return Outcome::kDone;
}

}  // namespace

std::unique_ptr<Job> make_generate() { return std::make_unique<Generate>(); }

}  // namespace rankwise
