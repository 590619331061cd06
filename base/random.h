// Seeded random streams with the same values on every machine: xoshiro256** (Blackman & Vigna) seeded by splitmix64.
// Streams of different (seed, name, index) are independent, so that adding one never shifts another.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace moesim::base {

class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::string_view name, std::uint64_t index = 0);

  std::uint64_t next();
  double uniform();                          // [0, 1), 53 bits
  std::uint64_t below(std::uint64_t bound);  // unbiased in [0, bound), bound > 0
  double normal();                           // mean 0, standard deviation 1

 private:
  std::array<std::uint64_t, 4> state_;
};

// Draws an index with probability proportional to its weight, in O(1) (Walker's alias method). Weights are rounded to
// 2^-40 of their sum first: a last-bit difference between mathematics libraries is lost in that, or changes one draw in
// 2^40.
class WeightedChoice {
 public:
  explicit WeightedChoice(std::span<const double> weights);  // non-negative, not all zero
  std::size_t draw(RandomStream& stream) const;

 private:
  std::vector<std::uint64_t> threshold_;
  std::vector<std::uint32_t> alias_;
  std::uint64_t total_ = 0;
};

}  // namespace moesim::base
