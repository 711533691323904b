// Ranks as threads of one process: for tests of anything collective, and for several small
// trainings in one process. Results are deterministic: sums are taken in rank order.
#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <thread>

#include "distributed/comm/communicator.h"
#include "distributed/comm/meeting.h"
#include "distributed/comm/tensors.h"
#include "distributed/comm/world.h"

namespace rankwise {
namespace {

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
    be_watched(
        std::make_shared<RollCall>(world_, StatusBoard(meeting.board(), nullptr, world_.rank),
                                   meeting.mailbox(world_.rank), std::move(whole_roll_call)));
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
