// Topology-aware placement: which experts share a rank, and which ranks a node, so that the time of
// placement_counters.h, the experts' slowest rank and the exchange's slowest resource, is smallest for a routing that
// was seen.
//
// The search starts from the best of the contiguous and the EPLB placements and exchanges the experts of two slots as
// long as that lowers the time (or keeps it and lowers the sum of squares of all its terms). How many copies an expert
// has is left as the start chose it. Deterministic by seed.
#pragma once

#include <cstdint>

#include "base/rank_map.h"
#include "workloads/placement.h"
#include "workloads/placement_counters.h"
#include "workloads/trace.h"

namespace moesim::workloads {

struct SearchOptions {
  std::int32_t slots = 0;   // the ranks divide them
  std::int32_t groups = 1;  // of the model's router, for EPLB's hierarchical placement
  std::uint64_t seed = 1;
  std::int32_t exchanges_per_slot = 64;  // tried
};
// `map` has a place for each rank of the placement.
Placement search_placement(const LayerRouting& routing, std::int32_t experts, const base::RankMap& map,
                           const PlacementCosts& costs, const SearchOptions& options);

// How many nodes EPLB may speak of: the NVLink domains, if they are equal and contiguous; else 1.
std::int32_t equal_domains(const base::RankMap& map);

}  // namespace moesim::workloads
