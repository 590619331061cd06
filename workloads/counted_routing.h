// Tokens for counts of selections: recorded ones, or drawn as benchmarks of expert kernels draw them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "workloads/model.h"

namespace moesim::workloads {

// Weights with which a TokenSampler gives each expert its share of the selections. Drawing without replacement flattens
// shares: an expert of weight w is in a token's choice with probability 1 - exp(-w t), t set by the sum being top_k
// (Rosen, "Asymptotic theory for order sampling", 1997), so w = -log(1 - top_k * share). Where groups are limited, the
// weights are then corrected in a few rounds of sampling. An expert cannot be in more than every choice: what a share
// above 1 / top_k has too much is lost to the others. Throws InputError naming `source` where fewer than top_k experts
// have a count.
std::vector<double> weights_of_counts(std::span<const double> counts, const Model& model, const std::string& source);

// Ids [tokens][top_k] with exactly these selections of each expert (none above `tokens`, together tokens * top_k): the
// selections, expert by expert in random order, are dealt round to the tokens in random order. Group limits are not
// kept.
std::vector<std::uint16_t> deal_selections(std::span<const std::int64_t> selections, std::int64_t tokens,
                                           std::int32_t top_k, base::RandomStream& stream);

}  // namespace moesim::workloads
