// Random task graphs for comparing engines. The same seed and options give the same graph on every machine, and each
// option adds one feature, so that a test can stay within what an engine expresses. No graph stalls.
#pragma once

#include <cstdint>

#include "sim/engine/task_graph.h"

namespace moesim::tests {

enum class RandomTopology : std::uint8_t {
  Star,      // one switch: up[s], down[r] for every rank
  TwoLevel,  // nodes of 2 or 3 ranks: up[s], down[r] inside; up[s], out[node], in[node], down[r] between nodes
  Arbitrary  // a path for each ordered pair of ranks over a random handful of shared resources, in random order
};

enum class RandomWeights : std::uint8_t { Ones, Integers, Fractions };  // 1; 1, 2 or 3; in [0.1, 3)

struct RandomGraphOptions {
  RandomTopology topology = RandomTopology::Star;
  std::int32_t min_ranks = 2;
  std::int32_t max_ranks = 6;
  std::int32_t resources = 6;     // Arbitrary only
  std::int32_t longest_path = 4;  // Arbitrary only
  double flow_probability = 0.7;  // that an ordered pair of ranks has a flow in an exchange
  bool parallel_flows = false;    // sometimes two flows between the same ranks; Arbitrary: over different paths
  double bandwidth = 10;          // capacities are in (0.1, 1] of it, in bytes/s
  double size = 100;              // amounts are in (0, 1] of it, in bytes
  bool ties = false;              // capacities and amounts take one of two values: many things happen at once
  RandomWeights weights = RandomWeights::Ones;
  bool caps = false;                  // a rate cap on a third of the flows
  bool latencies = false;             // up to about half of a flow's time
  std::int32_t exchanges = 1;         // each rank enters an exchange after one of: the origin, what it last did
  bool rank_uses = false;             // most sources and receivers use a resource of their own, or a link, as well
  bool computes = false;              // of random length before and between exchanges; a rank's never overlap
  bool overlapping_computes = false;  // those of one rank compete for its SMs and HBM
  bool sm_holds = false;              // slow the computes of the rank (so: with computes)
  bool capacity_changes = false;      // of links, to other values and, for a while, to 0
  bool multicast = false;             // a third of the flows go to two or three receivers
};

engine::TaskGraph random_graph(std::uint64_t seed, const RandomGraphOptions& options);

// A mix of features that differs from seed to seed: of what engine "simgrid" expresses, or of everything.
RandomGraphOptions mixed_options(std::uint64_t seed, bool everything);

}  // namespace moesim::tests
