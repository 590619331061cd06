#include "workloads/eplb.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace moesim::workloads {
namespace {

std::size_t as_size(std::int32_t n) { return static_cast<std::size_t>(n); }

}  // namespace

Packing balanced_packing(std::span<const double> weights, std::int32_t packs) {
  MOESIM_CHECK(packs > 0 && weights.size() % as_size(packs) == 0, "packs of equal size");
  const auto room = static_cast<std::int32_t>(weights.size() / as_size(packs));
  std::vector<std::size_t> order(weights.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // Packs of one item keep the items' order.
  if (room > 1)
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return weights[a] > weights[b]; });
  Packing packing{std::vector<std::int32_t>(weights.size()), std::vector<std::int32_t>(weights.size())};
  std::vector<double> load(as_size(packs), 0);
  std::vector<std::int32_t> items(as_size(packs), 0);
  for (const std::size_t item : order) {
    std::int32_t best = -1;
    for (std::int32_t pack = 0; pack < packs; ++pack) {
      if (items[as_size(pack)] == room) continue;
      if (best < 0 || (room > 1 && load[as_size(pack)] < load[as_size(best)])) best = pack;
    }
    packing.pack[item] = best;
    packing.rank_in_pack[item] = items[as_size(best)]++;
    load[as_size(best)] += weights[item];
  }
  return packing;
}

std::vector<std::int32_t> replicate_experts(std::span<const double> loads, std::int32_t slots) {
  MOESIM_CHECK(as_size(slots) >= loads.size() && !loads.empty(), "a slot for every expert");
  std::vector<std::int32_t> slot_expert(loads.size());
  std::iota(slot_expert.begin(), slot_expert.end(), 0);
  std::vector<double> copies(loads.size(), 1);
  while (slot_expert.size() < as_size(slots)) {
    std::size_t most = 0;
    for (std::size_t expert = 1; expert < loads.size(); ++expert)
      if (loads[expert] / copies[expert] > loads[most] / copies[most]) most = expert;
    slot_expert.push_back(static_cast<std::int32_t>(most));
    copies[most] += 1;
  }
  return slot_expert;
}

std::vector<std::int32_t> eplb_slots(std::span<const double> loads, const EplbShape& shape) {
  const auto experts = static_cast<std::int32_t>(loads.size());
  MOESIM_CHECK(shape.groups > 0 && shape.nodes > 0 && shape.ranks > 0, "groups, nodes and ranks");
  MOESIM_CHECK(experts % shape.groups == 0 && shape.groups % shape.nodes == 0, "whole groups on every node");
  MOESIM_CHECK(shape.ranks % shape.nodes == 0 && shape.slots % shape.ranks == 0, "equal nodes and ranks");
  const std::int32_t group_size = experts / shape.groups, node_experts = experts / shape.nodes;
  const std::int32_t node_slots = shape.slots / shape.nodes, node_ranks = shape.ranks / shape.nodes;
  const std::int32_t rank_slots = shape.slots / shape.ranks;

  std::vector<double> group_load(as_size(shape.groups), 0);
  for (std::int32_t expert = 0; expert < experts; ++expert)
    group_load[as_size(expert / group_size)] += loads[as_size(expert)];
  const Packing to_node = balanced_packing(group_load, shape.nodes);
  // Experts in the order of nodes, then of the groups packed there.
  std::vector<std::int32_t> ordered(as_size(experts));
  for (std::int32_t expert = 0; expert < experts; ++expert) {
    const auto group = as_size(expert / group_size);
    const std::int32_t place = to_node.pack[group] * (shape.groups / shape.nodes) + to_node.rank_in_pack[group];
    ordered[as_size(place * group_size + expert % group_size)] = expert;
  }

  std::vector<std::int32_t> slot_expert(as_size(shape.slots));
  for (std::int32_t node = 0; node < shape.nodes; ++node) {
    const auto own =
        std::span<const std::int32_t>(ordered).subspan(as_size(node * node_experts), as_size(node_experts));
    std::vector<double> own_loads;
    for (const std::int32_t expert : own) own_loads.push_back(loads[as_size(expert)]);
    const std::vector<std::int32_t> copies = replicate_experts(own_loads, node_slots);
    std::vector<double> count(own.size(), 0), copy_load;
    for (const std::int32_t expert : copies) count[as_size(expert)] += 1;
    for (const std::int32_t expert : copies) copy_load.push_back(own_loads[as_size(expert)] / count[as_size(expert)]);
    const Packing to_rank = balanced_packing(copy_load, node_ranks);
    for (std::size_t copy = 0; copy < copies.size(); ++copy) {
      const std::int32_t slot = node * node_slots + to_rank.pack[copy] * rank_slots + to_rank.rank_in_pack[copy];
      slot_expert[as_size(slot)] = own[as_size(copies[copy])];
    }
  }
  return slot_expert;
}

Placement eplb_placement(std::span<const double> loads, const EplbShape& shape) {
  return place(eplb_slots(loads, shape), static_cast<std::int32_t>(loads.size()), shape.ranks);
}

}  // namespace moesim::workloads
