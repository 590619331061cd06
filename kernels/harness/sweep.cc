#include "kernels/harness/sweep.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace moesim::kernels {

std::vector<std::int64_t> geometric(std::int64_t first, std::int64_t last, double factor) {
  std::vector<std::int64_t> sizes;
  double size = static_cast<double>(first);
  while (size <= static_cast<double>(last) * (1 + 1e-9)) {
    const auto whole = static_cast<std::int64_t>(std::llround(size));
    if (sizes.empty() || whole > sizes.back()) sizes.push_back(whole);
    size *= factor;
  }
  return sizes;
}

std::vector<std::int64_t> tokens_per_expert(Load load, std::int64_t selections, std::int64_t experts, double exponent) {
  std::vector<double> weights(static_cast<std::size_t>(experts), 1);
  if (load == Load::PowerLaw)
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = std::pow(static_cast<double>(i + 1), -exponent);
  if (load == Load::Few)
    for (std::size_t i = std::max<std::size_t>(1, weights.size() / 8); i < weights.size(); ++i) weights[i] = 0;
  const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  // Whole shares by cumulated rounding, so that they add up.
  std::vector<std::int64_t> tokens;
  double cumulated = 0;
  std::int64_t given = 0;
  for (const double weight : weights) {
    cumulated += weight;
    const auto until = static_cast<std::int64_t>(std::llround(cumulated / all * static_cast<double>(selections)));
    tokens.push_back(until - given);
    given = until;
  }
  return tokens;
}

std::vector<std::int32_t> random_topk(std::int64_t tokens, std::int32_t experts, std::int32_t top_k,
                                      std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::int32_t> ids;
  ids.reserve(static_cast<std::size_t>(tokens) * static_cast<std::size_t>(top_k));
  for (std::int64_t token = 0; token < tokens; ++token) {
    const auto begin = static_cast<std::ptrdiff_t>(ids.size());
    while (ids.size() - static_cast<std::size_t>(begin) < static_cast<std::size_t>(top_k)) {
      const auto id = static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(experts));
      if (std::find(ids.begin() + begin, ids.end(), id) == ids.end()) ids.push_back(id);
    }
  }
  return ids;
}

}  // namespace moesim::kernels
