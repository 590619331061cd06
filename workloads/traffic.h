// From tokens to who sends how much to whom.
#pragma once

#include <cstdint>
#include <vector>

#include "workloads/placement.h"
#include "workloads/trace.h"

namespace moesim::workloads {

// One layer's traffic in tokens. Tokens are dealt to source ranks in contiguous blocks of tokens_per_rank; a token goes
// once to each distinct rank that holds one of its slots; a token whose slot is on its own rank stays (the diagonal).
struct Traffic {
  std::int32_t ranks = 0;
  std::vector<std::int32_t> tokens;          // [ranks][ranks] source-major; the diagonal is self-traffic, never sent
  std::vector<std::int32_t> slot_tokens;     // [slots] selections that each slot computes
  std::vector<std::int64_t> rank_selections; // [ranks] selections computed there
  std::vector<std::int32_t> rank_slots_hit;  // [ranks] slots with at least one selection

  std::int32_t at(std::int32_t source, std::int32_t receiver) const {
    return tokens[static_cast<std::size_t>(source) * static_cast<std::size_t>(ranks) + static_cast<std::size_t>(receiver)];
  }
};

// Needs routing.tokens() == tokens_per_rank * placement.ranks and ids below placement.experts. No allocation per token.
Traffic layer_traffic(const LayerRouting& routing, const Placement& placement, std::int32_t tokens_per_rank);

}  // namespace moesim::workloads
