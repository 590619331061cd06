#include "workloads/traffic.h"

#include <algorithm>
#include <numeric>
#include <set>

#include <doctest/doctest.h>

#include "base/error.h"
#include "base/random.h"
#include "workloads/placement.h"

namespace moesim::workloads {
namespace {

struct Case {
  std::int32_t experts, ranks, slots, top_k, tokens_per_rank;
};

Placement placed(const Case& c) { return contiguous_placement(c.experts, c.ranks, c.slots); }

// Distinct experts per token, the low ones more often.
std::vector<std::uint16_t> skewed_ids(const Case& c) {
  base::RandomStream stream(7, "ids");
  std::vector<std::uint16_t> ids;
  for (std::int32_t t = 0; t < c.tokens_per_rank * c.ranks; ++t) {
    std::set<std::uint16_t> chosen;
    while (chosen.size() < static_cast<std::size_t>(c.top_k))
      chosen.insert(static_cast<std::uint16_t>(stream.below(1 + stream.below(static_cast<std::uint64_t>(c.experts)))));
    ids.insert(ids.end(), chosen.begin(), chosen.end());
  }
  return ids;
}

// What traffic.h says, word for word, without any of its haste.
Traffic by_definition(const LayerRouting& routing, const Placement& p, std::int32_t tokens_per_rank) {
  const auto ranks = static_cast<std::size_t>(p.ranks);
  Traffic traffic;
  traffic.ranks = p.ranks;
  traffic.tokens.assign(ranks * ranks, 0);
  traffic.slot_tokens.assign(p.slot_expert.size(), 0);
  traffic.rank_selections.assign(ranks, 0);
  traffic.rank_slots_hit.assign(ranks, 0);
  for (std::int64_t t = 0; t < routing.tokens(); ++t) {
    std::set<std::size_t> receivers;
    for (const std::uint16_t expert : routing.slice(t, 1).experts) {
      std::vector<std::size_t> replicas;
      for (std::size_t slot = 0; slot < p.slot_expert.size(); ++slot)
        if (p.slot_expert[slot] == expert) replicas.push_back(slot);
      const std::size_t slot = replicas[static_cast<std::size_t>(t) % replicas.size()];
      ++traffic.slot_tokens[slot];
      ++traffic.rank_selections[static_cast<std::size_t>(p.slot_rank[slot])];
      receivers.insert(static_cast<std::size_t>(p.slot_rank[slot]));
    }
    for (const std::size_t r : receivers) ++traffic.tokens[static_cast<std::size_t>(t / tokens_per_rank) * ranks + r];
  }
  for (std::size_t slot = 0; slot < p.slot_expert.size(); ++slot)
    traffic.rank_slots_hit[static_cast<std::size_t>(p.slot_rank[slot])] += traffic.slot_tokens[slot] > 0 ? 1 : 0;
  return traffic;
}

const std::vector<Case> kCases = {
    {16, 4, 16, 4, 10},    // one slot per expert
    {16, 4, 20, 4, 10},    // four experts twice
    {256, 72, 288, 8, 3},  // the usual EP72
    {8, 72, 72, 2, 5},     // each expert nine times
    {5, 22, 22, 2, 4},     // four or five times: agree every 20 tokens
    {10, 4, 10, 3, 7},     // ranks of unequal size
    {4, 1, 4, 4, 6},       // nothing to send
};

TEST_CASE("traffic equals its definition, token by token") {
  for (const Case& c : kCases) {
    CAPTURE(c.slots);
    const Placement placement = placed(c);
    const auto ids = skewed_ids(c);
    const LayerRouting routing{ids, c.top_k};
    const Traffic traffic = layer_traffic(routing, placement, c.tokens_per_rank);
    const Traffic expected = by_definition(routing, placement, c.tokens_per_rank);
    CHECK(traffic.tokens == expected.tokens);
    CHECK(traffic.slot_tokens == expected.slot_tokens);
    CHECK(traffic.rank_selections == expected.rank_selections);
    CHECK(traffic.rank_slots_hit == expected.rank_slots_hit);
  }
}

TEST_CASE("the rows of traffic are the matrix without its zeros") {
  for (const Case& c : kCases) {
    CAPTURE(c.slots);
    const Placement placement = placed(c);
    const auto ids = skewed_ids(c);
    const Traffic dense = layer_traffic({ids, c.top_k}, placement, c.tokens_per_rank);
    std::vector<std::int32_t> tokens(dense.tokens.size(), 0);
    std::int32_t next_source = 0;
    const SlotLoad load = for_each_traffic_row(
        {ids, c.top_k}, placement, c.tokens_per_rank, [&](std::int32_t source, std::span<const TrafficCell> cells) {
          CHECK(source == next_source++);
          std::int32_t last = -1;
          for (const TrafficCell& cell : cells) {
            CHECK(cell.receiver > last);
            CHECK(cell.tokens > 0);
            last = cell.receiver;
            tokens[static_cast<std::size_t>(source) * static_cast<std::size_t>(c.ranks) +
                   static_cast<std::size_t>(cell.receiver)] = cell.tokens;
          }
        });
    CHECK(next_source == c.ranks);
    CHECK(tokens == dense.tokens);
    CHECK(load.slot_tokens == dense.slot_tokens);
    CHECK(load.rank_selections == dense.rank_selections);
  }
}

TEST_CASE("every selection of every token is computed once") {
  for (const Case& c : kCases) {
    CAPTURE(c.slots);
    const auto ids = skewed_ids(c);
    const Traffic traffic = layer_traffic({ids, c.top_k}, placed(c), c.tokens_per_rank);
    const std::int64_t selections = std::int64_t{c.tokens_per_rank} * c.ranks * c.top_k;
    CHECK(std::accumulate(traffic.slot_tokens.begin(), traffic.slot_tokens.end(), std::int64_t{0}) == selections);
    CHECK(std::accumulate(traffic.rank_selections.begin(), traffic.rank_selections.end(), std::int64_t{0}) ==
          selections);
  }
}

TEST_CASE("relabelling the ranks relabels the traffic") {
  const Case c{16, 4, 16, 4, 10};
  const std::vector<std::int32_t> new_label = {2, 0, 3, 1};
  const auto ids = skewed_ids(c);
  const Traffic before = layer_traffic({ids, c.top_k}, placed(c), c.tokens_per_rank);

  // Rank r becomes new_label[r]: its tokens move there, and so do its experts (4 per rank).
  std::vector<std::uint16_t> moved(ids.size());
  const std::size_t block = static_cast<std::size_t>(c.tokens_per_rank) * static_cast<std::size_t>(c.top_k);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto source = static_cast<std::size_t>(new_label[i / block]);
    moved[source * block + i % block] = static_cast<std::uint16_t>(new_label[ids[i] / 4] * 4 + ids[i] % 4);
  }
  const Traffic after = layer_traffic({moved, c.top_k}, placed(c), c.tokens_per_rank);
  for (std::int32_t s = 0; s < c.ranks; ++s)
    for (std::int32_t d = 0; d < c.ranks; ++d)
      CHECK(after.at(new_label[static_cast<std::size_t>(s)], new_label[static_cast<std::size_t>(d)]) ==
            before.at(s, d));
}

TEST_CASE("traffic refuses what its caller promised not to pass") {
  const Placement placement = default_placement(4, 2);
  const std::vector<std::uint16_t> three_tokens = {0, 1, 2}, beyond = {0, 4};
  CHECK_THROWS_AS(layer_traffic({three_tokens, 1}, placement, 1), base::InternalError);
  CHECK_THROWS_AS(layer_traffic({beyond, 1}, placement, 1), base::InternalError);
}

}  // namespace
}  // namespace moesim::workloads
