// A letter's first line is "ask <round>" or "answer <round>"; an answer goes on with a line a rank:
// rank, collective it waits in (0: none), seconds, seconds since it was seen, name of the
// collective
// ("-": none), phase.
#include "distributed/watch/roll_call.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <sstream>

namespace rankwise {
namespace {

constexpr double kLookEverySeconds = 0.01, kPatienceSeconds = 2;

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::string line_of(int rank, const RankStatus& status) {
  return fmt::format("{} {} {:.3f} {:.3f} {} {}\n", rank, status.waits_in, status.seconds,
                     status.seen_seconds, status.collective.empty() ? "-" : status.collective,
                     one_line(status.phase));
}

std::string ranks_on(const World& world, int node) {
  std::vector<int> ranks;
  for (int rank = 0; rank < world.ranks; ++rank)
    if (world.node_of[rank] == node) ranks.push_back(rank);
  return ranks.size() == 1
             ? fmt::format("rank {} on host {}", ranks[0], world.hosts[ranks[0]])
             : fmt::format("ranks {} on host {}", fmt::join(ranks, ", "), world.hosts[ranks[0]]);
}

}  // namespace

RollCall::RollCall(World world, StatusBoard board, std::unique_ptr<Mailbox> mailbox,
                   std::shared_ptr<RollCall> whole)
    : world_(std::move(world)),
      board_(std::move(board)),
      mailbox_(std::move(mailbox)),
      whole_(std::move(whole)) {
  for (int node = 0; node < world_.nodes; ++node) {
    const auto first = std::find(world_.node_of.begin(), world_.node_of.end(), node);
    leaders_.push_back(static_cast<int>(first - world_.node_of.begin()));
  }
}

RollCall::~RollCall() { board_.enter_phase("ended"); }

void RollCall::enter_phase(const std::string& phase) {
  phase_ = phase;
  board_.enter_phase(phase);
  if (whole_) whole_->enter_phase(phase);
}

void RollCall::progressed() {
  board_.progressed();
  if (whole_) whole_->progressed();
  if (world_.nodes == 1 || std::this_thread::get_id() != owner_) return;
  const double now = StatusBoard::now();
  if (now - answered_ < kLookEverySeconds) return;
  answered_ = now;
  answer_letters();
}

void RollCall::begin_wait(const Call& call) {
  call_ = call;
  wait_began_ = StatusBoard::now();
  quiet_until_ = 0;
  board_.wait_in(call);
}

void RollCall::end_wait() {
  asked_.reset();
  last_phase_ = phase_;
  board_.go_on();
}

void RollCall::look(double limit_seconds) {
  const double now = StatusBoard::now();
  if (now - looked_ < kLookEverySeconds) return;
  looked_ = now;
  board_.look();
  if (whole_) whole_->progressed();  // this wait has a limit of its own
  answer_letters();
  if (!asked_ && due(limit_seconds)) ask();
  if (asked_ && (std::ssize(answering_nodes_) == world_.nodes || now - *asked_ > kPatienceSeconds))
    conclude(limit_seconds);
}

void RollCall::stay_present(std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  do {
    board_.look();
    answer_letters();
    std::this_thread::sleep_for(std::chrono::duration<double>(kLookEverySeconds));
  } while (std::chrono::steady_clock::now() < end);
}

// Where the roll is called elsewhere, this rank joins in once: the answers of its own roll call are
// what it judges by.
bool RollCall::due(double limit_seconds) const {
  const double now = StatusBoard::now();
  const bool called =
      was_asked_ || board_.roll_call_begun_since(std::max(last_asked_, wait_began_));
  if (called && now - last_asked_ > std::max(limit_seconds, kPatienceSeconds)) return true;
  if (now - wait_began_ <= limit_seconds || now < quiet_until_) return false;
  for (const auto& [rank, status] : of_this_node())
    if (status.waits_in == 0 && status.seconds <= limit_seconds) return false;
  return true;
}

void RollCall::ask() {
  asked_ = last_asked_ = StatusBoard::now();
  was_asked_ = false;
  board_.begin_roll_call();
  ++round_;
  answering_nodes_ = {world_.node};
  statuses_.clear();
  for (int node = 0; node < world_.nodes; ++node)
    if (node != world_.node) mailbox_->send(leaders_[node], fmt::format("ask {}", round_));
}

void RollCall::answer_letters() {
  while (const std::optional<Letter> letter = mailbox_->receive()) take(*letter);
}

void RollCall::take(const Letter& letter) {
  std::istringstream lines(letter.text);
  std::string kind;
  int64_t round = 0;
  lines >> kind >> round;
  if (kind == "ask") {
    was_asked_ = true;
    std::string text = fmt::format("answer {}\n", round);
    for (const auto& [rank, status] : of_this_node()) text += line_of(rank, status);
    mailbox_->send(letter.from, text);
    return;
  }
  if (!asked_ || round != round_) return;  // too late
  answering_nodes_.insert(world_.node_of[letter.from]);
  int rank = 0;
  for (RankStatus status; lines >> rank >> status.waits_in >> status.seconds >>
                          status.seen_seconds >> status.collective;) {
    std::getline(lines >> std::ws, status.phase);
    statuses_[rank] = status;
  }
}

RollCall::Statuses RollCall::of_this_node() const {
  Statuses statuses;
  for (int rank = 0; rank < world_.ranks; ++rank)
    if (world_.node_of[rank] == world_.node) statuses[rank] = board_.of(rank);
  return statuses;
}

// A rank that works tells of progress; one that waits looks around.
bool RollCall::is_stuck(int rank, const RankStatus& status, double limit_seconds) const {
  if (rank == world_.rank) return false;
  return status.waits_in > 0 ? status.seen_seconds > kPatienceSeconds
                             : status.seconds > limit_seconds;
}

bool RollCall::all_wait(double limit_seconds) const {
  return std::all_of(statuses_.begin(), statuses_.end(), [&](const auto& entry) {
    return entry.second.waits_in > 0 && entry.second.seconds > limit_seconds;
  });
}

std::vector<std::string> RollCall::missing(double limit_seconds) const {
  std::vector<std::string> found;
  for (int node = 0; node < world_.nodes; ++node) {
    if (answering_nodes_.count(node)) continue;
    found.push_back(
        fmt::format("{} does not answer (last phase: {})", ranks_on(world_, node), last_phase_));
  }
  for (const auto& [rank, status] : statuses_)
    if (is_stuck(rank, status, limit_seconds))
      found.push_back(fmt::format(
          "rank {} on host {} has done nothing for {:.0f} s (phase: {})", rank, world_.hosts[rank],
          status.waits_in > 0 ? status.seen_seconds : status.seconds, status.phase));
  if (!found.empty() || !all_wait(limit_seconds)) return found;
  for (const auto& [rank, status] : statuses_)
    if (status.waits_in != call_.number)
      found.push_back(fmt::format("rank {} on host {} waits in {} number {} (phase: {})", rank,
                                  world_.hosts[rank], status.collective, status.waits_in,
                                  status.phase));
  if (found.empty()) found.emplace_back("nobody: all ranks wait in it, and it does not end");
  return found;
}

int RollCall::first_present(double limit_seconds) const {
  for (const auto& [rank, status] : statuses_)
    if (!is_stuck(rank, status, limit_seconds)) return rank;
  return world_.rank;
}

// Either throws, or lets the wait go on until somebody's progress would be older than the limit.
void RollCall::conclude(double limit_seconds) {
  statuses_.merge(of_this_node());
  const std::vector<std::string> found = missing(limit_seconds);
  if (!found.empty()) {
    verdict_ = {first_present(limit_seconds), std::ssize(answering_nodes_) < world_.nodes};
    throw Error(ErrorKind::kCommunication,
                fmt::format("rank {} of {} on host {} waited {:.3g} s in {} number {} (phase: {}); "
                            "missing: {}",
                            world_.rank, world_.ranks, world_.hosts[world_.rank],
                            StatusBoard::now() - wait_began_, call_.collective, call_.number,
                            phase_, fmt::join(found, "; ")),
                "--hang_timeout sets how long ranks wait without progress of any");
  }
  asked_.reset();
  double oldest = 0;
  for (const auto& [rank, status] : statuses_)
    if (status.waits_in == 0) oldest = std::max(oldest, status.seconds);
  quiet_until_ = StatusBoard::now() + std::max(kPatienceSeconds, limit_seconds - oldest);
}

}  // namespace rankwise
