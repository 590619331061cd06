// Seeded random streams with the same values on every machine: xoshiro256** (Blackman & Vigna) seeded by splitmix64.
// Streams of different (seed, name, index) are independent, so that adding one never shifts another.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace moesim::base {

class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::string_view name, std::uint64_t index = 0);

  // In the header because generated routing draws millions of times.
  std::uint64_t next() {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }  // [0, 1), 53 bits
  std::uint64_t below(std::uint64_t bound) {                                  // unbiased in [0, bound), bound > 0
    // Lemire's multiply-and-reject method.
    __extension__ using Wide = unsigned __int128;
    Wide product = static_cast<Wide>(next()) * bound;
    if (static_cast<std::uint64_t>(product) < bound) [[unlikely]] {
      const std::uint64_t reject = (0 - bound) % bound;
      while (static_cast<std::uint64_t>(product) < reject) product = static_cast<Wide>(next()) * bound;
    }
    return static_cast<std::uint64_t>(product >> 64);
  }
  double normal();  // mean 0, standard deviation 1

 private:
  std::array<std::uint64_t, 4> state_;
};

// Draws an index with probability proportional to its weight, in O(1) (Walker's alias method). Weights are rounded to
// 2^-40 of their sum first: a last-bit difference between mathematics libraries is lost in that, or changes one draw in
// 2^40.
class WeightedChoice {
 public:
  explicit WeightedChoice(std::span<const double> weights);  // non-negative, not all zero
  std::size_t draw(RandomStream& stream) const {
    const auto i = static_cast<std::size_t>(stream.below(columns_.size()));
    return columns_[i].index[stream.below(total_) < columns_[i].threshold ? 0 : 1];
  }

 private:
  // Of a column's total, the part below the threshold is its own index's, the rest an alias's.
  struct Column {
    std::uint64_t threshold = 0;
    std::array<std::uint32_t, 2> index{};  // own, alias
  };
  std::vector<Column> columns_;
  std::uint64_t total_ = 0;
};

}  // namespace moesim::base
