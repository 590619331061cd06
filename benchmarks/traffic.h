// The traffic matrices of the benchmarks: bytes [source][receiver], 0 where nothing is sent.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace moesim::benchmarks {

using Matrix = std::vector<std::vector<double>>;

enum class Traffic : std::uint8_t {
  Equal,  // 1 MiB for each ordered pair
  Skew,   // all amounts distinct, receivers weighted by rank^-0.5, mean 1 MiB
  Moe     // 128 tokens per GPU, top-8 of max(256, N) experts of popularity rank^-0.5, 7168 B per token and distinct GPU
};
std::string_view to_string(Traffic traffic);

Matrix traffic_matrix(Traffic traffic, std::int32_t ranks, std::uint64_t seed);
// `Moe` with any number of tokens and bytes per token; every seed is a layer routed differently.
Matrix moe_matrix(std::int32_t ranks, std::int32_t tokens, double bytes_per_token, std::uint64_t seed);
Matrix transposed(const Matrix& matrix);

}  // namespace moesim::benchmarks
