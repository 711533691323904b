// The text of a Slurm batch script that starts ranks, saves before its end and is requeued.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "launcher/submit_options.h"

namespace rankwise {

struct BatchJob {
  SubmitOptions options;
  bool pmix = true;                // srun --mpi=pmix, else mpirun
  std::filesystem::path binary;    // absolute
  std::filesystem::path folder;    // where relative paths begin; absolute
  std::vector<std::string> words;  // the verb and its words
  std::string output;              // of a verb that saves when asked to stop, else ""
};

std::string batch_script(const BatchJob& job);

// A word that bash reads as this text.
std::string shell_quoted(const std::string& text);

}  // namespace rankwise
