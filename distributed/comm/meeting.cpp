// One mutex and one condition for all that threads have in common.
#include "distributed/comm/meeting.h"

#include <chrono>
#include <cstring>

namespace rankwise {
namespace {

Abandoned abandoned(const Communicator& communicator, const Offer& offer) {
  return Abandoned(ErrorKind::kCommunication,
                   fmt::format("rank {} was left alone in {}: another rank has failed",
                               communicator.world().rank, offer.text()));
}

}  // namespace

bool Offer::fits(const Offer& other) const {
  return std::strcmp(call.collective, other.call.collective) == 0 && type == other.type &&
         elements == other.elements && from == other.from;
}

std::string Offer::text() const {
  const std::string name = fmt::format("{} number {}", call.collective, call.number);
  return type ? fmt::format("{} of {} x {}", name, elements, at::toString(*type)) : name;
}

class Meeting::ThreadMailbox final : public Mailbox {
 public:
  ThreadMailbox(Meeting& meeting, int rank) : meeting_(meeting), rank_(rank) {}

  void send(int to, const std::string& text) override {
    std::lock_guard lock(meeting_.mutex_);
    meeting_.letters_[static_cast<size_t>(to)].push_back({rank_, text});
  }
  std::optional<Letter> receive() override {
    std::lock_guard lock(meeting_.mutex_);
    std::deque<Letter>& mine = meeting_.letters_[static_cast<size_t>(rank_)];
    if (mine.empty()) return std::nullopt;
    Letter letter = std::move(mine.front());
    mine.pop_front();
    return letter;
  }

 private:
  Meeting& meeting_;
  int rank_;
};

Meeting::Meeting(size_t ranks)
    : offers_(ranks),
      letters_(ranks),
      board_(StatusBoard::bytes(static_cast<int>(ranks)) / sizeof(Line) + 1) {}

std::unique_ptr<Mailbox> Meeting::mailbox(int rank) {
  return std::make_unique<ThreadMailbox>(*this, rank);
}

Meeting& Meeting::part(size_t ranks) {
  std::lock_guard lock(mutex_);
  return *parts_.emplace_back(std::make_unique<Meeting>(ranks));
}

void Meeting::start(const Communicator& communicator, const Offer& offer) {
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

void Meeting::finish() {
  std::unique_lock lock(mutex_);
  const uint64_t round = round_;
  if (!arrive()) changed_.wait(lock, [&] { return round_ != round; });
}

void Meeting::close(std::optional<Aborted> aborted) {
  std::lock_guard lock(mutex_);
  closed_ = true;
  if (aborted && !aborted_) aborted_ = aborted;
  for (const std::unique_ptr<Meeting>& part : parts_) part->close();
  changed_.notify_all();
}

void Meeting::look(RollCall& roll_call, double limit) {
  try {
    roll_call.look(limit);
  } catch (const Error&) {
    close();  // nobody may count on this rank any more
    throw;
  }
}

bool Meeting::arrive() {
  if (++arrived_ < offers_.size()) return false;
  arrived_ = 0;
  ++round_;
  changed_.notify_all();
  return true;
}

}  // namespace rankwise
