// generate: text from a base with or without an adapter. Prompts are grouped into fixed units
// before they are dealt to ranks, so that the bytes do not depend on ranks.
#include "peft/model/generate.h"

#include <algorithm>
#include <map>

#include "data/plan.h"
#include "data/readers/reader.h"
#include "data/tasks/columns.h"
#include "distributed/checkpoint/store.h"
#include "distributed/comm/agree.h"
#include "jobs/setup.h"

namespace rankwise {
namespace {

class Generate : public Job {
 public:
  Generate() { model_.task_type = "CAUSAL_LM"; }
  void declare(Fields& fields) override;
  Outcome run(JobContext& context, const Fields& fields) override;

 private:
  struct Input {
    std::string text;  // empty for rows of ids
    std::vector<int64_t> ids;
  };
  std::vector<Input> read_prompts(const Setup& setup) const;
  GenerationOptions resolve(const Setup& setup) const;
  std::string lines(const AdaptedModel& model, const Setup& setup, const std::vector<Input>& inputs,
                    const UnitRows& unit, const GenerationOptions& options) const;
  bool ends_in_stop(const std::string& text) const;

  ModelOptions model_;
  MachineOptions machine_;
  DataOptions data_;
  std::string prompt_, prompt_file_, output_file_, prompt_column_ = "prompt";
  std::vector<std::string> stop_;
  bool ignore_eos_ = false;
  int64_t unit_rows_ = 8, seed_ = 42, num_return_sequences_ = 1;
  std::optional<int64_t> max_new_tokens_, top_k_;
  std::optional<bool> do_sample_;
  std::optional<double> temperature_, top_p_, repetition_penalty_;
};

void Generate::declare(Fields& fields) {
  model_.declare_base(fields);
  model_.declare_adapter(fields);
  fields.group("prompts");
  fields.add("prompt", prompt_, "one prompt");
  fields.add("prompt_file", prompt_file_,
             ".txt, a prompt a line, or .jsonl with rows of \"prompt\" or of \"input_ids\"");
  fields.add("prompt_column", prompt_column_, "column with the prompt");
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
  fields.add("num_return_sequences", num_return_sequences_, "texts a prompt").at_least(1);
  fields.add("seed", seed_, "of the draws");
  fields.add("stop", stop_, "texts that end a text");
  fields.add("ignore_eos", ignore_eos_, "go on behind the end token");
  fields.add("per_device_eval_batch_size", unit_rows_, "prompts computed together").at_least(1);
  machine_.declare(fields);
}

std::vector<Generate::Input> Generate::read_prompts(const Setup& setup) const {
  std::vector<Input> inputs;
  const auto encoded = [&](const std::string& text) {
    if (!setup.tokenizer)
      throw model_error("{}: a prompt of text, but the folder has no tokenizer",
                        setup.model_folder.string());
    const Encoding encoding = setup.tokenizer->encode(text, std::nullopt, setup.max_length);
    return Input{text, {encoding.ids.begin(), encoding.ids.end()}};
  };
  if (prompt_file_.empty()) return {encoded(prompt_)};
  read_rows(
      prompt_file_, [](int64_t) { return true; },
      [&](Row&& row) {
        const std::filesystem::path file = prompt_file_;
        const Columns columns(row, file);
        if (columns.find("input_ids")) {
          const auto ids = columns.ids("input_ids", setup.vocabulary);
          if (ids.empty()) throw columns.error("column 'input_ids' is empty");
          inputs.push_back({"", {ids.begin(), ids.end()}});
        } else {
          const bool plain = !columns.find(prompt_column_) && columns.find("text");
          inputs.push_back(encoded(columns.text(plain ? "text" : prompt_column_)));
        }
      });
  return inputs;
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

bool Generate::ends_in_stop(const std::string& text) const {
  return std::any_of(stop_.begin(), stop_.end(),
                     [&](const std::string& stop) { return text.find(stop) != std::string::npos; });
}

// A unit's part of the output: a JSON object a line.
std::string Generate::lines(const AdaptedModel& model, const Setup& setup,
                            const std::vector<Input>& inputs, const UnitRows& unit,
                            const GenerationOptions& options) const {
  std::vector<Prompt> prompts;
  for (const int64_t row : unit.rows)
    prompts.push_back({inputs[static_cast<size_t>(row)].ids, row});
  const auto text_of = [&](const std::vector<int64_t>& ids) {
    return setup.tokenizer ? setup.tokenizer->decode({ids.begin(), ids.end()}, true) : "";
  };
  std::map<std::pair<size_t, int64_t>, std::vector<int64_t>> so_far;
  const auto listener = [&](size_t prompt, int64_t sequence, int64_t token) {
    if (stop_.empty()) return true;
    std::vector<int64_t>& ids = so_far[{prompt, sequence}];
    ids.push_back(token);
    return !ends_in_stop(text_of(ids));
  };
  const bool encoder_decoder = setup.task_type == TaskType::kSeq2SeqLm;
  const auto texts = generate(model, prompts, options, encoder_decoder, listener);
  std::string result;
  for (size_t i = 0; i < texts.size(); ++i) {
    const Input& input = inputs[static_cast<size_t>(
        unit.rows[i / static_cast<size_t>(options.num_return_sequences)])];
    result += Json{{"prompt", input.text.empty() ? text_of(input.ids) : input.text},
                   {"text", text_of(texts[i])},
                   {"input_ids", input.ids},
                   {"new_ids", texts[i]}}
                  .dump() +
              "\n";
  }
  return result;
}

Outcome Generate::run(JobContext& context, const Fields&) {
  Communicator& communicator = context.communicator;
  Setup setup = set_up(context, machine_, model_, data_, [&] {
    if (prompt_.empty() == prompt_file_.empty())
      throw usage_error("one of --prompt and --prompt_file must be given");
    const TaskType task = task_type(model_.task_type);
    if (task != TaskType::kCausalLm && task != TaskType::kSeq2SeqLm)
      throw usage_error("--task_type {} makes no text", name_of(task));
  });
  std::vector<Input> inputs;
  std::vector<int64_t> lengths;
  GenerationOptions options;
  together(communicator, "reading prompts", [&] {
    options = resolve(setup);
    inputs = read_prompts(setup);
    for (const Input& input : inputs) lengths.push_back(std::ssize(input.ids));
  });
  const AdaptedModel model = build_model(
      context, setup, model_, data_, [&] { return method_of(setup.adapter); }, 42);
  communicator.enter_phase("generation");
  const std::vector<UnitRows> units = Plan(lengths, unit_rows_, unit_rows_, 0).in_order(unit_rows_);
  const World& world = communicator.world();
  Json mine = Json::object();  // unit → its lines
  for (const int64_t unit : Plan::dealt_to(units, world.rank, world.ranks)) {
    mine[std::to_string(unit)] =
        lines(model, setup, inputs, units[static_cast<size_t>(unit)], options);
  }
  std::vector<std::string> parts(units.size());
  for (const std::string& text : gather_texts(communicator, mine.dump())) {
    const Json units_of_rank = parse_json(text, "texts", ErrorKind::kInternal);
    for (const auto& [unit, part] : units_of_rank.items())
      parts[std::stoul(unit)] = part.get<std::string>();
  }
  std::string all;
  for (const std::string& part : parts) all += part;
  if (output_file_.empty()) context.out << all << std::flush;
  together(communicator, "writing " + output_file_, [&] {
    if (world.rank == 0 && !output_file_.empty()) write_file_durably(output_file_, all);
  });
  return Outcome::kDone;
}

}  // namespace

std::unique_ptr<Job> make_generate() { return std::make_unique<Generate>(); }

}  // namespace rankwise
