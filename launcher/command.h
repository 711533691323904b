// Runs another program without a shell and within a time limit. For use before MPI is started.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace rankwise {

struct CommandResult {
  int code = 0;  // exit code; 128+n where signal n ended it
  std::string out, err;
};

// words[0] is looked up in $PATH; `input` is its standard input; `variables` ("NAME=value") go
// before this process's own. Errors: kMachine: it cannot be started; it took longer than the limit
// (it is ended then, with what it started).
CommandResult run_command(const std::vector<std::string>& words, std::chrono::milliseconds limit,
                          const std::string& input = {},
                          const std::vector<std::string>& variables = {});

}  // namespace rankwise
