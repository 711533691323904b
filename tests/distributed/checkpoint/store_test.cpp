// Checkpoint folders: whole or absent, whoever is killed and whatever the disk does.
#include "distributed/checkpoint/store.h"

#include <ATen/ops/full.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <random>
#include <sstream>
#include <utility>

#include "distributed/checkpoint/state.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;
using Updates = std::vector<int64_t>;

class CheckpointStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "rankwise-store-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  void TearDown() override {
    umount2(folder_.c_str(), MNT_DETACH);  // where a test that mounted has failed
    fs::remove_all(folder_);
  }

  fs::path folder_;
};

Files files_of(int64_t update, int64_t numbers = 100) {
  State state;
  state.tensors["optimizer/exp_avg"] = at::full({numbers}, static_cast<double>(update), at::kFloat);
  return {{"state.h5", to_hdf5(state)}, {"adapter_config.json", "{}"}};
}

// Error or not, the save is over when this returns.
std::optional<Error> saved(CheckpointStore& store, int64_t update, int64_t keep = 0,
                           std::optional<int64_t> protect = {}, int64_t numbers = 100) {
  store.save(update, files_of(update, numbers), keep, protect);
  store.wait();
  return store.last_error();
}

std::string bytes_of(const fs::path& file) {
  std::ostringstream bytes;
  bytes << std::ifstream(file, std::ios::binary).rdbuf();
  return bytes.str();
}

std::vector<std::string> partials_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".partial") names.push_back(entry.path().string());
  }
  return names;
}

// `body` in a process of its own, which does not outlive this object. The body may not compute with
// tensors: threads of a pool are not there after a fork.
class Child {
 public:
  template <class Body>
  explicit Child(const Body& body) : pid_(fork()) {
    if (pid_ != 0) return;
    try {
      body();
    } catch (...) {
      _exit(1);
    }
    _exit(0);
  }
  ~Child() { end(); }
  pid_t pid() const { return pid_; }

  // Kills it where it still runs; true where that was so.
  bool end() {
    if (pid_ <= 0) return false;
    kill(pid_, SIGKILL);
    waitpid(std::exchange(pid_, -1), &status_, 0);
    return WIFSIGNALED(status_);
  }
  int exit_code() {
    waitpid(std::exchange(pid_, -1), &status_, 0);
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
  }

 private:
  pid_t pid_;
  int status_ = 0;
};

TEST_F(CheckpointStoreTest, SavesWhatItIsGiven) {
  CheckpointStore store(folder_ / "not" / "there" / "yet");
  EXPECT_FALSE(store.newest_whole().update);
  EXPECT_FALSE(saved(store, 3));
  EXPECT_FALSE(saved(store, 10));
  EXPECT_EQ(store.updates(), (Updates{10, 3}));
  EXPECT_EQ(store.folder(10).filename(), "checkpoint-10");
  for (const auto& [name, bytes] : files_of(10)) {
    EXPECT_EQ(bytes_of(store.folder(10) / name), bytes) << name;
  }
  const CheckpointStore::Found found = store.newest_whole();
  EXPECT_EQ(found.update, 10);
  EXPECT_TRUE(found.passed_over.empty());
  EXPECT_TRUE(partials_in(folder_).empty());
}

TEST_F(CheckpointStoreTest, SavesInTheBackgroundOneAfterTheOther) {
  CheckpointStore store(folder_);
  for (int64_t update = 1; update <= 5; ++update) store.save(update, files_of(update), 0, {});
  store.wait();
  EXPECT_FALSE(store.last_error());
  EXPECT_EQ(store.updates(), (Updates{5, 4, 3, 2, 1}));
}

TEST_F(CheckpointStoreTest, ReplacesACheckpointOfTheSameUpdate) {
  CheckpointStore store(folder_);
  ASSERT_FALSE(saved(store, 5));
  std::ofstream(store.folder(5) / "stale") << "from another run";
  ASSERT_FALSE(saved(store, 5, 0, {}, 7));
  EXPECT_FALSE(fs::exists(store.folder(5) / "stale"));
  EXPECT_EQ(read_hdf5(store.folder(5) / "state.h5").tensors.at("optimizer/exp_avg").numel(), 7);
  EXPECT_TRUE(partials_in(folder_).empty());
}

TEST_F(CheckpointStoreTest, PrunesByTheRules) {
  struct Case {
    Updates before;
    int64_t saved, keep;
    std::optional<int64_t> protect;
    Updates left;
  };
  const Case cases[] = {
      {{1, 2, 3}, 4, 0, {}, {4, 3, 2, 1}},
      {{1, 2, 3}, 4, 2, {}, {4, 3}},
      {{1, 2, 3}, 4, 2, 1, {4, 1}},
      {{1, 2, 3}, 4, 3, 1, {4, 3, 1}},
      {{1, 2, 3}, 4, 1, 2, {4, 2}},  // the one just saved and the best stay in any case
      {{1, 2, 3}, 4, 1, 4, {4}},
      {{1, 2, 3}, 4, 2, 77, {4, 3}},        // the protected one is not there
      {{10, 20, 30}, 15, 2, {}, {15, 10}},  // beyond the one just saved: given up
      {{10, 20, 30}, 15, 3, 30, {30, 15, 10}},
  };
  for (const Case& c : cases) {
    fs::remove_all(folder_);
    CheckpointStore store(folder_);
    for (const int64_t update : c.before) ASSERT_FALSE(saved(store, update));
    ASSERT_FALSE(saved(store, c.saved, c.keep, c.protect));
    EXPECT_EQ(store.updates(), c.left) << "keep " << c.keep;
    EXPECT_TRUE(partials_in(folder_).empty());
  }
}

TEST_F(CheckpointStoreTest, PassesOverWhatIsDamagedAndSaysWhy) {
  CheckpointStore store(folder_);
  for (int64_t update = 1; update <= 5; ++update) ASSERT_FALSE(saved(store, update));
  fs::resize_file(store.folder(5) / "state.h5", 700);
  std::string bytes = bytes_of(store.folder(4) / "state.h5");
  const float four = 4;
  bytes[bytes.find(std::string(reinterpret_cast<const char*>(&four), sizeof four)) + 400 - 4] ^= 1;
  std::ofstream(store.folder(4) / "state.h5", std::ios::binary) << bytes;
  fs::remove(store.folder(3) / "state.h5");
  fs::create_directory(folder_ / "checkpoint-best");
  std::ofstream(folder_ / "checkpoint-99") << "a file";
  const CheckpointStore::Found found = store.newest_whole();
  EXPECT_EQ(found.update, 2);
  ASSERT_EQ(found.passed_over.size(), 3u);
  const char* reasons[][2] = {{"checkpoint-5/state.h5", "not whole"},
                              {"checkpoint-4/state.h5", "not whole"},
                              {"checkpoint-3/state.h5", "No such file"}};
  for (int i = 0; i < 3; ++i) {
    for (const char* part : reasons[i]) {
      EXPECT_NE(found.passed_over[i].find(part), std::string::npos) << found.passed_over[i];
    }
  }
}

TEST_F(CheckpointStoreTest, AFullDiskHarmsNothingThatWasThere) {
  if (mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "cannot mount a small disk: " << std::strerror(errno);
  }
  {
    CheckpointStore store(folder_);
    EXPECT_FALSE(saved(store, 1));
    const std::string before = bytes_of(store.folder(1) / "state.h5");
    const auto error = saved(store, 2, 1, {}, 1 << 20);  // 4 MiB
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), ErrorKind::kMachine);
    EXPECT_NE(std::string(error->what()).find("No space left"), std::string::npos) << error->what();
    EXPECT_TRUE(partials_in(folder_).empty()) << "what was half written gives its space back";
    EXPECT_EQ(store.updates(), (Updates{1})) << "nothing is pruned for a save that failed";
    EXPECT_EQ(bytes_of(store.folder(1) / "state.h5"), before);
    EXPECT_EQ(store.newest_whole().update, 1);
    EXPECT_FALSE(saved(store, 3)) << "the next one that fits is fine";
    EXPECT_THROW(write_file_durably(folder_ / "large", std::string(2 << 20, 'x')), Error);
    EXPECT_FALSE(fs::exists(folder_ / "large"));
    EXPECT_TRUE(partials_in(folder_).empty());
  }
  ASSERT_EQ(umount(folder_.c_str()), 0);
}

// A job that is killed at some event of its folder leaves only whole checkpoints.
TEST_F(CheckpointStoreTest, KilledWhileWritingLeavesOnlyWholeCheckpoints) {
  std::mt19937 random(42);
  const Files files = files_of(1, 1 << 16);
  int64_t first = 1;
  for (int round = 0; round < 12; ++round) {
    const int watch = inotify_init1(IN_CLOEXEC);
    ASSERT_GE(inotify_add_watch(watch, folder_.c_str(), IN_CREATE | IN_MOVED_TO | IN_DELETE), 0);
    Child child([&] {
      CheckpointStore store(folder_);
      for (int64_t update = first;; ++update) {
        store.save(update, files, 2, {});
        store.wait();
        if (store.last_error()) _exit(1);
      }
    });
    std::string last_event;
    for (int left = 1 + static_cast<int>(random() % 12); left > 0;) {
      pollfd ready{watch, POLLIN, 0};
      ASSERT_EQ(poll(&ready, 1, 30'000), 1) << "the child does nothing";
      alignas(inotify_event) char buffer[4096];
      const ssize_t got = read(watch, buffer, sizeof buffer);
      for (ssize_t at = 0; at < got && left > 0; --left) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
        last_event = event->name;
        at += static_cast<ssize_t>(sizeof *event + event->len);
      }
    }
    ASSERT_TRUE(child.end()) << "the child had ended by itself";
    close(watch);
    CheckpointStore store(folder_, 0);  // the lock went with the child
    EXPECT_TRUE(partials_in(folder_).empty());
    const CheckpointStore::Found found = store.newest_whole();
    EXPECT_TRUE(found.passed_over.empty()) << found.passed_over[0] << " after " << last_event;
    const Updates updates = store.updates();
    EXPECT_EQ(found.update.has_value(), !updates.empty());
    first = found.update.value_or(0) + 1;
    EXPECT_LE(updates.size(), 3u);
  }
  EXPECT_FALSE(CheckpointStore(folder_).updates().empty()) << "no round got as far as a checkpoint";
}

TEST_F(CheckpointStoreTest, KilledAtThePartialFolderGoesOnFromThePrevious) {
  ASSERT_FALSE(saved(*std::make_unique<CheckpointStore>(folder_), 1));
  const int watch = inotify_init1(IN_CLOEXEC);
  ASSERT_GE(inotify_add_watch(watch, folder_.c_str(), IN_CREATE), 0);
  Files files = files_of(2);
  files["z_large"] = std::string(64 << 20, 'z');  // takes long enough to be killed in between
  Child child([&] {
    CheckpointStore store(folder_);
    store.save(2, files, 0, {});
    store.wait();
    pause();
  });
  pollfd ready{watch, POLLIN, 0};
  ASSERT_EQ(poll(&ready, 1, 30'000), 1);
  ASSERT_TRUE(child.end()) << "the child had ended by itself";
  close(watch);
  ASSERT_EQ(partials_in(folder_).size(), 1u) << "killed too late to prove anything";
  CheckpointStore store(folder_);
  EXPECT_TRUE(partials_in(folder_).empty());
  EXPECT_EQ(store.newest_whole().update, 1);
  EXPECT_EQ(store.updates(), (Updates{1}));
}

TEST_F(CheckpointStoreTest, AFolderBelongsToOneJob) {
  int held[2], release[2];
  ASSERT_EQ(pipe(held), 0);
  ASSERT_EQ(pipe(release), 0);
  char byte = 0;
  Child child([&] {
    CheckpointStore store(folder_);
    if (write(held[1], "h", 1) != 1 || read(release[0], &byte, 1) != 1) _exit(1);
  });
  ASSERT_EQ(read(held[0], &byte, 1), 1);
  try {
    CheckpointStore store(folder_, 0.1);
    FAIL() << "two jobs in one folder";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    char host[256] = {};
    gethostname(host, sizeof host - 1);
    EXPECT_EQ(std::string(error.what()),
              fmt::format("{} is in use by another job on host {} (process {})", folder_.string(),
                          host, child.pid()));
  }
  auto patient = std::async(std::launch::async, [&] { CheckpointStore store(folder_, 60); });
  ASSERT_EQ(write(release[1], "r", 1), 1);
  EXPECT_NO_THROW(patient.get()) << "free again when the other job ends";
  EXPECT_EQ(child.exit_code(), 0);
  for (const int fd : {held[0], held[1], release[0], release[1]}) close(fd);
}

TEST_F(CheckpointStoreTest, AFolderThatCannotBeIsTheMachinesError) {
  std::ofstream(folder_ / "file") << "in the way";
  for (const char* name : {"file", "file/below"}) {
    try {
      CheckpointStore store(folder_ / name);
      FAIL() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kMachine);
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
    }
  }
}

TEST_F(CheckpointStoreTest, AFolderThatVanishedIsToldByLastError) {
  CheckpointStore store(folder_);
  fs::remove_all(folder_);
  const auto error = saved(store, 1);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), ErrorKind::kMachine);
}

TEST_F(CheckpointStoreTest, FilesAreReplacedAtOnce) {
  const fs::path file = folder_ / "run.ini";
  write_file_durably(file, "old");
  write_file_durably(file, std::string("new\0text", 8));
  EXPECT_EQ(bytes_of(file), std::string("new\0text", 8));
  EXPECT_TRUE(partials_in(folder_).empty());
  try {
    write_file_durably(folder_ / "missing" / "run.ini", "text");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMachine);
    EXPECT_NE(std::string(error.what()).find("missing/run.ini"), std::string::npos);
  }
}

}  // namespace
}  // namespace rankwise
