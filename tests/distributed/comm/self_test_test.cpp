// The self-test finds a communicator that gives wrong numbers on one rank, and names it.
#include "distributed/comm/self_test.h"

#include <gtest/gtest.h>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

// Passes everything on, and changes one element of what one collective gives to one rank.
class Corrupting final : public Communicator {
 public:
  Corrupting(Communicator& honest, std::string collective, at::ScalarType type, int rank)
      : honest_(honest), collective_(std::move(collective)), type_(type), rank_(rank) {}
  const World& world() const override { return honest_.world(); }
  const char* backend() const override { return honest_.backend(); }
  void sum(at::Tensor& values) override {
    honest_.sum(values);
    corrupt(values, "sum");
  }
  void broadcast(at::Tensor& values, int from) override {
    honest_.broadcast(values, from);
    corrupt(values, "broadcast");
  }
  at::Tensor all_gather(const at::Tensor& mine) override {
    at::Tensor all = honest_.all_gather(mine);
    corrupt(all, "all_gather");
    return all;
  }
  void barrier() override { honest_.barrier(); }
  [[noreturn]] void abort(int exit_code) override {
    honest_.abort(exit_code);
    std::abort();
  }

 private:
  void corrupt(at::Tensor& values, const std::string& collective) {
    if (collective != collective_ || world().rank != rank_ || values.scalar_type() != type_) return;
    if (values.numel() < 1000) return;  // agreement itself stays whole
    values.view(-1)[-1].add_(1);
  }
  Communicator& honest_;
  std::string collective_;
  at::ScalarType type_;
  int rank_;
};

TEST(SelfTest, NamesTheCollectiveTheTypeAndTheRank) {
  for (const std::string collective : {"sum", "broadcast", "all_gather"}) {
    for (at::ScalarType type : {at::kLong, at::kInt, at::kFloat, at::kDouble}) {
      int told = 0;
      run_as_threads(3, [&](Communicator& honest) {
        Corrupting communicator(honest, collective, type, 1);
        std::string message;
        try {
          self_test(communicator);
        } catch (const Error& error) {
          EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
          message = error.what();
        }
        const int elements = collective == "all_gather" ? 3 * 1031 : 1031;
        EXPECT_EQ(message,
                  fmt::format("self-test: {} of {}: 1 of {} elements are wrong (rank 1 on host {})",
                              collective, at::toString(type), elements, honest.world().hosts[1]));
        if (honest.world().rank == 0) ++told;
      });
      EXPECT_EQ(told, 1);
    }
  }
}

}  // namespace
}  // namespace rankwise
