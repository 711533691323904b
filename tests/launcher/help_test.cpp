// The texts of --help and --version, whole.
#include "launcher/help.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace rankwise {
namespace {

constexpr Verb kVerb = {"finetune", "train an adapter", nullptr};

TEST(Help, ListsVerbs) {
  const std::string text = verbs_help({kVerb}, 100);
  EXPECT_NE(text.find("Verbs:\n  finetune                      train an adapter\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("mpirun -n 4 rankwise"), std::string::npos);
  EXPECT_NE(text.find("srun --mpi=pmix"), std::string::npos);
}

TEST(Help, ListsOptionsByGroupWithDefaults) {
  int64_t r = 8;
  std::string bias = "none";
  std::optional<int64_t> eval_steps;
  std::vector<std::string> modules;
  bool per_device_train_batch_size_is_long = false;
  Fields fields;
  fields.group("method");
  fields.add("r", r, "rank of the adapter");
  fields.add("bias", bias, "which biases train").one_of({"none", "all"});
  fields.add("target_modules", modules, "where").default_text("per family");
  fields.group("watching");
  fields.add("eval_steps", eval_steps, "updates between evaluations");
  fields.add("a_name_that_is_longer_than_its_column", per_device_train_batch_size_is_long,
             "a help text that does not fit on one line of this width");
  EXPECT_EQ(verb_help(kVerb, fields, 60),
            R"(rankwise finetune: train an adapter

Defaults stand in brackets.
  --config                      an ini file of options (name
                                = value); the command line
                                goes first

method:
  --r                           rank of the adapter [8]
  --bias                        which biases train; one of
                                none, all [none]
  --target_modules              where [per family]

watching:
  --eval_steps                  updates between evaluations
  --a_name_that_is_longer_than_its_column
                                a help text that does not
                                fit on one line of this
                                width [false]
)");
}

TEST(Help, NoLineIsWiderThanTheTerminal) {
  double rate = 0;
  Fields fields;
  std::string words;
  for (int word = 0; word < 200; ++word) words += "word ";
  fields.add("rate", rate, words);
  for (const int columns : {52, 80, 100, 200}) {
    std::istringstream text(verb_help(kVerb, fields, columns));
    size_t widest = 0;
    for (std::string line; std::getline(text, line);) widest = std::max(widest, line.size());
    EXPECT_LE(widest, columns);
    EXPECT_GT(widest, columns - 10);
  }
}

TEST(Help, VersionNamesTheLibraries) {
  std::istringstream text(version_text());
  std::vector<std::string> names;
  for (std::string line; std::getline(text, line);) {
    names.push_back(line.substr(0, line.find(' ')));
    EXPECT_TRUE(line.find_first_of("0123456789") != std::string::npos) << line;
  }
  std::erase(names, "NCCL");  // where it is built in
  EXPECT_EQ(names,
            (std::vector<std::string>{"rankwise", "LibTorch", "MPI", "HDF5", "ICU", "Boost"}));
}

}  // namespace
}  // namespace rankwise
