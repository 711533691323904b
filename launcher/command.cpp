// Standard input and error are files in memory, so that only one pipe has to be waited for.
#include "launcher/command.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <thread>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

using Clock = std::chrono::steady_clock;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {
    if (number < 0) throw machine_error("no file descriptor: {}", std::strerror(errno));
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(); }
  int get() const { return number_; }
  void close() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }

 private:
  int number_;
};

void fill(int file, const std::string& text) {
  if (pwrite(file, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    throw machine_error("a file in memory cannot be written: {}", std::strerror(errno));
}

// Appends what is there to `text`; false at the end.
bool read_some(int descriptor, std::string& text) {
  char buffer[4096];
  const ssize_t count = read(descriptor, buffer, sizeof buffer);
  if (count > 0) text.append(buffer, count);
  return count > 0 || (count < 0 && errno == EINTR);
}

// False once there is nothing to read by `end`.
bool wait_readable(int descriptor, Clock::time_point end) {
  pollfd waited{.fd = descriptor, .events = POLLIN};
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
  if (left <= 0) return false;
  const int ready = poll(&waited, 1, static_cast<int>(left));
  return ready > 0 || (ready < 0 && errno == EINTR);
}

// waitpid until `end`: a program may close its output and go on.
bool ended(pid_t pid, int& status, Clock::time_point end) {
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (Clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> list;
  for (const std::string& word : words) list.push_back(const_cast<char*>(word.c_str()));
  return list;
}

pid_t spawn(const std::vector<std::string>& words, const std::vector<std::string>& variables,
            int input, int output, int errors) {
  std::vector<char*> arguments = pointers(words), environment = pointers(variables);
  arguments.push_back(nullptr);
  for (char** entry = environ; *entry; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // to end what it starts, too
  pid_t pid = 0;
  const int error =
      posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments.data(), environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw machine_error("{} cannot be started: {}", words[0], std::strerror(error));
  return pid;
}

}  // namespace

CommandResult run_command(const std::vector<std::string>& words, std::chrono::milliseconds limit,
                          const std::string& input, const std::vector<std::string>& variables) {
  const Clock::time_point end = Clock::now() + limit;
  const Descriptor in(memfd_create("input", MFD_CLOEXEC));
  const Descriptor errors(memfd_create("errors", MFD_CLOEXEC));
  fill(in.get(), input);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw machine_error("no pipe: {}", std::strerror(errno));
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  const pid_t pid = spawn(words, variables, in.get(), writing.get(), errors.get());
  writing.close();

  CommandResult result;
  bool more = true;
  while (more && wait_readable(reading.get(), end)) more = read_some(reading.get(), result.out);
  int status = 0;
  if (more || !ended(pid, status, end)) {
    kill(-pid, SIGKILL);
    waitpid(pid, &status, 0);
    throw machine_error("{} did not answer within {:.3g} s", words[0], limit.count() / 1000.0);
  }
  lseek(errors.get(), 0, SEEK_SET);
  while (read_some(errors.get(), result.err)) continue;
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace rankwise
