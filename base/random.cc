#include "base/random.h"

#include <cmath>

#include "base/error.h"

namespace moesim::base {
namespace {

std::uint64_t splitmix64(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace

RandomStream::RandomStream(std::uint64_t seed, std::string_view name, std::uint64_t index) {
  std::uint64_t state = seed;
  std::uint64_t mixed = splitmix64(state);
  for (const char c : name) {
    state = mixed ^ static_cast<unsigned char>(c);
    mixed = splitmix64(state);
  }
  state = mixed ^ index;
  for (std::uint64_t& word : state_) word = splitmix64(state);
}

double RandomStream::normal() {
  // Leva's ratio of uniforms ("A fast normal random number generator", ACM TOMS 18, 1992). The value is a plain
  // quotient; the logarithm only decides a draw at the region's edge (1 in 80), so last-bit differences between
  // mathematics libraries do not reach the result.
  while (true) {
    const double u = 1 - uniform();
    const double v = 1.7156 * (uniform() - 0.5);
    const double x = u - 0.449871;
    const double y = std::abs(v) + 0.386595;
    const double q = x * x + y * (0.19600 * y - 0.25472 * x);
    if (q < 0.27597) return v / u;
    if (q <= 0.27846 && v * v <= -4 * std::log(u) * u * u) return v / u;
  }
}

WeightedChoice::WeightedChoice(std::span<const double> weights) {
  double sum = 0;
  for (const double w : weights) {
    MOESIM_CHECK(w >= 0 && std::isfinite(w), "a weight must be finite and not negative");
    sum += w;
  }
  MOESIM_CHECK(sum > 0 && std::isfinite(sum), "some weight must be above zero, and their sum finite");
  const std::size_t n = weights.size();
  std::vector<std::uint64_t> share(n);
  for (std::size_t i = 0; i < n; ++i) {
    share[i] = static_cast<std::uint64_t>(std::llround(weights[i] / sum * 0x1.0p40));
    total_ += share[i];
  }
  // Scaled by n, the mean share is total_: every column of the alias table holds exactly total_.
  columns_.resize(n);
  std::vector<std::size_t> small, large;
  std::vector<std::uint64_t> rest(n);
  for (std::size_t i = 0; i < n; ++i) {
    columns_[i] = {total_, {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i)}};
    rest[i] = share[i] * n;
    (rest[i] < total_ ? small : large).push_back(i);
  }
  while (!small.empty() && !large.empty()) {
    const std::size_t s = small.back(), l = large.back();
    small.pop_back();
    columns_[s] = {rest[s], {static_cast<std::uint32_t>(s), static_cast<std::uint32_t>(l)}};
    rest[l] -= total_ - rest[s];
    if (rest[l] < total_) {
      large.pop_back();
      small.push_back(l);
    }
  }
}

}  // namespace moesim::base
