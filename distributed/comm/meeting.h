// Where ranks that are threads of one process meet: what they offer to a collective, who waits for
// whom, and letters between them.
#pragma once

#include <ATen/core/Tensor.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "distributed/comm/communicator.h"
#include "distributed/core/error.h"
#include "distributed/watch/roll_call.h"

namespace rankwise {

struct Aborted {  // thrown by Communicator::abort of a thread
  int rank, exit_code;
};

class Abandoned : public Error {  // a wait that ended because another rank had failed
 public:
  using Error::Error;
};

// What a rank brings to a collective; must be the same on all ranks, but for the data.
struct Offer {
  Call call;
  std::optional<at::ScalarType> type = {};  // none: a barrier
  int64_t elements = 0;
  int from = 0;
  void* data = nullptr;

  bool fits(const Offer& other) const;
  std::string text() const;
};

class Meeting {
 public:
  explicit Meeting(size_t ranks);

  // A meeting of some of its ranks, which ends with it.
  Meeting& part(size_t ranks);

  // Returns when every rank has made its offer: offers() then holds still until all have called
  // finish(). Throws when the wait is too long, or when a rank has failed.
  void start(const Communicator& communicator, const Offer& offer);
  // Between start and finish nothing can fail, so this wait has no limit; buffers stay valid until
  // it returns.
  void finish();
  // A rank has failed or aborted the job: all present and later waits end with Abandoned.
  void close(std::optional<Aborted> aborted = {});

  const std::vector<Offer>& offers() const { return offers_; }        // by rank
  const std::optional<Aborted>& aborted() const { return aborted_; }  // when no thread is left

  std::unique_ptr<Mailbox> mailbox(int rank);
  std::span<std::byte> board() { return std::as_writable_bytes(std::span(board_)); }

 private:
  class ThreadMailbox;
  struct alignas(64) Line {
    std::byte bytes[64];
  };

  void look(RollCall& roll_call, double limit);
  bool arrive();  // true for the last one

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Offer> offers_;
  size_t arrived_ = 0;
  uint64_t round_ = 0;
  bool closed_ = false;
  std::optional<Aborted> aborted_;
  std::vector<std::unique_ptr<Meeting>> parts_;
  std::vector<std::deque<Letter>> letters_;  // by rank
  std::vector<Line> board_;                  // zeros
};

}  // namespace rankwise
