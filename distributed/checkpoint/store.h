// The checkpoint folders of one run. One writer (rank 0); a background thread writes bytes, syncs,
// renames; nothing half-written is ever seen under a final name.
#pragma once

#include <filesystem>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "distributed/checkpoint/folder_lock.h"
#include "distributed/core/error.h"

namespace rankwise {

using Files = std::map<std::string, std::string>;  // name inside the folder → bytes

// Writes `bytes` under a temporary name (<file>.partial), syncs, renames; the folder is synced too.
// Errors: kMachine (disk full, not writable).
void write_file_durably(const std::filesystem::path& file, const std::string& bytes);

class CheckpointStore {
 public:
  // Takes the folder's lock (waits up to `patience_seconds`; then Error kUsage "in use by another
  // job on host X"). Makes the folder; removes *.partial left by a killed job. Errors: kMachine.
  explicit CheckpointStore(std::filesystem::path output_dir,
                           double patience_seconds = FolderLock::kPatienceSeconds);
  ~CheckpointStore();

  // Writes checkpoint-<update>/ with these files in the background; waits for the one before.
  // Whether it went well is told by last_error() after wait(). After a save that went well, at most
  // `keep` checkpoints stay (0: all): the one just saved, `protect`, then the newest before it; the
  // first two stay in any case, so keep = 1 can leave two.
  void save(int64_t update, Files files, int64_t keep, std::optional<int64_t> protect);
  void wait();
  // Of the last save that was waited for (by wait or the next save); none: it is on disk.
  std::optional<Error> last_error() const { return error_; }

  // Updates that have a folder, newest first.
  std::vector<int64_t> updates() const;
  std::filesystem::path folder(int64_t update) const;

  // The newest checkpoint whose state.h5 verifies; the text of every one that was passed over and
  // why.
  struct Found {
    std::optional<int64_t> update;
    std::vector<std::string> passed_over;
  };
  Found newest_whole() const;

 private:
  void write(int64_t update, const Files& files) const;
  void prune(int64_t saved, int64_t keep, std::optional<int64_t> protect) const;

  std::filesystem::path output_dir_;
  FolderLock lock_;
  std::future<std::optional<Error>> writing_;
  std::optional<Error> error_;
};

}  // namespace rankwise
