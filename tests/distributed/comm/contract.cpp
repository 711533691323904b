// The cases of the communicator's contract.
#include "contract.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <numeric>

#include "distributed/comm/agree.h"
#include "distributed/comm/self_test.h"

namespace rankwise {
namespace {

const std::vector<at::ScalarType> kSummed = {at::kLong, at::kInt, at::kFloat, at::kDouble};
const std::vector<at::ScalarType> kMoved = {at::kLong,  at::kInt,   at::kShort, at::kChar,
                                            at::kByte,  at::kBool,  at::kHalf,  at::kBFloat16,
                                            at::kFloat, at::kDouble};
const std::vector<std::vector<int64_t>> kShapes = {{}, {0}, {1}, {7}, {3, 0, 2}, {5, 13}, {70001}};

// Whole numbers that differ by rank and element; 0 and 1 for bool, below 97 elsewhere, so exact in
// every type.
at::Tensor values_of(int rank, const std::vector<int64_t>& shape, at::ScalarType type) {
  const int64_t elements =
      std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  const at::Tensor numbers = at::arange(elements, at::kLong).mul(rank + 3).add(rank).remainder(97);
  return (type == at::kBool ? numbers.remainder(2) : numbers).to(type).view(shape);
}

void expect_equal(const at::Tensor& got, const at::Tensor& expected) {
  EXPECT_EQ(got.scalar_type(), expected.scalar_type());
  ASSERT_EQ(got.sizes(), expected.sizes());
  EXPECT_TRUE(at::equal(got.cpu(), expected))
      << at::toString(expected.scalar_type()) << " " << expected.sizes();
}

// What `body` throws here, which has to be an Error.
template <class Body>
Error error_of(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no Error was thrown";
  return Error(ErrorKind::kInternal, "none");
}

// Groups of different sizes make different numbers of calls at the same time.
void groups_have_collectives_of_their_own(Communicator& communicator, at::Device) {
  const World& world = communicator.world();
  const int group = world.rank % 3 == 0 ? 5 : 2;
  std::vector<int> members;
  for (int rank = 0; rank < world.ranks; ++rank) {
    if ((rank % 3 == 0) == (group == 5)) members.push_back(rank);
  }
  const std::unique_ptr<Communicator> part = communicator.split(group);
  ASSERT_EQ(std::ssize(members), part->world().ranks);
  ASSERT_EQ(world.rank, members[static_cast<size_t>(part->world().rank)]);
  EXPECT_EQ(world.hosts[static_cast<size_t>(world.rank)],
            part->world().hosts[static_cast<size_t>(part->world().rank)]);
  EXPECT_EQ(communicator.hang_timeout_seconds(), part->hang_timeout_seconds());
  for (int round = 0; round < group; ++round) {
    at::Tensor sum = at::full({3}, world.rank + round, at::kLong);
    part->sum(sum);
    const int64_t expected =
        std::accumulate(members.begin(), members.end(), int64_t{0}) + round * std::ssize(members);
    EXPECT_TRUE(at::equal(sum, at::full({3}, expected, at::kLong)));
    at::Tensor first = at::full({1}, world.rank, at::kLong);
    part->broadcast(first, 0);
    EXPECT_EQ(members.front(), first.item<int64_t>());
  }
  part->barrier();
}

void world_is_consistent(Communicator& communicator, at::Device) {
  const World& world = communicator.world();
  ASSERT_EQ(world.hosts.size(), size_t(world.ranks));
  ASSERT_EQ(world.node_of.size(), size_t(world.ranks));
  EXPECT_EQ(world.node_of[world.rank], world.node);
  int local_ranks = 0, local_rank = 0, nodes = 0;
  for (int rank = 0; rank < world.ranks; ++rank) {
    EXPECT_FALSE(world.hosts[rank].empty());
    if (world.node_of[rank] == world.node) {
      EXPECT_EQ(world.hosts[rank], world.hosts[world.rank]);
      local_rank += rank < world.rank;
      ++local_ranks;
    }
    nodes = std::max(nodes, world.node_of[rank] + 1);
  }
  EXPECT_EQ(world.local_rank, local_rank);
  EXPECT_EQ(world.local_ranks, local_ranks);
  EXPECT_EQ(world.nodes, nodes);
  EXPECT_EQ(world.leads_node(), local_rank == 0);
  const at::Tensor ranks = communicator.all_gather(at::full({}, world.rank, at::kInt));
  expect_equal(ranks, at::arange(world.ranks, at::kInt));
}

void sums_every_type_and_size(Communicator& communicator, at::Device device) {
  const World& world = communicator.world();
  for (at::ScalarType type : kSummed) {
    for (const auto& shape : kShapes) {
      at::Tensor expected = at::zeros(shape, type);
      for (int rank = 0; rank < world.ranks; ++rank) expected.add_(values_of(rank, shape, type));
      at::Tensor values = values_of(world.rank, shape, type).to(device);
      const void* place = values.data_ptr();
      communicator.sum(values);
      expect_equal(values, expected);
      EXPECT_EQ(values.data_ptr(), place) << "a sum is in place";
    }
  }
}

void sums_integers_exactly(Communicator& communicator, at::Device device) {
  const int64_t large = int64_t{1} << 62;  // no double holds large + 1
  const World& world = communicator.world();
  at::Tensor values = at::full({3}, world.rank == 0 ? large : 1, at::kLong).to(device);
  communicator.sum(values);
  expect_equal(values, at::full({3}, large + world.ranks - 1, at::kLong));
}

void sums_a_view_in_place(Communicator& communicator, at::Device device) {
  const World& world = communicator.world();
  const at::Tensor whole = at::full({3, 4}, 1, at::kLong).to(device);
  at::Tensor row = whole[1];
  communicator.sum(row);
  at::Tensor expected = at::full({3, 4}, 1, at::kLong);
  expected[1].fill_(world.ranks);
  expect_equal(whole, expected);
}

void broadcasts_every_type_from_each_rank(Communicator& communicator, at::Device device) {
  const World& world = communicator.world();
  for (int from = 0; from < world.ranks; ++from) {
    for (at::ScalarType type : kMoved) {
      for (const auto& shape : kShapes) {
        at::Tensor values = values_of(world.rank, shape, type).to(device);
        communicator.broadcast(values, from);
        expect_equal(values, values_of(from, shape, type));
      }
    }
  }
}

void gathers_every_type_in_rank_order(Communicator& communicator, at::Device device) {
  const World& world = communicator.world();
  for (at::ScalarType type : kMoved) {
    for (const auto& shape : kShapes) {
      const at::Tensor all = communicator.all_gather(values_of(world.rank, shape, type).to(device));
      ASSERT_EQ(all.dim(), int64_t(shape.size()) + 1);
      ASSERT_EQ(all.size(0), world.ranks);
      for (int rank = 0; rank < world.ranks; ++rank)
        expect_equal(all[rank], values_of(rank, shape, type));
    }
  }
}

void many_calls_in_a_row_stay_apart(Communicator& communicator, at::Device device) {
  const World& world = communicator.world();
  for (int64_t i = 0; i < 200; ++i) {
    at::Tensor values = at::full({2}, i + world.rank, at::kLong).to(device);
    communicator.sum(values);
    expect_equal(values,
                 at::full({2}, world.ranks * i + world.ranks * (world.ranks - 1) / 2, at::kLong));
    at::Tensor sent = at::full({}, i * world.rank, at::kLong).to(device);
    communicator.broadcast(sent, int(i % world.ranks));
    expect_equal(sent, at::full({}, i * (i % world.ranks), at::kLong));
    if (i % 50 == 0) communicator.barrier();
  }
}

void refuses_what_it_cannot_send(Communicator& communicator, at::Device device) {
  at::Tensor half = at::zeros({2}, at::kHalf).to(device), undefined;
  at::Tensor column = at::zeros({4, 4}, at::kLong).to(device).select(1, 0);
  at::Tensor good = at::zeros({2}, at::kLong).to(device);
  const std::vector<std::pair<std::string, std::function<void()>>> refused = {
      {"Half is not summed", [&] { communicator.sum(half); }},
      {"sum: undefined", [&] { communicator.sum(undefined); }},
      {"sum: the tensor is not contiguous", [&] { communicator.sum(column); }},
      {"broadcast: the tensor is not contiguous", [&] { communicator.broadcast(column, 0); }},
      {"all_gather: the tensor is not contiguous", [&] { communicator.all_gather(column); }},
      {"no rank -1", [&] { communicator.broadcast(good, -1); }},
      {"no rank " + std::to_string(communicator.world().ranks),
       [&] { communicator.broadcast(good, communicator.world().ranks); }},
  };
  for (const auto& [part, call] : refused) {
    const Error error = error_of(call);
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
        << error.what() << " lacks: " << part;
  }
  communicator.sum(good);  // nothing was sent: the next call fits
}

std::string text_of(int rank, size_t length) {
  std::string text;
  for (size_t i = 0; i < length; ++i)
    text += static_cast<char>((i * 31 + rank) % 256);  // NULs and all
  return text;
}

void texts_travel_whole(Communicator& communicator, at::Device) {
  const World& world = communicator.world();
  for (size_t length : {0, 1, 255, 10000}) {
    for (int from = 0; from < world.ranks; ++from) {
      EXPECT_EQ(broadcast_text(communicator, text_of(world.rank, length + world.rank), from),
                text_of(from, length + from));
    }
    const auto texts = gather_texts(communicator, text_of(world.rank, length * (world.rank % 3)));
    ASSERT_EQ(texts.size(), size_t(world.ranks));
    for (int rank = 0; rank < world.ranks; ++rank)
      EXPECT_EQ(texts[rank], text_of(rank, length * (rank % 3)));
  }
}

void agrees_on_success(Communicator& communicator, at::Device) {
  int ran = 0;
  together(communicator, "doing well", [&] { ++ran; });
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(communicator.phase(), "doing well");
}

void agrees_on_the_error_of_each_rank(Communicator& communicator, at::Device) {
  const World& world = communicator.world();
  for (ErrorKind kind : {ErrorKind::kUsage, ErrorKind::kInput, ErrorKind::kModel,
                         ErrorKind::kCommunication, ErrorKind::kMachine, ErrorKind::kInternal}) {
    for (int failing = 0; failing < world.ranks; ++failing) {
      const Error error = error_of([&] {
        together(communicator, "reading", [&] {
          if (world.rank >= failing)
            throw Error(kind, fmt::format("file {}", world.rank),
                        fmt::format("hint {}", world.rank));
        });
      });
      EXPECT_EQ(error.kind(), kind);
      EXPECT_EQ(error.hint(), fmt::format("hint {}", failing));
      EXPECT_EQ(error.what(), world.ranks == 1
                                  ? "file 0"
                                  : fmt::format("file {} (rank {} on host {})", failing, failing,
                                                world.hosts[failing]));
    }
  }
}

void agrees_on_other_exceptions(Communicator& communicator, at::Device) {
  const int last = communicator.world().ranks - 1;
  const Error memory = error_of([&] {
    together(communicator, "loading", [&] {
      if (communicator.world().rank == last) throw std::bad_alloc();
    });
  });
  EXPECT_EQ(memory.kind(), ErrorKind::kMachine);
  EXPECT_NE(std::string(memory.what()).find("loading"), std::string::npos);
  const Error bug = error_of([&] {
    together(communicator, "counting", [&] {
      if (communicator.world().rank == last) throw std::out_of_range("index 7");
    });
  });
  EXPECT_EQ(bug.kind(), ErrorKind::kInternal);
  EXPECT_NE(std::string(bug.what()).find("index 7"), std::string::npos);
}

void passes_its_self_test(Communicator& communicator, at::Device device) {
  self_test(communicator, device);
}

}  // namespace

const std::vector<ContractCase>& contract_cases() {
  static const std::vector<ContractCase> cases = {
      {"WorldIsConsistent", world_is_consistent},
      {"GroupsHaveCollectivesOfTheirOwn", groups_have_collectives_of_their_own},
      {"SumsEveryTypeAndSize", sums_every_type_and_size},
      {"SumsIntegersExactly", sums_integers_exactly},
      {"SumsAViewInPlace", sums_a_view_in_place},
      {"BroadcastsEveryTypeFromEachRank", broadcasts_every_type_from_each_rank},
      {"GathersEveryTypeInRankOrder", gathers_every_type_in_rank_order},
      {"ManyCallsInARowStayApart", many_calls_in_a_row_stay_apart},
      {"RefusesWhatItCannotSend", refuses_what_it_cannot_send},
      {"TextsTravelWhole", texts_travel_whole},
      {"AgreesOnSuccess", agrees_on_success},
      {"AgreesOnTheErrorOfEachRank", agrees_on_the_error_of_each_rank},
      {"AgreesOnOtherExceptions", agrees_on_other_exceptions},
      {"PassesItsSelfTest", passes_its_self_test},
  };
  return cases;
}

}  // namespace rankwise
