#include "workloads/placement_search.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "workloads/eplb.h"
#include "workloads/trace_statistics.h"

namespace moesim::workloads {
namespace {

std::size_t as_size(std::int64_t n) { return static_cast<std::size_t>(n); }

bool better(const PlacementCounters::Worth& a, const PlacementCounters::Worth& b) {
  const double close = 1e-12 * b.time.total().value();
  if (a.time.total().value() < b.time.total().value() - close) return true;
  return a.time.total().value() <= b.time.total().value() + close && a.squares < b.squares * (1 - 1e-12);
}

Placement best_start(const LayerRouting& routing, std::int32_t experts, const base::RankMap& map,
                     const PlacementCosts& costs, const SearchOptions& options) {
  const std::vector<std::int64_t> counts = expert_loads(routing, experts);
  const std::vector<double> loads(counts.begin(), counts.end());
  std::vector<Placement> starts{eplb_placement(loads, {options.slots, map.ranks(), 1, 1}),
                                contiguous_placement(experts, map.ranks(), options.slots)};
  const std::int32_t nodes = equal_domains(map);
  if (nodes > 1 && options.groups % nodes == 0)
    starts.push_back(eplb_placement(loads, {options.slots, map.ranks(), options.groups, nodes}));
  std::size_t best = 0;
  for (std::size_t i = 1; i < starts.size(); ++i)
    if (placement_time(routing, starts[i], map, costs).total() <
        placement_time(routing, starts[best], map, costs).total())
      best = i;
  return starts[best];
}

}  // namespace

std::int32_t equal_domains(const base::RankMap& map) {
  const std::int32_t count = *std::max_element(map.domain.begin(), map.domain.end()) + 1;
  if (map.ranks() % count != 0) return 1;
  for (std::int32_t rank = 0; rank < map.ranks(); ++rank)
    if (map.domain[as_size(rank)] != rank / (map.ranks() / count)) return 1;
  return count;
}

Placement search_placement(const LayerRouting& routing, std::int32_t experts, const base::RankMap& map,
                           const PlacementCosts& costs, const SearchOptions& options) {
  MOESIM_CHECK(routing.tokens() > 0, "tokens to learn from");
  MOESIM_CHECK(map.ranks() > 0 && options.slots % map.ranks() == 0, "equally many slots on every rank");
  Placement placement = best_start(routing, experts, map, costs, options);
  if (map.ranks() == 1) return placement;
  PlacementCounters counters(routing, placement, map, costs);
  PlacementCounters::Worth worth = counters.worth();
  base::RandomStream stream(options.seed, "placement_search");
  const auto units = static_cast<std::uint64_t>(counters.units());
  std::vector<std::int32_t> slot_of_unit = placement.slots;  // as the units move
  std::vector<std::int32_t> expert_of_unit;
  for (const std::int32_t slot : placement.slots) expert_of_unit.push_back(placement.slot_expert[as_size(slot)]);
  const auto binds = [&](std::int32_t unit) {
    const std::int32_t rank = counters.rank_of(unit);
    return worth.binding >= 0 ? rank == worth.binding : counters.domain_of(rank) == -1 - worth.binding;
  };
  const auto tries = static_cast<std::uint64_t>(options.exchanges_per_slot) * units;
  for (std::uint64_t i = 0; i < tries; ++i) {
    auto a = static_cast<std::int32_t>(stream.below(units));
    const auto b = static_cast<std::int32_t>(stream.below(units));
    // Every other time what binds gives an expert away, if a few draws find one there.
    for (int draw = 0; i % 2 == 0 && draw < 2 * map.ranks() && !binds(a); ++draw)
      a = static_cast<std::int32_t>(stream.below(units));
    if (counters.rank_of(a) == counters.rank_of(b)) continue;
    counters.exchange(a, b);
    const PlacementCounters::Worth now = counters.worth();
    if (better(now, worth)) {
      worth = now;
      std::swap(slot_of_unit[as_size(a)], slot_of_unit[as_size(b)]);
    } else {
      counters.exchange(a, b);
    }
  }
  placement.slots = slot_of_unit;
  for (std::size_t unit = 0; unit < slot_of_unit.size(); ++unit)
    placement.slot_expert[as_size(slot_of_unit[unit])] = expert_of_unit[unit];
  return placement;
}

}  // namespace moesim::workloads
