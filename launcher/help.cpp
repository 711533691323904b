// Lays out help texts in two columns.
#include "launcher/help.h"

#include <fmt/ranges.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <sstream>

#include "data/version.h"
#include "distributed/checkpoint/version.h"
#include "distributed/comm/versions.h"
#include "launcher/command_line.h"

namespace rankwise {
namespace {

constexpr size_t kTextColumn = 32;

// Breaks a text at blanks into lines of at most `width` characters.
std::vector<std::string> wrapped(const std::string& text, size_t width) {
  std::vector<std::string> lines(1);
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    std::string& line = lines.back();
    if (line.empty()) {
      line = word;
    } else if (line.size() + 1 + word.size() <= width) {
      line += ' ' + word;
    } else {
      lines.push_back(word);
    }
  }
  return lines;
}

// "  --name      what it is, wrapped behind column 32"; a long name has a line of its own.
std::string entry(const std::string& name, const std::string& text, int columns) {
  std::string out = "  " + name;
  bool on_name_line = out.size() + 2 <= kTextColumn;
  if (!on_name_line) out += '\n';
  const size_t width = std::max<size_t>(columns, kTextColumn + 20) - kTextColumn;
  for (const std::string& line : wrapped(text, width)) {
    const size_t used = on_name_line ? 2 + name.size() : 0;
    out += std::string(kTextColumn - used, ' ') + line + '\n';
    on_name_line = false;
  }
  return out;
}

std::string described(const Field& field) {
  std::string text = field.help();
  if (!field.choices().empty()) {
    text += fmt::format("; one of {}", fmt::join(field.choices(), ", "));
  }
  if (!field.default_text().empty()) text += fmt::format(" [{}]", field.default_text());
  return text;
}

}  // namespace

std::string version() { return RANKWISE_VERSION; }

std::string verbs_help(const std::vector<Verb>& verbs, int columns) {
  std::string text =
      "Fine-tunes frozen transformer models with small adapters, on one rank or many.\n\n"
      "  rankwise VERB [--config FILE.ini] [--option value ...]\n"
      "  mpirun -n 4 rankwise VERB ...           4 ranks\n"
      "  srun --mpi=pmix -n 4 rankwise VERB ...  4 ranks under Slurm\n\n"
      "Verbs:\n";
  for (const Verb& verb : verbs) text += entry(verb.name, verb.summary, columns);
  return text +
         "\nrankwise VERB --help lists the options of a verb, rankwise --version the libraries.\n";
}

std::string verb_help(const Verb& verb, const Fields& fields, int columns) {
  const auto title = wrapped(fmt::format("rankwise {}: {}", verb.name, verb.summary), columns);
  std::string text = fmt::format("{}\n\nDefaults stand in brackets.\n", fmt::join(title, "\n"));
  text += entry("--config", "an ini file of options (name = value); the command line goes first",
                columns);
  std::string group;
  for (const Field& field : fields.all()) {
    if (field.group() != group) text += fmt::format("\n{}:\n", group = field.group());
    text += entry("--" + field.name(), described(field), columns);
  }
  return text;
}

std::string version_text() {
  std::string text = fmt::format("rankwise {}\n", version());
  const auto add = [&](const char* library, const std::string& version) {
    if (!version.empty()) text += fmt::format("{:<9} {}\n", library, version);
  };
  add("LibTorch", TORCH_VERSION);
  add("MPI", mpi_version());
  add("NCCL", nccl_version());
  add("HDF5", hdf5_version());
  add("ICU", icu_version());
  add("Boost", boost_version());
  return text;
}

}  // namespace rankwise
