// Perfectly balanced routing: the baseline of kernel benchmarks and closed forms.
#pragma once

#include <cstdint>
#include <vector>

namespace moesim::workloads {

struct BalancedShape {
  std::int32_t experts = 0;
  std::int32_t top_k = 0;
  std::int32_t ranks = 0;
  std::int64_t tokens_per_rank = 0;
};

// Ids [tokens_per_rank * ranks][top_k], deterministic, for the default placement (workloads/placement.h), whatever
// groups the model's router may have.
//
// Where the ranks divide the experts (m = experts / ranks slots each): every expert gets the same number of selections,
// or the same but for one where the total does not divide; every source sends the same to every rank at the same
// distance; a token goes to min(top_k, ranks - 1) other ranks and never to its own, as long as the others hold top_k
// experts (else its own rank takes its turn).
//
// Elsewhere some experts have several slots, and it is the slots (hence the ranks) that get the same number, so a
// replicated expert gets more: found by exchanges, to within one where these reach it (they do for 256 experts on 72
// ranks). Tokens keep off their own rank and repeat a rank only where they must; pairs of ranks are nearly alike.
std::vector<std::uint16_t> balanced_routing(const BalancedShape& shape);

}  // namespace moesim::workloads
