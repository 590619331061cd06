// Who sends how many tokens to whom in one MoE layer, as MoE communication kernels count them. Counts of a recorded or
// drawn routing are whole; expected counts of a uniformly random routing need not be.
#pragma once

#include <cstdint>
#include <vector>

namespace moesim::lowering {

struct MoeTokens {
  std::int32_t ranks = 0;
  std::int32_t nodes = 1;  // the ranks of a node are contiguous
  double experts_per_rank = 0;
  std::vector<double> tokens;       // [ranks] tokens of each rank
  std::vector<double> copies;       // [ranks][ranks] source-major: distinct tokens sent; the diagonal stays
  std::vector<double> selections;   // [ranks][ranks] one of the top_k choices of one token; the diagonal stays
  std::vector<double> node_copies;  // [ranks][nodes] distinct tokens that a rank sends to a node; its own stays

  std::int32_t ranks_per_node() const { return ranks / nodes; }
  std::int32_t node_of(std::int32_t rank) const { return rank / ranks_per_node(); }
  double copies_at(std::int32_t from, std::int32_t to) const { return copies[cell(from, to)]; }
  double selections_at(std::int32_t from, std::int32_t to) const { return selections[cell(from, to)]; }
  double node_copies_at(std::int32_t from, std::int32_t node) const {
    return node_copies[static_cast<std::size_t>(from) * static_cast<std::size_t>(nodes) +
                       static_cast<std::size_t>(node)];
  }

 private:
  std::size_t cell(std::int32_t from, std::int32_t to) const {
    return static_cast<std::size_t>(from) * static_cast<std::size_t>(ranks) + static_cast<std::size_t>(to);
  }
};

// Expected counts when each token of every rank chooses top_k of `experts` at random, all equally likely, the experts
// dealt evenly over the ranks. With node_limit < nodes, a token first chooses so many nodes at random, then among their
// experts. A token reaches a rank with m of its M candidate experts with probability 1 - C(M - m, k) / C(M, k).
MoeTokens expected_tokens(std::int32_t ranks, std::int32_t nodes, std::int32_t node_limit, double tokens_per_rank,
                          std::int32_t experts, std::int32_t top_k);

// Every token reaches min(top_k, ranks) distinct ranks, evenly (the balanced routing of kernel benchmarks).
MoeTokens balanced_tokens(std::int32_t ranks, double tokens_per_rank, std::int32_t experts, std::int32_t top_k);

}  // namespace moesim::lowering
