// Checkpoint folders: written as checkpoint-<n>.partial, synced, renamed, and the old ones pruned.
#include "distributed/checkpoint/store.h"

#include <algorithm>
#include <charconv>

#include "distributed/checkpoint/durable.h"
#include "distributed/checkpoint/state.h"
#include "distributed/core/current_error.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "checkpoint-", kPartial = ".partial";

// The entries of the folder; none where it is gone.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    entries.push_back(entry->path());
  }
  if (error) throw machine_error("cannot list {}: {}", folder.string(), error.message());
  return entries;
}

std::optional<int64_t> update_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int64_t update = 0;
  const char* end = name.data() + name.size();
  const auto [stopped_at, error] = std::from_chars(name.data() + kPrefix.size(), end, update);
  if (error != std::errc() || stopped_at != end || update < 0) return std::nullopt;
  return update;
}

fs::path partial_name(fs::path path) { return path += kPartial; }

void remove_quietly(const fs::path& path) {
  std::error_code ignored;  // what stays is removed at the next start
  fs::remove_all(path, ignored);
}

}  // namespace

void write_file_durably(const fs::path& file, const std::string& bytes) {
  const fs::path partial = partial_name(file);
  try {
    write_synced(partial, bytes);
    rename_over(partial, file);
  } catch (...) {
    remove_quietly(partial);
    throw;
  }
  sync_folder(file.has_parent_path() ? file.parent_path() : fs::path("."));
}

CheckpointStore::CheckpointStore(fs::path output_dir, double patience_seconds)
    : output_dir_(std::move(output_dir)), lock_(output_dir_, patience_seconds) {
  for (const fs::path& entry : entries_of(output_dir_)) {
    if (entry.extension() == kPartial) remove_quietly(entry);
  }
}

CheckpointStore::~CheckpointStore() {
  if (writing_.valid()) writing_.wait();
}

void CheckpointStore::save(int64_t update, Files files, int64_t keep,
                           std::optional<int64_t> protect) {
  wait();
  auto body = [this, update, files = std::move(files), keep, protect]() -> std::optional<Error> {
    try {
      write(update, files);
      prune(update, keep, protect);
      return std::nullopt;
    } catch (const fs::filesystem_error& error) {
      return machine_error("checkpoint {}: {}", update, error.what());
    } catch (...) {
      return current_error("writing a checkpoint");
    }
  };
  writing_ = std::async(std::launch::async, std::move(body));
}

void CheckpointStore::wait() {
  if (writing_.valid()) error_ = writing_.get();
}

void CheckpointStore::write(int64_t update, const Files& files) const {
  const fs::path final = folder(update), partial = partial_name(final);
  fs::remove_all(partial);
  try {
    fs::create_directory(partial);
    for (const auto& [name, bytes] : files) write_synced(partial / name, bytes);
    sync_folder(partial);
    rename_over(partial, final);
  } catch (...) {
    remove_quietly(partial);
    throw;
  }
  sync_folder(output_dir_);
  remove_quietly(partial);  // what was called checkpoint-<update> before
}

void CheckpointStore::prune(int64_t saved, int64_t keep, std::optional<int64_t> protect) const {
  if (keep <= 0) return;
  std::vector<int64_t> order = updates();
  // What is beyond the update just saved was left by a run that has been given up: it goes first.
  const auto importance = [&](int64_t update) {
    return update == saved ? 3 : update == protect ? 2 : update < saved ? 1 : 0;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return importance(a) > importance(b); });
  for (size_t i = static_cast<size_t>(keep); i < order.size(); ++i) {
    if (importance(order[i]) >= 2) continue;
    // Renamed first, so that a folder that is half gone has no final name either.
    const fs::path old = folder(order[i]), partial = partial_name(old);
    remove_quietly(partial);
    rename_over(old, partial);
    remove_quietly(partial);
  }
}

std::vector<int64_t> CheckpointStore::updates() const {
  std::vector<int64_t> updates;
  for (const fs::path& entry : entries_of(output_dir_)) {
    const auto update = update_of(entry.filename().string());
    if (update && fs::is_directory(entry)) updates.push_back(*update);
  }
  std::sort(updates.rbegin(), updates.rend());
  return updates;
}

fs::path CheckpointStore::folder(int64_t update) const {
  return output_dir_ / fmt::format("{}{}", kPrefix, update);
}

CheckpointStore::Found CheckpointStore::newest_whole() const {
  Found found;
  for (const int64_t update : updates()) {
    try {
      read_hdf5(folder(update) / "state.h5");
      found.update = update;
      break;
    } catch (const Error& error) {
      found.passed_over.push_back(error.what());
    }
  }
  return found;
}

}  // namespace rankwise
