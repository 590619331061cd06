// DeepSeek's expert-parallel load balancer: github.com/deepseek-ai/EPLB (MIT licence), its algorithm restated.
//
//   replicate   every expert has one slot; each further slot goes to the expert with most load per slot (the first of
//               several)
//   pack        items of falling weight (first those that come first) go to the least loaded pack with room (the first
//               of several); every pack takes equally many
//   hierarchical   pack groups of experts to nodes; inside each node replicate its experts and pack their slots to its
//                  ranks. So the experts of a group share a node, which group-limited routing rewards.
//   global         replicate and pack over all ranks: the hierarchical one with one group and one node
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "workloads/placement.h"

namespace moesim::workloads {

// Of each item, the pack that it goes to and its place there. The packs divide the items.
struct Packing {
  std::vector<std::int32_t> pack;  // [items]
  std::vector<std::int32_t> rank_in_pack;
};
Packing balanced_packing(std::span<const double> weights, std::int32_t packs);

// [slots] the expert of each: first each expert once, in order, then the copies in the order in which they were given.
std::vector<std::int32_t> replicate_experts(std::span<const double> loads, std::int32_t slots);

struct EplbShape {
  std::int32_t slots = 0;
  std::int32_t ranks = 0;   // they divide the slots
  std::int32_t groups = 1;  // of neighbouring experts; they divide the experts
  std::int32_t nodes = 1;   // of neighbouring ranks; they divide the ranks and the groups
};
// [slots] the expert of each physical slot. loads: [experts].
std::vector<std::int32_t> eplb_slots(std::span<const double> loads, const EplbShape& shape);

Placement eplb_placement(std::span<const double> loads, const EplbShape& shape);

}  // namespace moesim::workloads
