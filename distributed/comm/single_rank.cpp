// One rank without a launcher: collectives have nobody to talk to, but refuse what the other
// backends refuse.
#include <cstdio>
#include <cstdlib>

#include "distributed/comm/communicator.h"
#include "distributed/comm/tensors.h"
#include "distributed/comm/world.h"

namespace rankwise {
namespace {

class SingleRank final : public Communicator {
 public:
  SingleRank() : world_(make_world(0, {this_host()}, {"0"})) {}

  const World& world() const override { return world_; }
  const char* backend() const override { return "single"; }

  void sum(at::Tensor& values) override { check_summable(values); }

  void broadcast(at::Tensor& values, int from) override {
    check_contiguous(values, "broadcast");
    check_source(from, 1);
  }

  at::Tensor all_gather(const at::Tensor& mine) override {
    check_contiguous(mine, "all_gather");
    at::Tensor all = empty_gathered(mine, 1);
    all[0].copy_(mine);
    return all;
  }

  void barrier() override {}
  std::unique_ptr<Communicator> split(int) override {
    auto group = std::make_unique<SingleRank>();
    group->limit_waits(hang_timeout_seconds());
    return group;
  }

  [[noreturn]] void abort(int exit_code) override {
    std::fflush(nullptr);
    std::_Exit(exit_code);
  }

 private:
  World world_;
};

}  // namespace

std::unique_ptr<Communicator> single_rank() { return std::make_unique<SingleRank>(); }

}  // namespace rankwise
