// What is measured: sizes and distributions, the same on every GPU. Host only, deterministic.
#pragma once

#include <cstdint>
#include <vector>

namespace moesim::kernels {

// first, first * factor, ... up to and including the last that is <= last, rounded to whole numbers.
std::vector<std::int64_t> geometric(std::int64_t first, std::int64_t last, double factor);

// Tokens of each of `experts` experts for tokens * top_k selections: even, by rank^-exponent, or all on a few.
enum class Load { Even, PowerLaw, Few };
std::vector<std::int64_t> tokens_per_expert(Load load, std::int64_t selections, std::int64_t experts, double exponent);

// Expert ids of a random routing, [tokens][top_k], distinct within a token; the same for the same seed.
std::vector<std::int32_t> random_topk(std::int64_t tokens, std::int32_t experts, std::int32_t top_k,
                                      std::uint64_t seed);

}  // namespace moesim::kernels
