#include "benchmarks/traffic.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace moesim::benchmarks {
namespace {

constexpr double kMean = 1048576;

Matrix zeros(std::int32_t ranks) {
  return Matrix(static_cast<std::size_t>(ranks), std::vector<double>(static_cast<std::size_t>(ranks)));
}

}  // namespace

std::string_view to_string(Traffic traffic) {
  return traffic == Traffic::Equal ? "equal" : traffic == Traffic::Skew ? "skew" : "moe";
}

Matrix traffic_matrix(Traffic traffic, std::int32_t ranks, std::uint64_t seed) {
  if (traffic == Traffic::Moe) return moe_matrix(ranks, 128, 7168, seed);
  Matrix matrix = zeros(ranks);
  base::RandomStream random(seed, "benchmark traffic");
  double weights = 0;
  for (std::int32_t r = 0; r < ranks; ++r) weights += 1 / std::sqrt(r + 1.0);
  for (std::size_t s = 0; s < matrix.size(); ++s) {
    for (std::size_t r = 0; r < matrix.size(); ++r) {
      if (s == r) continue;
      const double weight = ranks / weights / std::sqrt(static_cast<double>(r) + 1);
      matrix[s][r] = traffic == Traffic::Equal ? kMean : std::ceil(kMean * weight * (0.5 + random.uniform()));
    }
  }
  return matrix;
}

Matrix moe_matrix(std::int32_t ranks, std::int32_t tokens, double bytes_per_token, std::uint64_t seed) {
  constexpr std::size_t kTopK = 8;
  const auto experts = static_cast<std::size_t>(std::max(256, ranks));
  base::RandomStream random(seed, "benchmark routing");
  std::vector<double> popularity(experts);
  for (std::size_t e = 0; e < experts; ++e) popularity[e] = 1 / std::sqrt(static_cast<double>(e) + 1);
  for (std::size_t e = experts - 1; e > 0; --e) std::swap(popularity[e], popularity[random.below(e + 1)]);
  const base::WeightedChoice choice(popularity);
  Matrix matrix = zeros(ranks);
  std::vector<std::size_t> chosen;
  for (std::size_t s = 0; s < matrix.size(); ++s) {
    for (std::int32_t t = 0; t < tokens; ++t) {
      chosen.clear();
      while (chosen.size() < kTopK) {
        const std::size_t e = choice.draw(random);
        if (std::find(chosen.begin(), chosen.end(), e) == chosen.end()) chosen.push_back(e);
      }
      for (std::size_t& e : chosen) e = e * matrix.size() / experts;
      std::sort(chosen.begin(), chosen.end());
      chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
      for (const std::size_t r : chosen)
        if (r != s) matrix[s][r] += bytes_per_token;
    }
  }
  return matrix;
}

Matrix transposed(const Matrix& matrix) {
  Matrix result = matrix;
  for (std::size_t s = 0; s < matrix.size(); ++s)
    for (std::size_t r = 0; r < matrix.size(); ++r) result[r][s] = matrix[s][r];
  return result;
}

}  // namespace moesim::benchmarks
