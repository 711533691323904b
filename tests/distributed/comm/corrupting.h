// A communicator that gives wrong numbers to one rank, for tests of what finds that.
#pragma once

#include <string>

#include "distributed/comm/communicator.h"

namespace rankwise {

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
  std::unique_ptr<Communicator> split(int group) override { return honest_.split(group); }
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

}  // namespace rankwise
