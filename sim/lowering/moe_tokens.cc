#include "sim/lowering/moe_tokens.h"

#include <algorithm>

#include "base/error.h"

namespace moesim::lowering {
namespace {

// The probability that none of `chosen` out of `all`, drawn without replacement, is among `marked` of them.
double none_of(double all, double marked, std::int32_t chosen) {
  double probability = 1;
  for (std::int32_t i = 0; i < chosen; ++i) probability *= std::max(0.0, all - marked - i) / (all - i);
  return probability;
}

MoeTokens even(std::int32_t ranks, std::int32_t nodes, double tokens_per_rank, std::int32_t experts, double copies,
               double selections, double node_copies) {
  const auto n = static_cast<std::size_t>(ranks);
  MoeTokens result;
  result.ranks = ranks;
  result.nodes = nodes;
  result.experts_per_rank = static_cast<double>(experts) / ranks;
  result.tokens.assign(n, tokens_per_rank);
  result.copies.assign(n * n, copies);
  result.selections.assign(n * n, selections);
  result.node_copies.assign(n * static_cast<std::size_t>(nodes), node_copies);
  return result;
}

}  // namespace

MoeTokens expected_tokens(std::int32_t ranks, std::int32_t nodes, std::int32_t node_limit, double tokens_per_rank,
                          std::int32_t experts, std::int32_t top_k) {
  MOESIM_CHECK(ranks >= 1 && nodes >= 1 && ranks % nodes == 0, "whole nodes of ranks");
  MOESIM_CHECK(top_k >= 1 && experts >= top_k && node_limit >= 1, "top_k of the experts");
  const double limit = std::min(node_limit, nodes);
  const double candidates = static_cast<double>(experts) * limit / nodes;
  const double per_rank = static_cast<double>(experts) / ranks, per_node = static_cast<double>(experts) / nodes;
  const double chosen = limit / nodes;  // probability that a node is among the token's
  return even(ranks, nodes, tokens_per_rank, experts,
              tokens_per_rank * chosen * (1 - none_of(candidates, per_rank, top_k)), tokens_per_rank * top_k / ranks,
              tokens_per_rank * chosen * (1 - none_of(candidates, per_node, top_k)));
}

MoeTokens balanced_tokens(std::int32_t ranks, double tokens_per_rank, std::int32_t experts, std::int32_t top_k) {
  MOESIM_CHECK(ranks >= 1 && top_k >= 1 && experts >= top_k, "top_k of the experts");
  return even(ranks, 1, tokens_per_rank, experts, tokens_per_rank * std::min(top_k, ranks) / ranks,
              tokens_per_rank * top_k / ranks, tokens_per_rank);
}

}  // namespace moesim::lowering
