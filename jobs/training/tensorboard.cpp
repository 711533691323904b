// TensorBoard's event file: where it lies and when it is written. The bytes of an event are in
// event_records.cpp.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>

#include "distributed/core/error.h"
#include "jobs/training/append.h"
#include "jobs/training/event_records.h"
#include "jobs/training/report.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

// The first name that is free; the last number tells files of the same second apart.
fs::path new_file(const fs::path& folder) {
  const auto seconds = static_cast<int64_t>(now_seconds());
  for (int number = 0;; ++number) {
    const fs::path file = folder / fmt::format("events.out.tfevents.{}.{}.{}.{}", seconds,
                                               host_name(), ::getpid(), number);
    const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0) {
      ::close(descriptor);
      return file;
    }
    if (errno != EEXIST) {
      throw machine_error("{}: cannot create: {}", file.string(),
                          std::generic_category().message(errno));
    }
  }
}

}  // namespace

TensorBoardFile::TensorBoardFile(const fs::path& folder, std::optional<int64_t> resumed_at_step) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure)
    throw machine_error("{}: cannot create the folder: {}", folder.string(), failure.message());
  file_ = new_file(folder);
  pending_ = version_record(now_seconds());
  if (resumed_at_step) pending_ += session_start_record(now_seconds(), *resumed_at_step + 1);
  flush();
}

void TensorBoardFile::scalar(const std::string& tag, int64_t step, double value) {
  pending_ += scalar_record(now_seconds(), tag, step, value);
}

void TensorBoardFile::text(const std::string& tag, const std::string& value) {
  pending_ += text_record(now_seconds(), tag, value);
}

void TensorBoardFile::flush() {
  append_to_file(file_, pending_);
  pending_.clear();
}

std::string tensorboard_tag(const std::string& key) {
  for (const std::string prefix : {"eval", "test"}) {
    if (key.starts_with(prefix + "_")) return prefix + "/" + key.substr(prefix.size() + 1);
  }
  return "train/" + key;
}

}  // namespace rankwise
