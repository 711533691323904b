// How long a sum over ranks takes on a cluster, from what a message costs inside a node and between
// nodes: R. Rabenseifner, "Optimization of Collective Reduction Operations" (2004), which mpi.cpp
// asks of its library.
#pragma once

#include <cstdint>
#include <vector>

namespace rankwise {

struct NodeLayout {
  int64_t ranks = 1, nodes = 1;
  int64_t ranks_per_node() const { return (ranks + nodes - 1) / nodes; }
};

// A message of n bytes takes latency + n / bandwidth; one too long to be sent unasked
// (kEagerBytes) takes three latencies: announced, asked for, sent.
struct Link {
  double latency_seconds = 0;
  double seconds_per_byte = 0;  // adding what came included
};
constexpr int64_t kEagerBytes = 65536 - 56;  // Open MPI's over TCP, less its header

// What of a sum crosses one kind of link, on the path of the slowest rank.
struct LinkUse {
  double latencies = 0, bytes = 0;
};
struct ReductionUse {
  LinkUse within_node, between_nodes;
};

// Halving towards the neighbour first: 2 log2(ranks) exchanges of bytes / 2, / 4 …, those between
// ranks of a node first, so that a node sends 2 (nodes - 1) / nodes × bytes, however many ranks it
// has. Where ranks are no power of two, the ones too many add a message of all bytes at the begin
// and at the end.
ReductionUse reduction_use(const NodeLayout& layout, int64_t bytes);

struct ReductionModel {
  Link within_node, between_nodes;
  double seconds(const NodeLayout& layout, int64_t bytes) const;
};

struct MeasuredReduction {
  NodeLayout layout;
  int64_t bytes = 0;
  double seconds = 0;
};
// A kind of link that no measurement used costs nothing.
ReductionModel fit_reductions(const std::vector<MeasuredReduction>& measured);

}  // namespace rankwise
