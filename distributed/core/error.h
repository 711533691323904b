// The one error type of the project: what kind of thing went wrong, in words, with a hint.
// Thrown where found, agreed on by all ranks (distributed/comm/agree.h), printed once by main.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace rankwise {

// The values are the process's exit codes.
enum class ErrorKind : int {
  kUsage = 2,          // an option, or options that contradict each other
  kInput = 3,          // a data file
  kModel = 4,          // a model, tokenizer or adapter file
  kCommunication = 5,  // a collective or a peer
  kMachine = 6,        // disk full, folder not writable, out of memory
  kInternal = 70,      // a bug of ours
  kStopped = 75,       // on request, with nothing lost: the same command goes on
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message, std::string hint = {})
      : std::runtime_error(message), kind_(kind), hint_(std::move(hint)) {}

  ErrorKind kind() const { return kind_; }
  const std::string& hint() const { return hint_; }  // what to do about it; may be empty
  int exit_code() const { return static_cast<int>(kind_); }

  // All ranks throw this same error, so rank 0 speaks for all and the job ends in good order.
  bool agreed() const { return agreed_; }
  Error as_agreed() const {
    Error copy = *this;
    copy.agreed_ = true;
    return copy;
  }

 private:
  ErrorKind kind_;
  std::string hint_;
  bool agreed_ = false;
};

// throw input_error("{}:{}: unknown label '{}'", file, row, label);
template <class... Args>
Error usage_error(fmt::format_string<Args...> text, Args&&... args) {
  return Error(ErrorKind::kUsage, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
Error input_error(fmt::format_string<Args...> text, Args&&... args) {
  return Error(ErrorKind::kInput, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
Error model_error(fmt::format_string<Args...> text, Args&&... args) {
  return Error(ErrorKind::kModel, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
Error communication_error(fmt::format_string<Args...> text, Args&&... args) {
  return Error(ErrorKind::kCommunication, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
Error machine_error(fmt::format_string<Args...> text, Args&&... args) {
  return Error(ErrorKind::kMachine, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
Error internal_error(fmt::format_string<Args...> text, Args&&... args) {
  return Error(ErrorKind::kInternal, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace rankwise
