// metrics.jsonl, trainer_state.json and TensorBoard's files: bytes, and what other readers make of
// them.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <limits>

#include "distributed/core/error.h"
#include "jobs/training/append.h"
#include "jobs/training/event_records.h"
#include "jobs/training/report.h"
#include "tests/jobs/training/temp_folder.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& file) { return read_text_file(file, ErrorKind::kInternal); }

void put(const fs::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

std::string cut_at(int64_t step, const std::string& before) {
  TempFolder folder;
  put(folder / "metrics.jsonl", before);
  MetricsFile(folder / "metrics.jsonl", step);
  return content(folder / "metrics.jsonl");
}

TEST(MetricsFile, WritesWholeUnroundedLines) {
  TempFolder folder;
  put(folder / "metrics.jsonl", "an earlier run\n");
  MetricsFile metrics(folder / "metrics.jsonl", std::nullopt);
  metrics.write({{"step", 1}, {"loss", 0.1 + 0.2}, {"learning_rate", 1e-5}});
  metrics.write(
      {{"step", 2}, {"loss", std::numeric_limits<double>::quiet_NaN()}, {"grad_norm", INFINITY}});
  EXPECT_EQ(content(folder / "metrics.jsonl"),
            "{\"learning_rate\":1e-05,\"loss\":0.30000000000000004,\"step\":1}\n"
            "{\"grad_norm\":null,\"loss\":null,\"step\":2}\n");
}

TEST(MetricsFile, ResumeKeepsWhatTheCheckpointKnows) {
  const std::string kept = "{\"step\":1}\n{\"eval_loss\":2.0,\"step\":2}\n";
  EXPECT_EQ(cut_at(2, kept + "{\"step\":3}\n{\"step\":4}\n"), kept);
  EXPECT_EQ(cut_at(2, kept + "{\"step\":2,\"lo"), kept);           // half a line
  EXPECT_EQ(cut_at(2, kept + "{\"step\":2}"), kept);               // a line without its end
  EXPECT_EQ(cut_at(2, kept + std::string(8, '\0') + "\n"), kept);  // blocks never written
  EXPECT_EQ(cut_at(2, kept + "{\"epoch\":5.5}\n"), kept + "{\"epoch\":5.5}\n");
  EXPECT_EQ(cut_at(2, kept + "{\"step\":2,\"train_runtime\":5.5}\n"), kept);  // comes again
  EXPECT_EQ(cut_at(0, kept), "");
  EXPECT_EQ(cut_at(9, kept), kept);
  EXPECT_EQ(cut_at(9, ""), "");
}

TEST(MetricsFile, MissingFolderIsTheMachinesError) {
  try {
    MetricsFile("/nonexistent/metrics.jsonl", std::nullopt);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMachine);
    EXPECT_NE(std::string(error.what()).find("/nonexistent/metrics.jsonl"), std::string::npos)
        << error.what();
  }
}

// A file size limit cuts the second write short, as a full disk does.
TEST(Append, LeavesNothingOfALineThatDoesNotFit) {
  TempFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10, 10};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    append_to_file(folder / "file", "1234567\n");
    try {
      append_to_file(folder / "file", "abcdefg\n");
    } catch (const Error& error) {
      ::_exit(error.exit_code());
    }
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), static_cast<int>(ErrorKind::kMachine));
  EXPECT_EQ(content(folder / "file"), "1234567\n");
}

TEST(TrainerState, RealFileSurvivesTheRoundTrip) {
  const Json real = read_json(TESTS_DIR "/golden/training/trainer_state.json");
  ASSERT_TRUE(real.at("stateful_callbacks").contains("EarlyStoppingCallback"));
  EXPECT_EQ(TrainerState::from_json(real).json(), real);
  EXPECT_EQ(pretty(TrainerState::from_json(real).json()) + "\n",
            content(TESTS_DIR "/golden/training/trainer_state.json"));
}

TEST(TrainerState, NothingKnownIsNull) {
  const Json json = TrainerState{}.json();
  for (const char* key :
       {"best_metric", "best_global_step", "best_model_checkpoint", "trial_name", "trial_params"}) {
    EXPECT_TRUE(json.at(key).is_null()) << key;
  }
  EXPECT_EQ(json.at("log_history"), Json::array());
  EXPECT_FALSE(json.at("stateful_callbacks").contains("EarlyStoppingCallback"));
  Json broken = json;
  broken.erase("epoch");
  EXPECT_THROW(TrainerState::from_json(broken), Error);
}

std::string hex(const std::string& bytes) {
  std::string text;
  for (const unsigned char byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

TEST(EventRecords, AreThoseOfTensorBoardsWriters) {
  const Json golden = read_json(TESTS_DIR "/golden/training/tensorboard.json");
  const double wall = golden.at("wall_time");
  EXPECT_EQ(hex(version_record(wall)), golden.at("version"));
  const Json& start = golden.at("session_start");
  EXPECT_EQ(hex(session_start_record(wall, start.at("step"))), start.at("record"));
  for (const Json& wanted : golden.at("scalars")) {
    const std::string tag = wanted.at("tag");
    EXPECT_EQ(hex(scalar_record(wall, tag, wanted.at("step"), wanted.at("value"))),
              wanted.at("record"))
        << tag;
  }
  for (const Json& wanted : golden.at("texts")) {
    const std::string tag = wanted.at("tag"), text = wanted.at("value");
    EXPECT_EQ(hex(text_record(wall, tag, text)), wanted.at("record")) << tag;
  }
}

TEST(TensorBoardFile, TagsAreThoseOfTheTrainersCallback) {
  EXPECT_EQ(tensorboard_tag("loss"), "train/loss");
  EXPECT_EQ(tensorboard_tag("eval_accuracy"), "eval/accuracy");
  EXPECT_EQ(tensorboard_tag("test_loss"), "test/loss");
  EXPECT_EQ(tensorboard_tag("evaluations"), "train/evaluations");
}

// A run of 30 steps, stopped, and resumed at step 20.
void write_two_runs(const fs::path& folder) {
  TensorBoardFile first(folder);
  first.text("args", "{\"seed\": 42}");
  for (int64_t step = 10; step <= 30; step += 10)
    first.scalar("train/loss", step, 1.0 / static_cast<double>(step));
  first.scalar("eval/accuracy", 10, 0.75);
  first.flush();
  TensorBoardFile second(folder, 20);
  for (int64_t step = 30; step <= 40; step += 10)
    second.scalar("train/loss", step, 2.0 / static_cast<double>(step));
  second.flush();
}

TEST(TensorBoardFile, EveryRunHasItsOwnFileAndNothingComesBeforeTheFlush) {
  TempFolder folder;
  TensorBoardFile unflushed(folder / "runs");
  unflushed.scalar("train/loss", 1, 1);
  TensorBoardFile flushed(folder / "runs");
  flushed.scalar("train/loss", 1, 1);
  flushed.flush();
  std::multiset<uintmax_t> sizes;
  for (const auto& entry : fs::directory_iterator(folder / "runs")) {
    EXPECT_TRUE(entry.path().filename().string().starts_with("events.out.tfevents."))
        << entry.path();
    sizes.insert(entry.file_size());
  }
  const size_t version = version_record(0).size(),
               scalar = scalar_record(0, "train/loss", 1, 1).size();
  EXPECT_EQ(sizes, (std::multiset<uintmax_t>{version, version + scalar}));
}

// With a Python that has the tensorboard package: RANKWISE_PEER_PYTHON=<python>.
TEST(TensorBoardFile, TensorBoardReadsBothRunsAsOne) {
  const char* python = std::getenv("RANKWISE_PEER_PYTHON");
  if (!python) GTEST_SKIP() << "RANKWISE_PEER_PYTHON names no Python with tensorboard";
  TempFolder folder;
  write_two_runs(folder / "runs");
  const std::string command = fmt::format(
      "'{}' '{}/jobs/training/read_tensorboard.py' '{}' > '{}' 2> '{}'", python, TESTS_DIR,
      (folder / "runs").string(), (folder / "read.json").string(), (folder / "errors").string());
  ASSERT_EQ(std::system(command.c_str()), 0) << content(folder / "errors");
  const auto f32 = [](double value) { return static_cast<double>(static_cast<float>(value)); };
  EXPECT_EQ(read_json(folder / "read.json"),
            (Json{{"scalars",
                   {{"train/loss", Json::array({{10, f32(1.0 / 10)},
                                                {20, f32(1.0 / 20)},
                                                {30, f32(2.0 / 30)},
                                                {40, f32(2.0 / 40)}})},
                    {"eval/accuracy", Json::array({Json::array({10, 0.75})})}}},
                  {"texts", {{"args/text_summary", "{\"seed\": 42}"}}}}));
}

}  // namespace
}  // namespace rankwise
