// Draws the experts of tokens, one token after the other.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "workloads/model.h"

namespace moesim::workloads {

// How likely each expert is to be drawn.
class ExpertWeights {
 public:
  explicit ExpertWeights(std::span<const double> weights);  // [experts] >= 0, not all zero

 private:
  friend class TokenSampler;
  base::WeightedChoice choice_;
  std::vector<std::uint64_t> share_;  // [experts] > 0
};

// A token takes distinct experts by weight without replacement. Group-limited models (top_groups < groups): the first
// top_groups groups that a token meets in its draws are its groups, and draws from others are refused.
class TokenSampler {
 public:
  explicit TokenSampler(const Model& model);

  // `previous`: experts of the token before (none for the first), each kept with probability `kept` before others are
  // drawn. Writes top_k ids to `ids`.
  void draw(const ExpertWeights& weights, std::span<const std::uint16_t> previous, double kept,
            base::RandomStream& stream, std::uint16_t* ids);

 private:
  bool allowed(std::size_t expert) const;
  bool take(std::size_t expert);
  std::size_t draw_rest(const ExpertWeights& weights, base::RandomStream& stream) const;

  std::int32_t top_k_, top_groups_;
  std::vector<std::uint16_t> group_of_;   // [experts]
  std::vector<std::int64_t> used_;        // [experts] the last token that took it
  std::vector<std::int64_t> group_used_;  // [groups]
  std::int64_t token_ = -1;
  std::int32_t groups_open_ = 0;  // groups that the token may still enter
};

}  // namespace moesim::workloads
