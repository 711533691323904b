// Ranks as threads of one process: for tests of anything collective, and for several small
// trainings in one process. Results are deterministic: sums are taken in rank order.
#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "distributed/comm/communicator.h"
#include "distributed/comm/tensors.h"
#include "distributed/comm/world.h"
#include "distributed/watch/roll_call.h"

namespace rankwise {
namespace {

struct Aborted {  // thrown by abort()
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

  bool fits(const Offer& other) const {
    return std::strcmp(call.collective, other.call.collective) == 0 && type == other.type &&
           elements == other.elements && from == other.from;
  }
  std::string text() const {
    const std::string name = fmt::format("{} number {}", call.collective, call.number);
    return type ? fmt::format("{} of {} x {}", name, elements, at::toString(*type)) : name;
  }
};

struct alignas(64) Line {
  std::byte bytes[64];
};

// Where the threads of one world meet.
class Meeting {
 public:
  explicit Meeting(size_t ranks)
      : offers_(ranks),
        letters_(ranks),
        board_(StatusBoard::bytes(static_cast<int>(ranks)) / sizeof(Line) + 1) {}

  // A meeting of some of its ranks, which ends with it.
  Meeting& part(size_t ranks) {
    std::lock_guard lock(mutex_);
    return *parts_.emplace_back(std::make_unique<Meeting>(ranks));
  }

  // Returns when every rank has made its offer: offers() then holds still until all have called
  // finish(). Throws when the wait is too long, or when a rank has failed.
  void start(const Communicator& communicator, const Offer& offer) {
    constexpr auto kLookEvery = std::chrono::milliseconds(10);
    std::unique_lock lock(mutex_);
    if (closed_) throw abandoned(communicator, offer);
    offers_[communicator.world().rank] = offer;
    const uint64_t round = round_;
    if (arrive()) return;
    RollCall& roll_call = *communicator.roll_call();
    roll_call.begin_wait(offer.call);
    while (!changed_.wait_for(lock, kLookEvery, [&] { return round_ != round || closed_; })) {
      lock.unlock();
      look(roll_call, communicator.hang_timeout_seconds());
      lock.lock();
    }
    if (round_ == round) throw abandoned(communicator, offer);
    roll_call.end_wait();
  }

  // Between start and finish nothing can fail, so this wait has no limit; buffers stay valid until
  // it returns.
  void finish() {
    std::unique_lock lock(mutex_);
    const uint64_t round = round_;
    if (!arrive()) changed_.wait(lock, [&] { return round_ != round; });
  }

  // A rank has failed or aborted the job: all present and later waits end with Abandoned.
  void close(std::optional<Aborted> aborted = {}) {
    std::lock_guard lock(mutex_);
    closed_ = true;
    if (aborted && !aborted_) aborted_ = aborted;
    for (const std::unique_ptr<Meeting>& part : parts_) part->close();
    changed_.notify_all();
  }

  void send(int to, const Letter& letter) {
    std::lock_guard lock(mutex_);
    letters_[static_cast<size_t>(to)].push_back(letter);
  }
  std::optional<Letter> receive(int rank) {
    std::lock_guard lock(mutex_);
    std::deque<Letter>& mine = letters_[static_cast<size_t>(rank)];
    if (mine.empty()) return std::nullopt;
    Letter letter = std::move(mine.front());
    mine.pop_front();
    return letter;
  }
  std::span<std::byte> board() { return std::as_writable_bytes(std::span(board_)); }

  const std::vector<Offer>& offers() const { return offers_; }
  const std::optional<Aborted>& aborted() const { return aborted_; }  // when no thread is left

 private:
  static Abandoned abandoned(const Communicator& communicator, const Offer& offer) {
    return Abandoned(ErrorKind::kCommunication,
                     fmt::format("rank {} was left alone in {}: another rank has failed",
                                 communicator.world().rank, offer.text()));
  }

  void look(RollCall& roll_call, double limit) {
    try {
      roll_call.look(limit);
    } catch (const Error&) {
      close();  // nobody may count on this rank any more
      throw;
    }
  }

  bool arrive() {  // true for the last one
    if (++arrived_ < offers_.size()) return false;
    arrived_ = 0;
    ++round_;
    changed_.notify_all();
    return true;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Offer> offers_;  // by rank
  size_t arrived_ = 0;
  uint64_t round_ = 0;
  bool closed_ = false;
  std::optional<Aborted> aborted_;
  std::vector<std::unique_ptr<Meeting>> parts_;
  std::vector<std::deque<Letter>> letters_;  // by rank
  std::vector<Line> board_;                  // zeros
};

class MeetingMailbox final : public Mailbox {
 public:
  MeetingMailbox(Meeting& meeting, int rank) : meeting_(meeting), rank_(rank) {}
  void send(int to, const std::string& text) override { meeting_.send(to, {rank_, text}); }
  std::optional<Letter> receive() override { return meeting_.receive(rank_); }

 private:
  Meeting& meeting_;
  int rank_;
};

template <class T>
void sum_slice(const std::vector<Offer>& offers, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    T total = 0;
    for (const Offer& offer : offers) total += static_cast<const T*>(offer.data)[i];
    for (const Offer& offer : offers) static_cast<T*>(offer.data)[i] = total;
  }
}

class ThreadCommunicator final : public Communicator {
 public:
  // whole: the meeting of all ranks of the job; meeting: that of this communicator's.
  ThreadCommunicator(World world, Meeting& whole, Meeting& meeting,
                     std::shared_ptr<RollCall> whole_roll_call = nullptr)
      : world_(std::move(world)), whole_(whole), meeting_(meeting) {
    be_watched(std::make_shared<RollCall>(
        world_, StatusBoard(meeting.board(), nullptr, world_.rank),
        std::make_unique<MeetingMailbox>(meeting, world_.rank), std::move(whole_roll_call)));
    enter_phase(phase());
  }

  const World& world() const override { return world_; }
  const char* backend() const override { return "threads"; }

  // Each rank sums its own slice of the elements, for all.
  void sum(at::Tensor& values) override {
    check_summable(values);
    const int64_t elements = values.numel();
    const int64_t begin = elements * world_.rank / world_.ranks;
    const int64_t end = elements * (world_.rank + 1) / world_.ranks;
    meet("sum", values, 0, [&](const std::vector<Offer>& offers) {
      switch (values.scalar_type()) {
        case at::kLong:
          return sum_slice<int64_t>(offers, begin, end);
        case at::kInt:
          return sum_slice<int32_t>(offers, begin, end);
        case at::kFloat:
          return sum_slice<float>(offers, begin, end);
        default:
          return sum_slice<double>(offers, begin, end);
      }
    });
  }

  void broadcast(at::Tensor& values, int from) override {
    check_source(from, world_.ranks);
    meet("broadcast", values, from, [&](const std::vector<Offer>& offers) {
      if (from == world_.rank || values.numel() == 0) return;
      std::memcpy(values.data_ptr(), offers[from].data, values.nbytes());
    });
  }

  at::Tensor all_gather(const at::Tensor& mine) override {
    check_contiguous(mine, "all_gather");
    at::Tensor all = empty_gathered(mine, world_.ranks);
    meet("all_gather", mine, 0, [&](const std::vector<Offer>& offers) {
      if (mine.numel() == 0) return;
      auto* out = static_cast<std::byte*>(all.data_ptr());
      for (const Offer& offer : offers) {
        std::memcpy(out, offer.data, mine.nbytes());
        out += mine.nbytes();
      }
    });
    return all;
  }

  void barrier() override {
    meet({.call = {"barrier", ++calls_}}, [](const std::vector<Offer>&) {});
  }

  // The first rank of a group makes its meeting and tells the others where it is.
  std::unique_ptr<Communicator> split(int group) override {
    const std::vector<int> groups = gather_groups(*this, group);
    const auto first = std::find(groups.begin(), groups.end(), group) - groups.begin();
    World world = group_world(world_, groups);
    int64_t mine = 0;
    if (first == world_.rank)
      mine = reinterpret_cast<int64_t>(&whole_.part(static_cast<size_t>(world.ranks)));
    const at::Tensor meetings = all_gather(at::full({1}, mine, at::kLong));
    auto part = std::make_unique<ThreadCommunicator>(
        std::move(world), whole_, *reinterpret_cast<Meeting*>(meetings[first].item<int64_t>()),
        roll_call());
    part->limit_waits(hang_timeout_seconds());
    return part;
  }

  [[noreturn]] void abort(int exit_code) override {
    const Aborted aborted{world_.rank, exit_code};
    whole_.close(aborted);
    throw aborted;
  }

 private:
  using Work = std::function<void(const std::vector<Offer>&)>;

  void meet(const char* collective, const at::Tensor& values, int from, const Work& work) {
    check_contiguous(values, collective);
    check_on_cpu(values, collective);
    meet({.call = {collective, ++calls_},
          .type = values.scalar_type(),
          .elements = values.numel(),
          .from = from,
          .data = values.data_ptr()},
         work);
  }

  void meet(const Offer& offer, const Work& work) {
    if (failure_) std::rethrow_exception(failure_);  // the reason, not its consequence
    try {
      meeting_.start(*this, offer);
    } catch (...) {
      failure_ = std::current_exception();
      throw;
    }
    const std::string mismatch = mismatch_in(meeting_.offers());
    if (mismatch.empty()) work(meeting_.offers());
    meeting_.finish();
    if (!mismatch.empty()) throw internal_error("{}", mismatch);  // on all ranks
  }

  static std::string mismatch_in(const std::vector<Offer>& offers) {
    for (size_t rank = 1; rank < offers.size(); ++rank) {
      if (offers[rank].fits(offers[0])) continue;
      return fmt::format("ranks make different calls: rank 0 {}, rank {} {}", offers[0].text(),
                         rank, offers[rank].text());
    }
    return "";
  }

  World world_;
  Meeting &whole_, &meeting_;
  int64_t calls_ = 0;
  std::exception_ptr failure_;  // of an earlier call
};

std::vector<std::string> pretended_hosts(int ranks, int nodes) {
  std::vector<std::string> hosts;
  for (int rank = 0; rank < ranks; ++rank) {
    hosts.push_back(nodes == 1 ? this_host() : fmt::format("node{}", rank * nodes / ranks));
  }
  return hosts;
}

// The first rank's failure that is not a consequence of another one's.
void rethrow_first(const std::vector<std::exception_ptr>& failures) {
  std::exception_ptr consequence;
  for (const std::exception_ptr& failure : failures) {
    if (!failure) continue;
    try {
      std::rethrow_exception(failure);
    } catch (const Abandoned&) {
      consequence = failure;
    }
  }
  if (consequence) std::rethrow_exception(consequence);
}

}  // namespace

void run_as_threads(int ranks, const std::function<void(Communicator&)>& body, int nodes) {
  if (ranks < 1 || nodes < 1 || nodes > ranks) {
    throw internal_error("run_as_threads: {} ranks on {} nodes", ranks, nodes);
  }
  const std::vector<std::string> hosts = pretended_hosts(ranks, nodes);
  Meeting meeting(static_cast<size_t>(ranks));
  std::vector<std::exception_ptr> failures(ranks);
  {
    std::vector<std::jthread> threads;  // joined at the end of this block
    for (int rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] {
        ThreadCommunicator communicator(make_world(rank, hosts, hosts), meeting, meeting);
        try {
          body(communicator);
        } catch (...) {
          failures[rank] = std::current_exception();
          meeting.close();
        }
      });
    }
  }
  if (const auto& aborted = meeting.aborted()) {
    throw Error(static_cast<ErrorKind>(aborted->exit_code),
                fmt::format("rank {} aborted the job", aborted->rank));
  }
  rethrow_first(failures);
}

}  // namespace rankwise
