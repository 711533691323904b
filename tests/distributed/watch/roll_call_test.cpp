// Roll calls among ranks as threads, on pretended nodes: who is named, and who is not.
#include "distributed/watch/roll_call.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace rankwise {
namespace {

constexpr double kLimit = 0.3;

// Letters between threads; those to and from a cut rank are lost.
class Post {
 public:
  explicit Post(int ranks) : boxes_(static_cast<size_t>(ranks)) {}
  void cut(int rank) { cut_ = rank; }
  void send(int from, int to, const std::string& text) {
    std::lock_guard lock(mutex_);
    if (from != cut_ && to != cut_) boxes_[static_cast<size_t>(to)].push_back({from, text});
  }
  std::optional<Letter> receive(int rank) {
    std::lock_guard lock(mutex_);
    std::deque<Letter>& box = boxes_[static_cast<size_t>(rank)];
    if (box.empty()) return std::nullopt;
    const Letter letter = box.front();
    box.pop_front();
    return letter;
  }

 private:
  std::mutex mutex_;
  std::vector<std::deque<Letter>> boxes_;
  int cut_ = -1;
};

class Box : public Mailbox {
 public:
  Box(Post& post, int rank) : post_(post), rank_(rank) {}
  void send(int to, const std::string& text) override { post_.send(rank_, to, text); }
  std::optional<Letter> receive() override { return post_.receive(rank_); }

 private:
  Post& post_;
  int rank_;
};

struct alignas(64) Line {
  std::byte bytes[64];
};

// Ranks of nodes n0, n1 …, whose numbers `nodes` gives; each runs its body on a thread of its own.
class Ranks {
 public:
  explicit Ranks(std::vector<int> nodes)
      : nodes_(std::move(nodes)),
        post(size()),
        boards_(nodes_.size(), std::vector<Line>(StatusBoard::bytes(size()) / sizeof(Line) + 1)) {}
  int size() const { return static_cast<int>(nodes_.size()); }

  void run(const std::function<void(RollCall&, int rank)>& body) {
    std::vector<std::string> hosts;
    for (const int node : nodes_) hosts.push_back(fmt::format("n{}", node));
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < size(); ++rank) {
      threads.emplace_back([&, rank] {
        const auto memory = std::as_writable_bytes(std::span(boards_[nodes_[rank]]));
        RollCall roll_call(make_world(rank, hosts, hosts), StatusBoard(memory, nullptr, rank),
                           std::make_unique<Box>(post, rank));
        body(roll_call, rank);
        ++ended_;  // which nobody else is told
        while (ended_ < size()) roll_call.stay_present(std::chrono::milliseconds(1));
      });
    }
  }

 private:
  std::vector<int> nodes_;
  std::atomic<int> ended_ = 0;

 public:
  Post post;

 private:
  std::vector<std::vector<Line>> boards_;  // by node
};

// Waits until `over`, or for what the roll call throws.
std::string wait(RollCall& roll_call, int64_t number, const std::function<bool()>& over,
                 double limit = kLimit) {
  roll_call.begin_wait({"sum", number});
  try {
    while (!over()) {
      roll_call.look(limit);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
    return error.what();
  }
  roll_call.end_wait();
  return "";
}

const auto kNever = [] { return false; };

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in: " << text;
}

TEST(RollCall, AHostThatIsCutOffIsNamedByEverySurvivor) {
  Ranks ranks({0, 0, 1, 2});
  ranks.post.cut(2);
  std::atomic<int> told = 0;
  ranks.run([&](RollCall& roll_call, int rank) {
    roll_call.enter_phase("update 7");
    wait(roll_call, 1, [] { return true; });
    roll_call.enter_phase("update 8");
    const double start = StatusBoard::now();
    if (rank == 2) {
      while (told < 3) std::this_thread::yield();
      return;
    }
    const std::string text = wait(roll_call, 2, kNever);
    EXPECT_LT(StatusBoard::now() - start, kLimit + 3);
    expect_part(text, fmt::format("rank {} of 4 on host", rank));
    expect_part(text, "in sum number 2 (phase: update 8)");
    expect_part(text, "missing: rank 2 on host n1 does not answer (last phase: update 7)");
    EXPECT_EQ(roll_call.verdict()->first_present, 0);
    EXPECT_TRUE(roll_call.verdict()->a_node_is_silent);
    ++told;
  });
}

TEST(RollCall, ARankThatIsStuckIsNamedFromItsNodesMemory) {
  Ranks ranks({0, 1, 1});
  std::atomic<int> told = 0;
  ranks.run([&](RollCall& roll_call, int rank) {
    roll_call.enter_phase(fmt::format("phase of {}", rank));
    if (rank == 2) {
      while (told < 2) std::this_thread::yield();
      return;
    }
    const std::string text = wait(roll_call, 1, kNever);
    expect_part(text, "missing: rank 2 on host n1 has done nothing for 0 s (phase: phase of 2)");
    EXPECT_EQ(roll_call.verdict()->first_present, 0);
    EXPECT_FALSE(roll_call.verdict()->a_node_is_silent);
    ++told;
  });
}

TEST(RollCall, ALongRowIsNoHang) {
  for (const std::vector<int>& nodes : {std::vector<int>{0, 0}, std::vector<int>{0, 1}}) {
    Ranks ranks(nodes);
    std::atomic<bool> done = false;
    ranks.run([&](RollCall& roll_call, int rank) {
      if (rank == 0) {
        EXPECT_EQ(wait(roll_call, 1, [&] { return done.load(); }), "");
        return;
      }
      const double start = StatusBoard::now();
      while (StatusBoard::now() - start < 10 * kLimit) {
        roll_call.progressed();
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
      done = true;
    });
  }
}

TEST(RollCall, OneThatStopsWorkingIsNamedAfterTheLimit) {
  Ranks ranks({0, 1});
  std::atomic<bool> told = false;
  std::atomic<double> stopped = 0;
  ranks.run([&](RollCall& roll_call, int rank) {
    if (rank == 1) {
      const double start = StatusBoard::now();
      for (; StatusBoard::now() - start < 3 * kLimit; std::this_thread::yield())
        roll_call.progressed();
      stopped = StatusBoard::now();
      while (!told) std::this_thread::yield();
      return;
    }
    expect_part(wait(roll_call, 1, kNever), "missing: rank 1 on host n1 does not answer");
    EXPECT_GT(stopped, 0);
    told = true;
  });
}

TEST(RollCall, RanksThatWaitInDifferentCallsAreTold) {
  Ranks ranks({0, 1});
  ranks.run([&](RollCall& roll_call, int rank) {
    const std::string text = wait(roll_call, 5 + rank, kNever);
    expect_part(text, fmt::format("missing: rank {} on host n{} waits in sum number {}", 1 - rank,
                                  1 - rank, 6 - rank));
  });
}

TEST(RollCall, OneWhoseWaitHasEndedStillAnswersOthers) {
  Ranks ranks({0, 1});
  std::atomic<bool> first_waits = false;
  ranks.run([&](RollCall& roll_call, int rank) {
    while (rank == 1 && !first_waits) std::this_thread::yield();
    const auto never = [&] {
      first_waits = true;
      return false;
    };
    expect_part(wait(roll_call, 3, never, rank == 0 ? 2 * kLimit : kLimit), "missing: nobody");
  });
}

TEST(RollCall, AllArePresentWhereTheNetworkIsStuck) {
  Ranks ranks({0, 0, 1});
  ranks.run([&](RollCall& roll_call, int) {
    expect_part(wait(roll_call, 3, kNever), "missing: nobody: all ranks wait in it");
  });
}

}  // namespace
}  // namespace rankwise
