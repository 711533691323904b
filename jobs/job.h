// What a verb gets: its communicator, a stop request, a deadline, where to log and where results
// go. A job reads no environment and starts no ranks.
#pragma once

#include <c10/core/Device.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "distributed/comm/communicator.h"
#include "distributed/core/field.h"
#include "distributed/core/log.h"

namespace rankwise {

// A bar on a terminal, plain lines elsewhere; the launcher has both.
class Progress {
 public:
  virtual ~Progress() = default;
  virtual void show(int64_t done, int64_t total,
                    const std::string& detail) = 0;  // cheap to call often
  virtual void finish() = 0;
};

class NoProgress : public Progress {
 public:
  void show(int64_t, int64_t, const std::string&) override {}
  void finish() override {}
};

struct JobContext {
  Communicator& communicator;
  const std::atomic<bool>& stop;  // set by a signal
  std::optional<std::chrono::steady_clock::time_point> deadline;
  Log& log;
  Progress& progress;
  std::ostream& out;             // results; other ranks' goes nowhere
  bool out_is_terminal = false;  // somebody reads them as they come
  std::string version;
  std::filesystem::path hub_cache;  // $HF_HOME/hub
  std::chrono::steady_clock::time_point started;
  at::Device device = at::kCPU;     // of this rank
  std::string device_kind = "cpu";  // "NVIDIA H200"
  int64_t default_threads = 1;  // a rank: allowed cores / ranks on the node, the same on all ranks
  std::vector<std::string> processors;  // by rank: what each computes on, as far as bits go

  // Bits differ between ranks, but where they sum integers.
  bool on_mixed_processors() const {
    return std::adjacent_find(processors.begin(), processors.end(), std::not_equal_to<>()) !=
           processors.end();
  }
  // For a job inside this one, on a part of the ranks (Communicator::split).
  JobContext of_group(Communicator& group, Log& own_log, Progress& own_progress) const {
    JobContext own{group, stop, deadline, own_log, own_progress, out};
    own.version = version;
    own.hub_cache = hub_cache;
    own.started = started;
    own.device = device;
    own.device_kind = device_kind;
    own.default_threads = default_threads;
    own.processors = processors;
    return own;
  }
  bool stop_requested() const {
    return stop.load() || (deadline && std::chrono::steady_clock::now() >= *deadline);
  }
};

enum class Outcome { kDone, kStopped };

// A verb: its options and what it does. One file a verb (jobs/finetune.cpp …).
class Job {
 public:
  virtual ~Job() = default;
  virtual void declare(Fields& fields) = 0;
  virtual Outcome run(JobContext& context, Fields& fields) = 0;  // collective
  // Whether run() looks at context.stop and saves. Other verbs end by the signal itself (128+n).
  virtual bool saves_on_stop() const { return false; }
};

struct Verb {
  const char* name;
  const char* summary;
  std::unique_ptr<Job> (*make)();
};
const std::vector<Verb>& verbs();  // jobs/verbs.cpp

}  // namespace rankwise
