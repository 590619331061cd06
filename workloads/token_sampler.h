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

  // Draws the tokens of `ids` [tokens][top_k] one after the other. `previous`: experts of the token before them (none
  // for the first of all); each token keeps those of its predecessor with probability `kept` before it draws others.
  void draw(const ExpertWeights& weights, std::span<const std::uint16_t> previous, double kept,
            base::RandomStream& stream, std::span<std::uint16_t> ids);

 private:
  class Token;
  static std::size_t draw_rest(const ExpertWeights& weights, const Token& token, base::RandomStream& stream);

  std::int32_t top_k_, top_groups_;
  std::vector<std::uint16_t> group_of_;   // [experts]
  std::vector<std::int64_t> used_;        // [experts] the last token that took it, or for good could not
  std::vector<std::int64_t> group_used_;  // [groups] the last token that took an expert of it
  std::int64_t token_ = -1;
};

}  // namespace moesim::workloads
