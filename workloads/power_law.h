// The routings that benchmarks of expert kernels are timed with: counts of tokens by expert, without tokens'
// identities.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"

namespace moesim::workloads {

struct PowerLaw {
  double exponent = 0;      // alpha > 0
  std::int64_t tokens = 0;  // of all ranks together
  std::int32_t top_k = 0;
  std::int32_t experts = 0;
};

// Selections of each expert, one random draw: weights by the inverse distribution function
//   x = ((b^(1-alpha) - a^(1-alpha)) u + a^(1-alpha))^(1/(1-alpha)),   x in [a, b] = [1, 0.8 tokens],
// or [0.01, 2] where tokens * top_k <= experts; scaled to tokens * top_k and rounded. What rounding leaves over goes
// one by one to the experts with fewest selections, the heaviest first; what it took too much comes from those with
// most. (Seen in measured times: few tokens hit nearly as many experts as they can.) No expert has more than `tokens`;
// the counts add up to tokens * top_k.
std::vector<std::int64_t> draw_power_law(const PowerLaw& law, base::RandomStream& stream);

// Selections of each expert when they are dealt out evenly: choice i of token t is expert t + i * stride, with
// stride = ceil(experts / top_k), and where tokens < stride the tokens are spread over it.
std::vector<std::int64_t> even_selections(std::int64_t tokens, std::int32_t top_k, std::int32_t experts);

// The experts of the rank with most selections (the first of several); `ranks` divides the experts, placed in order.
std::span<const std::int64_t> most_loaded_rank(std::span<const std::int64_t> selections, std::int32_t ranks);

}  // namespace moesim::workloads
