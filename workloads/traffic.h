// From tokens to who sends how much to whom.
//
// Tokens are dealt to source ranks in contiguous blocks of tokens_per_rank; a token goes once to each distinct rank
// that holds one of its slots; a token whose slot is on its own rank stays there (the diagonal). Token t, counted over
// all ranks, uses replica t mod count of an expert with count slots.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "workloads/placement.h"
#include "workloads/trace.h"

namespace moesim::workloads {

// What the ranks compute: the same for both forms below. A selection is one of the top_k choices of one token.
struct SlotLoad {
  std::vector<std::int32_t> slot_tokens;      // [slots] selections that each slot computes
  std::vector<std::int64_t> rank_selections;  // [ranks] selections computed there
  std::vector<std::int32_t> rank_slots_hit;   // [ranks] slots with at least one selection
};

// One layer's traffic in tokens, as a dense matrix: 4 * ranks^2 bytes (4 MiB for 1,024 ranks, 1 GiB for 16,384).
struct Traffic : SlotLoad {
  std::int32_t ranks = 0;
  std::vector<std::int32_t> tokens;  // [ranks][ranks] source-major; the diagonal is self-traffic, never sent

  std::int32_t at(std::int32_t source, std::int32_t receiver) const {
    return tokens[static_cast<std::size_t>(source) * static_cast<std::size_t>(ranks) +
                  static_cast<std::size_t>(receiver)];
  }
};

// Needs routing.tokens() == tokens_per_rank * placement.ranks and ids below placement.experts. No allocation per token.
Traffic layer_traffic(const LayerRouting& routing, const Placement& placement, std::int32_t tokens_per_rank);

// The same row by row, for rank counts at which the dense matrix is too large: a row has at most
// min(ranks, tokens_per_rank * top_k) cells. `row` is called once per source, in order; its cells (tokens > 0,
// self-traffic included) are ordered by receiver and valid during the call.
struct TrafficCell {
  std::int32_t receiver = 0;
  std::int32_t tokens = 0;
};
SlotLoad for_each_traffic_row(const LayerRouting& routing, const Placement& placement, std::int32_t tokens_per_rank,
                              const std::function<void(std::int32_t source, std::span<const TrafficCell> cells)>& row);

// [slots] the selections that each slot computes, of any number of tokens: SlotLoad's first field alone.
std::vector<std::int32_t> slot_tokens(const LayerRouting& routing, const Placement& placement);

// [ranks][ranks], source-major: selections (choices of a token) instead of distinct tokens, the diagonal included.
std::vector<std::int32_t> selection_matrix(const LayerRouting& routing, const Placement& placement,
                                           std::int32_t tokens_per_rank);

// [ranks][groups], source-major: the tokens of a rank that go to at least one rank of a group of `ranks_per_group`
// contiguous ranks (a node), the own group included. The ranks are whole groups.
std::vector<std::int32_t> group_matrix(const LayerRouting& routing, const Placement& placement,
                                       std::int32_t tokens_per_rank, std::int32_t ranks_per_group);

}  // namespace moesim::workloads
