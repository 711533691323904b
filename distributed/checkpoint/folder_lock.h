// A folder that one job at a time may write into: an flock on its file ".lock", in which the holder
// leaves host and process id for others to name. The kernel drops it when the holder ends.
#pragma once

#include <filesystem>

namespace rankwise {

class FolderLock {
 public:
  static constexpr double kPatienceSeconds = 10;
  // Makes the folder. Errors: kUsage naming the holder after `patience_seconds`, kMachine.
  explicit FolderLock(const std::filesystem::path& folder,
                      double patience_seconds = kPatienceSeconds);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_;
};

}  // namespace rankwise
