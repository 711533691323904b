// README.md of an adapter folder, byte for byte as peft writes it: metadata in YAML, then the blank
// model card of huggingface_hub (https://github.com/huggingface/huggingface_hub,
// modelcard_template.md), then the version of peft.
#include <algorithm>
#include <array>
#include <regex>

#include "peft/hub/adapter_folder.h"

namespace rankwise {
namespace {

constexpr std::string_view kAsk = "[More Information Needed]";
constexpr std::string_view kNothing = "";  // a paragraph that is there, and empty

// Printed with an empty line between heading, comment, body and list; a list item asks for what it
// names.
struct Section {
  std::string_view heading, comment = {};
  std::optional<std::string_view> body = {};
  std::array<std::string_view, 7> list = {};
};

constexpr Section kSections[] = {
    {"# Model Card for Model ID", "Provide a quick summary of what the model is/does.", kNothing},
    {"## Model Details"},
    {"### Model Description",
     "Provide a longer summary of what this model is.",
     kNothing,
     {"Developed by", "Funded by [optional]", "Shared by [optional]", "Model type",
      "Language(s) (NLP)", "License", "Finetuned from model [optional]"}},
    {"### Model Sources [optional]",
     "Provide the basic links for the model.",
     {},
     {"Repository", "Paper [optional]", "Demo [optional]"}},
    {"## Uses",
     "Address questions around how the model is intended to be used, including the foreseeable "
     "users of the model and those affected by the model."},
    {"### Direct Use",
     "This section is for the model use without fine-tuning or plugging into a larger "
     "ecosystem/app.",
     kAsk},
    {"### Downstream Use [optional]",
     "This section is for the model use when fine-tuned for a task, or when plugged into a larger "
     "ecosystem/app",
     kAsk},
    {"### Out-of-Scope Use",
     "This section addresses misuse, malicious use, and uses that the model will not work well "
     "for.",
     kAsk},
    {"## Bias, Risks, and Limitations",
     "This section is meant to convey both technical and sociotechnical limitations.", kAsk},
    {"### Recommendations",
     "This section is meant to convey recommendations with respect to the bias, risk, and "
     "technical limitations.",
     "Users (both direct and downstream) should be made aware of the risks, biases and limitations "
     "of the model. More information needed for further recommendations."},
    {"## How to Get Started with the Model",
     {},
     "Use the code below to get started with the model.\n\n[More Information Needed]"},
    {"## Training Details"},
    {"### Training Data",
     "This should link to a Dataset Card, perhaps with a short stub of information on what the "
     "training data is all about as well as documentation related to data pre-processing or "
     "additional filtering.",
     kAsk},
    {"### Training Procedure",
     "This relates heavily to the Technical Specifications. Content here should link to that "
     "section when it is relevant to the training procedure."},
    {"#### Preprocessing [optional]", {}, "[More Information Needed]\n"},
    {"#### Training Hyperparameters",
     {},
     "- **Training regime:** [More Information Needed] <!--fp32, fp16 mixed precision, bf16 mixed "
     "precision, bf16 non-mixed precision, fp16 non-mixed precision, fp8 mixed precision -->"},
    {"#### Speeds, Sizes, Times [optional]",
     "This section provides information about throughput, start/end time, checkpoint size if "
     "relevant, etc.",
     kAsk},
    {"## Evaluation", "This section describes the evaluation protocols and provides the results."},
    {"### Testing Data, Factors & Metrics"},
    {"#### Testing Data", "This should link to a Dataset Card if possible.", kAsk},
    {"#### Factors",
     "These are the things the evaluation is disaggregating by, e.g., subpopulations or domains.",
     kAsk},
    {"#### Metrics",
     "These are the evaluation metrics being used, ideally with a description of why.", kAsk},
    {"### Results", {}, kAsk},
    {"#### Summary", {}, kNothing},
    {"## Model Examination [optional]", "Relevant interpretability work for the model goes here",
     kAsk},
    {"## Environmental Impact",
     "Total emissions (in grams of CO2eq) and additional considerations, such as electricity "
     "usage, go here. Edit the suggested text below accordingly",
     "Carbon emissions can be estimated using the [Machine Learning Impact "
     "calculator](https://mlco2.github.io/impact#compute) presented in [Lacoste et al. "
     "(2019)](https://arxiv.org/abs/1910.09700).",
     {"Hardware Type", "Hours used", "Cloud Provider", "Compute Region", "Carbon Emitted"}},
    {"## Technical Specifications [optional]"},
    {"### Model Architecture and Objective", {}, kAsk},
    {"### Compute Infrastructure", {}, kAsk},
    {"#### Hardware", {}, kAsk},
    {"#### Software", {}, kAsk},
    {"## Citation [optional]",
     "If there is a paper or blog post introducing the model, the APA and Bibtex information for "
     "that should go in this section.",
     "**BibTeX:**\n\n[More Information Needed]\n\n**APA:**\n\n[More Information Needed]"},
    {"## Glossary [optional]",
     "If relevant, include terms and calculations in this section that can help readers understand "
     "the model or model card.",
     kAsk},
    {"## More Information [optional]", {}, kAsk},
    {"## Model Card Authors [optional]", {}, kAsk},
    {"## Model Card Contact", {}, kAsk},
};

// Whether YAML would read the plain text as something else than this string.
bool needs_quotes(const std::string& text) {
  static const std::regex kTyped(
      "|~|=|<<|null|Null|NULL|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|"
      "Off|OFF"
      "|[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*(:[0-5]?[0-9])*)"
      "|[-+]?[0-9][0-9_]*((:[0-5]?[0-9])+\\.[0-9_]*|\\.[0-9_]*([eE][-+][0-9]+)?)"
      "|\\.[0-9][0-9_]*([eE][-+][0-9]+)?|[-+]?\\.(inf|Inf|INF)|\\.(nan|NaN|NAN)"
      "|[0-9]{4}-[0-9]{2}-[0-9]{2}");
  const std::string spaced = text + ' ';
  constexpr auto kNone = std::string::npos;
  return (text.size() < 40 && std::regex_match(text, kTyped)) ||
         std::string_view("#,[]{}&*!|>'\"%@` ").find(spaced[0]) != kNone ||
         (std::string_view("-?:").find(spaced[0]) != kNone && spaced[1] == ' ') ||
         text.back() == ' ' || text.starts_with("---") || text.starts_with("...") ||
         spaced.find(": ") != kNone || spaced.find(" #") != kNone;
}

// A YAML scalar as PyYAML writes it, from `column` on: plain or quoted, folded at single spaces
// past column 80.
std::string yaml_scalar(const std::string& text, size_t column) {
  const auto is_control = [](unsigned char c) { return c < ' ' || c == 0x7F; };
  if (std::any_of(text.begin(), text.end(), is_control)) return Json(text).dump();
  const std::string quote = needs_quotes(text) ? "'" : "";
  std::string out = quote;
  column += quote.size();
  for (size_t at = 0; at < text.size(); ++at) {
    const bool inside = at > 0 && at + 1 < text.size();
    if (inside && column > 80 && text[at] == ' ' && text[at - 1] != ' ' && text[at + 1] != ' ') {
      out += "\n  ";
      column = 2;
    } else {
      out += text[at];
      column += (text[at] & 0xC0) != 0x80;  // characters, not bytes
      if (text[at] == '\'' && !quote.empty()) out += '\'', ++column;
    }
  }
  return out + quote;
}

std::string metadata(const std::string& base_model, const std::string& peft_type,
                     const std::optional<std::string>& pipeline_tag, bool body_is_model) {
  const bool is_prompt =
      peft_type == "PROMPT_TUNING" || peft_type == "PREFIX_TUNING" || peft_type == "P_TUNING";
  std::string out = "---\nbase_model: " + yaml_scalar(base_model, 12) + "\nlibrary_name: peft\n";
  if (pipeline_tag) out += "pipeline_tag: " + *pipeline_tag + "\n";
  out += "tags:\n- " + yaml_scalar("base_model:adapter:" + base_model, 2) + "\n";
  if (peft_type == "LORA") out += "- lora\n";
  if (!is_prompt || body_is_model) out += "- transformers\n";
  return out + "---\n";
}

}  // namespace

std::string model_card(const std::string& base_model, const std::string& peft_type,
                       std::optional<std::string> pipeline_tag, bool body_is_model) {
  std::string card = metadata(base_model, peft_type, pipeline_tag, body_is_model);
  for (const Section& section : kSections) {
    card += fmt::format("\n{}\n", section.heading);
    if (!section.comment.empty()) card += fmt::format("\n<!-- {} -->\n", section.comment);
    if (section.body) card += fmt::format("\n{}\n", *section.body);
    if (!section.list[0].empty()) card += '\n';
    for (const std::string_view item : section.list) {
      if (!item.empty()) card += fmt::format("- **{}:** {}\n", item, kAsk);
    }
  }
  return card + fmt::format("### Framework versions\n\n- PEFT {}", kPeftVersion);
}

}  // namespace rankwise
