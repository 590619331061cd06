// The same task graph with its parts in another order, or with other capacities.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "results/timeline.h"
#include "sim/engine/task_graph.h"

namespace moesim::tests {

struct GraphChanges {
  std::vector<double> capacity_factor;  // [resources], empty: 1; capacity changes are scaled as well
  double cap_factor = 1;                // of all rate caps
  // Shuffles resources, paths, the uses of a path, flows of an exchange and the ranks of an exchange.
  std::optional<std::uint64_t> shuffle_seed;
};

struct ChangedGraph {
  engine::TaskGraph graph;
  // Where what the original names has gone.
  std::vector<engine::EventId> event;
  std::vector<engine::ResourceId> resource;
  std::vector<std::vector<std::size_t>> flow;  // [exchanges][flows]

  // A timeline of the changed graph, in the names of the original.
  results::Timeline in_original_names(const results::Timeline& timeline) const;
};

ChangedGraph changed(const engine::TaskGraph& graph, const GraphChanges& changes);

}  // namespace moesim::tests
