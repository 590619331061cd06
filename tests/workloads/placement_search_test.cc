#include "workloads/placement_search.h"

#include <algorithm>
#include <numeric>

#include <doctest/doctest.h>

#include "base/random.h"
#include "tests/base/input_error.h"
#include "tests/reference_data.h"
#include "tests/workloads/inputs.h"
#include "workloads/balanced.h"
#include "workloads/eplb.h"
#include "workloads/trace_file.h"
#include "workloads/trace_statistics.h"
#include "workloads/traffic.h"

namespace moesim::workloads {
namespace {

using doctest::Approx;

base::RankMap domains_of(std::int32_t ranks, std::int32_t per_domain) {
  base::RankMap map;
  for (std::int32_t rank = 0; rank < ranks; ++rank) map.node.push_back(rank / per_domain);
  map.domain = map.node;
  return map;
}

// Distinct experts, low numbers more often.
std::vector<std::uint16_t> skewed_ids(std::int32_t experts, std::int32_t top_k, std::int64_t tokens) {
  base::RandomStream stream(11, "ids");
  std::vector<std::uint16_t> ids;
  for (std::int64_t t = 0; t < tokens; ++t) {
    std::vector<std::uint16_t> chosen;
    while (chosen.size() < static_cast<std::size_t>(top_k)) {
      const auto bound = 1 + stream.below(static_cast<std::uint64_t>(experts));
      const auto id = static_cast<std::uint16_t>(stream.below(bound));
      if (std::find(chosen.begin(), chosen.end(), id) == chosen.end()) chosen.push_back(id);
    }
    ids.insert(ids.end(), chosen.begin(), chosen.end());
  }
  return ids;
}

PlacementCosts costs_of(bool once_per_domain, bool any_source) {
  PlacementCosts costs;
  costs.per_selection = base::Duration(1e-6);
  costs.per_slot = base::Duration(2e-6);
  costs.bytes = base::Bytes(1000);
  costs.rank_bandwidth = base::Bandwidth(1e9);
  costs.domain_bandwidth = base::Bandwidth(2e9);
  costs.once_per_domain = once_per_domain;
  costs.any_source = any_source;
  return costs;
}

TEST_CASE("counts are those of the traffic matrices") {
  const std::int32_t experts = 24, ranks = 8, tokens = 40;
  const auto ids = skewed_ids(experts, 4, std::int64_t{tokens} * ranks);
  const LayerRouting routing{ids, 4};
  const Placement placement = random_placement(experts, ranks, 32, 3);
  const base::RankMap map = domains_of(ranks, 2);
  const Traffic traffic = layer_traffic(routing, placement, tokens);
  const std::vector<std::int32_t> groups = group_matrix(routing, placement, tokens, 2);
  double copies = 0, most_in = 0, most_out = 0, crossings = 0, domain_most = 0;
  for (std::int32_t rank = 0; rank < ranks; ++rank) {
    double in = 0, out = 0;
    for (std::int32_t other = 0; other < ranks; ++other) {
      in += other != rank ? traffic.at(other, rank) : 0;
      out += other != rank ? traffic.at(rank, other) : 0;
    }
    copies += in;
    most_in = std::max(most_in, in);
    most_out = std::max(most_out, out);
  }
  for (std::int32_t domain = 0; domain < 4; ++domain) {
    double in = 0, out = 0;
    for (std::int32_t rank = 0; rank < ranks; ++rank)
      for (std::int32_t to = 0; to < 4; ++to) {
        const double count = groups[static_cast<std::size_t>(rank) * 4 + static_cast<std::size_t>(to)];
        if (rank / 2 != domain && to == domain) in += count;
        if (rank / 2 == domain && to != domain) out += count;
      }
    crossings += in;
    domain_most = std::max({domain_most, in, out});
  }
  const PlacementQuality quality = placement_quality(routing, placement, map);
  const double all = tokens * ranks;
  CHECK(quality.copies_per_token == Approx(copies / all));
  CHECK(quality.crossings_per_token == Approx(crossings / all));
  CHECK(quality.copies_imbalance == Approx(most_in * ranks / copies));
  const auto& load = traffic.rank_selections;
  CHECK(quality.load_imbalance ==
        Approx(static_cast<double>(*std::max_element(load.begin(), load.end())) / (tokens * 4)));
  const PlacementTime time = placement_time(routing, placement, map, costs_of(true, false));
  CHECK(time.rank_exchange.value() == Approx(std::max(most_in, most_out) * 1000 / 1e9));
  CHECK(time.domain_exchange.value() == Approx(domain_most * 1000 / 2e9));
  const auto hit = *std::max_element(traffic.rank_slots_hit.begin(), traffic.rank_slots_hit.end());
  CHECK(time.experts.value() ==
        Approx(std::max(static_cast<double>(*std::max_element(load.begin(), load.end())) * 1e-6, hit * 2e-6)));
  // Without forwarding every copy from another domain crosses, at the receiver's half of its domain's rate.
  double far = 0;
  for (std::int32_t rank = 0; rank < ranks; ++rank) {
    double in = 0, out = 0;
    for (std::int32_t other = 0; other < ranks; ++other) {
      if (other / 2 == rank / 2) continue;
      in += traffic.at(other, rank);
      out += traffic.at(rank, other);
    }
    far = std::max({far, in, out});
  }
  const PlacementTime direct = placement_time(routing, placement, map, costs_of(false, false));
  CHECK(direct.domain_exchange.value() == Approx(far * 1000 / (2e9 / 2)));
  CHECK(time.total() == time.experts + std::max(time.rank_exchange, time.domain_exchange));
}

TEST_CASE("counts kept up through exchanges are those counted afresh, whatever a domain and a source mean") {
  const std::int32_t experts = 24, ranks = 8;
  const auto ids = skewed_ids(experts, 4, 200);
  const LayerRouting routing{ids, 4};
  const base::RankMap map = domains_of(ranks, 4);
  for (const bool once : {true, false})
    for (const bool any : {true, false}) {
      const PlacementCosts costs = costs_of(once, any);
      Placement placement = random_placement(experts, ranks, 32, 3);
      PlacementCounters counters(routing, placement, map, costs);
      base::RandomStream stream(5, "exchanges");
      for (int i = 0; i < 200; ++i) {
        const auto a = static_cast<std::int32_t>(stream.below(32)), b = static_cast<std::int32_t>(stream.below(32));
        if (counters.rank_of(a) == counters.rank_of(b)) continue;
        counters.exchange(a, b);
        std::swap(placement.slots[static_cast<std::size_t>(a)], placement.slots[static_cast<std::size_t>(b)]);
        const PlacementCounters fresh(routing, placement, map, costs);
        REQUIRE(counters.worth().time.total() == fresh.worth().time.total());
        REQUIRE(counters.worth().squares == Approx(fresh.worth().squares));
        REQUIRE(counters.quality().crossings_per_token == fresh.quality().crossings_per_token);
      }
    }
}

TEST_CASE("a token from any rank is worth the mean over the ranks that it may come from") {
  // One token to experts on ranks 0, 1 and 2 of 4, in two domains of two.
  const std::vector<std::uint16_t> ids{0, 1, 2};
  const LayerRouting routing{ids, 3};
  const Placement placement = contiguous_placement(4, 4, 4);
  const PlacementTime forwarded = placement_time(routing, placement, domains_of(4, 2), costs_of(true, true));
  const PlacementTime direct = placement_time(routing, placement, domains_of(4, 2), costs_of(false, true));
  const double rank_seconds = 1000 / 1e9, domain_seconds = 1000 / 2e9;
  // A rank with one of the experts gets a copy in 3 cases of 4; any rank sends 3 of 4 of the 3 copies.
  CHECK(forwarded.rank_exchange.value() == Approx(std::max(3.0 / 4, 3.0 / 4 * 3 / 4) * rank_seconds));
  // Each domain is entered in 2 cases of 4, and left by half of the tokens for the other one.
  CHECK(forwarded.domain_exchange.value() == Approx(domain_seconds / 2));
  // Directly: into a rank in 2 cases of 4; out of rank 2 or 3 with 2 copies in 1 case of 4. A rank has half the rate.
  CHECK(direct.domain_exchange.value() == Approx(std::max(2.0 / 4, 2 * 1.0 / 4) * 2 * domain_seconds));
}

TEST_CASE("experts that are chosen together end up in one domain") {
  // Even experts are chosen with even ones, odd with odd: contiguous placement mixes them everywhere.
  const std::int32_t experts = 16, ranks = 4;
  std::vector<std::uint16_t> ids;
  base::RandomStream stream(2, "pairs");
  for (int token = 0; token < 800; ++token) {
    const auto first = static_cast<std::uint16_t>(stream.below(8));
    const auto second = static_cast<std::uint16_t>((first + 1 + stream.below(7)) % 8);
    for (const std::uint16_t id : {first, second}) ids.push_back(static_cast<std::uint16_t>(2 * id + token % 2));
  }
  const LayerRouting routing{ids, 2};
  const base::RankMap map = domains_of(ranks, 2);
  PlacementCosts costs;
  costs.bytes = base::Bytes(1);
  costs.domain_bandwidth = base::Bandwidth(1);
  costs.any_source = true;
  const Placement found = search_placement(routing, experts, map, costs, {16, 1, 1});
  for (std::size_t slot = 0; slot < 16; ++slot)
    CHECK((found.slot_expert[slot] % 2 == found.slot_expert[0] % 2) == (slot < 8));
  // Half of a domain's tokens come from the other one.
  CHECK(placement_time(routing, found, map, costs).domain_exchange.value() == 400 / 2);
  CHECK(placement_time(routing, contiguous_placement(experts, ranks, 16), map, costs).domain_exchange.value() > 250);
}

TEST_CASE("on what it has seen, the search is at least as good as every start, and the same for the same seed") {
  const std::int32_t experts = 64, ranks = 16;
  const auto ids = skewed_ids(experts, 6, 960);
  const LayerRouting routing{ids, 6};
  const std::vector<std::int64_t> counts = expert_loads(routing, experts);
  const std::vector<double> loads(counts.begin(), counts.end());
  const base::RankMap map = domains_of(ranks, 4);
  for (const bool any : {true, false}) {
    const PlacementCosts costs = costs_of(true, any);
    const SearchOptions options{80, 8, 4};
    const Placement found = search_placement(routing, experts, map, costs, options);
    CHECK(found == search_placement(routing, experts, map, costs, options));
    CHECK(found.num_slots() == 80);
    std::vector<std::int32_t> slots = found.slots;
    std::sort(slots.begin(), slots.end());
    for (std::int32_t slot = 0; slot < 80; ++slot) CHECK(slots[static_cast<std::size_t>(slot)] == slot);
    for (std::size_t e = 0; e < 64; ++e) {
      CHECK(found.first[e] < found.first[e + 1]);
      for (auto i = static_cast<std::size_t>(found.first[e]); i < static_cast<std::size_t>(found.first[e + 1]); ++i)
        CHECK(found.slot_expert[static_cast<std::size_t>(found.slots[i])] == static_cast<std::int32_t>(e));
    }
    const double best = placement_time(routing, found, map, costs).total().value();
    CHECK(best < placement_time(routing, contiguous_placement(experts, ranks, 80), map, costs).total().value());
    CHECK(best < placement_time(routing, eplb_placement(loads, {80, ranks, 1, 1}), map, costs).total().value());
    CHECK(best <= placement_time(routing, eplb_placement(loads, {80, ranks, 8, 4}), map, costs).total().value());
  }
}

TEST_CASE("relabelling experts changes names alone: the worth of a placement stays") {
  const std::int32_t experts = 24, ranks = 4;
  auto ids = skewed_ids(experts, 3, 200);
  Placement placement = random_placement(experts, ranks, 24, 1);
  const base::RankMap map = domains_of(ranks, 2);
  const auto before = placement_time(LayerRouting{ids, 3}, placement, map, costs_of(true, false));
  const auto rename = [&](std::int32_t expert) { return (expert * 7 + 5) % experts; };
  for (std::uint16_t& id : ids) id = static_cast<std::uint16_t>(rename(id));
  for (std::int32_t& expert : placement.slot_expert) expert = rename(expert);
  const auto after =
      placement_time(LayerRouting{ids, 3}, place(placement.slot_expert, experts, ranks), map, costs_of(true, false));
  CHECK(after.total() == before.total());
  CHECK(after.domain_exchange == before.domain_exchange);
}

TEST_CASE("balanced routing has nothing to gain in load, and on one GPU everything is local") {
  const auto ids = balanced_routing({32, 4, 8, 64});
  const LayerRouting routing{ids, 4};
  const PlacementCosts costs = costs_of(true, false);
  const Placement found = search_placement(routing, 32, domains_of(8, 4), costs, {32, 1, 1});
  CHECK(placement_quality(routing, found, domains_of(8, 4)).load_imbalance == Approx(1));
  const Placement alone = search_placement(routing, 32, domains_of(1, 1), costs, {32, 1, 1});
  const PlacementQuality quality = placement_quality(routing, alone, domains_of(1, 1));
  CHECK(quality.copies_per_token == 0);
  CHECK(quality.crossings_per_token == 0);
  CHECK(quality.load_imbalance == 1);
}

TEST_CASE("domains are nodes for EPLB where they are equal and contiguous") {
  CHECK(equal_domains(domains_of(16, 4)) == 4);
  CHECK(equal_domains(domains_of(10, 4)) == 1);
  base::RankMap mixed = domains_of(4, 2);
  std::swap(mixed.domain[1], mixed.domain[2]);
  CHECK(equal_domains(mixed) == 1);
}

TEST_CASE("on a real trace the search saves copies and crossings that EPLB does not, also on tokens it has not seen") {
  const auto path = tests::reference_data("traces/soryxie-vllm-qwen3-30b-a3b/token_distri_16.jsonl");
  if (!path) return;
  const Trace all = read_trace_file(*path, {48});
  const Trace trace = one_pass(all, largest_pass(all));
  const std::int64_t half = trace.tokens / 2;
  const base::RankMap map = domains_of(16, 4);
  // Four GPUs of Qwen3-30B-A3B's width to a node, each with 50 GB/s to the others.
  PlacementCosts costs;
  costs.per_selection = base::Duration(2 * 3.0 * 2048 * 768 / 500e12);
  costs.bytes = base::Bytes(3 * 2048);
  costs.rank_bandwidth = base::Bandwidth(400e9);
  costs.domain_bandwidth = base::Bandwidth(4 * 50e9);
  costs.any_source = true;
  double crossings = 0, eplb_crossings = 0, seen = 0, eplb_seen = 0, load = 0, default_load = 0;
  for (std::int32_t layer = 0; layer < trace.layers; layer += 6) {
    const LayerRouting first = trace.layer(layer).slice(0, half), second = trace.layer(layer).slice(half, half);
    const std::vector<std::int64_t> counts = expert_loads(first, 128);
    const std::vector<double> loads(counts.begin(), counts.end());
    const Placement eplb = eplb_placement(loads, {128, 16, 1, 1});
    const Placement found = search_placement(first, 128, map, costs, {128, 1, 1});
    crossings += placement_quality(second, found, map).crossings_per_token;
    eplb_crossings += placement_quality(second, eplb, map).crossings_per_token;
    seen += placement_time(first, found, map, costs).total().value();
    eplb_seen += placement_time(first, eplb, map, costs).total().value();
    const PlacementEffect effect = placement_effect(second, default_placement(128, 16), found, map);
    load += effect.after.load_imbalance;
    default_load += effect.before.load_imbalance;
  }
  CHECK(seen < eplb_seen);
  CHECK(crossings < eplb_crossings);
  CHECK(load < default_load);
  MESSAGE("8 layers, EP16 on 4 nodes: time on the first half "
          << seen / eplb_seen << " of EPLB's; crossings on the second " << crossings / eplb_crossings
          << "; load, max/mean " << default_load / 8 << " -> " << load / 8);
}

}  // namespace
}  // namespace moesim::workloads
