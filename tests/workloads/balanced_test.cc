#include "workloads/balanced.h"

#include <algorithm>
#include <set>

#include <doctest/doctest.h>

#include "workloads/traffic.h"

namespace moesim::workloads {
namespace {

Traffic traffic_of(const BalancedShape& s) {
  const auto ids = balanced_routing(s);
  REQUIRE(ids.size() == static_cast<std::size_t>(s.tokens_per_rank * s.ranks * s.top_k));
  return layer_traffic({ids, s.top_k}, default_placement(s.experts, s.ranks),
                       static_cast<std::int32_t>(s.tokens_per_rank));
}

void check_distinct(const BalancedShape& s) {
  const auto ids = balanced_routing(s);
  const auto k = static_cast<std::size_t>(s.top_k);
  for (std::size_t at = 0; at < ids.size(); at += k) {
    const auto first = ids.begin() + static_cast<std::ptrdiff_t>(at);
    REQUIRE(std::set<std::uint16_t>(first, first + s.top_k).size() == k);
  }
}

// Experts, top_k, ranks, tokens per rank; ranks divide experts and the other ranks hold at least top_k experts.
const std::vector<BalancedShape> kDivisible = {{9 + 1, 9, 10, 128}, {64, 9, 64, 128}, {288, 9, 288, 16},
                                               {256, 8, 64, 128},   {256, 8, 8, 128}, {128, 8, 4, 100},
                                               {256, 8, 32, 7},     {10, 3, 5, 11},   {12, 8, 3, 5}};

TEST_CASE("balanced routing loads all experts alike and never its own rank") {
  for (const BalancedShape& s : kDivisible) {
    CAPTURE(s.experts);
    CAPTURE(s.ranks);
    check_distinct(s);
    const Traffic traffic = traffic_of(s);
    const auto [least, most] = std::minmax_element(traffic.slot_tokens.begin(), traffic.slot_tokens.end());
    const std::int64_t total = s.tokens_per_rank * s.ranks * s.top_k;
    CHECK(*least == total / s.experts);
    CHECK(*most == (total + s.experts - 1) / s.experts);
    for (std::int32_t rank = 0; rank < s.ranks; ++rank) CHECK(traffic.at(rank, rank) == 0);
  }
}

TEST_CASE("balanced routing spreads each token over as many ranks as there are, every source alike") {
  for (const BalancedShape& s : kDivisible) {
    CAPTURE(s.experts);
    CAPTURE(s.ranks);
    const Traffic traffic = traffic_of(s);
    const std::int64_t spread = std::min(s.top_k, s.ranks - 1);
    std::int64_t sent = 0;
    for (std::int32_t d = 1; d < s.ranks; ++d) {
      sent += traffic.at(0, d);
      for (std::int32_t source = 0; source < s.ranks; ++source)
        CHECK(traffic.at(source, (source + d) % s.ranks) == traffic.at(0, d));
    }
    CHECK(sent == s.tokens_per_rank * spread);
  }
}

TEST_CASE("balanced routing of one expert per rank sends the same to every rank where that is possible") {
  const BalancedShape s{10, 9, 10, 128};  // every token to all 9 others
  const Traffic traffic = traffic_of(s);
  for (std::int32_t a = 0; a < s.ranks; ++a)
    for (std::int32_t b = 0; b < s.ranks; ++b) CHECK(traffic.at(a, b) == (a == b ? 0 : s.tokens_per_rank));
  const BalancedShape wide{64, 9, 64, 63};  // 63 tokens of 9 to 63 others
  const Traffic alike = traffic_of(wide);
  for (std::int32_t b = 1; b < wide.ranks; ++b) CHECK(alike.at(0, b) == wide.top_k);
}

TEST_CASE("balanced routing uses the own rank only where the others have too few experts") {
  check_distinct({16, 12, 2, 10});
  const Traffic own = traffic_of({16, 12, 2, 10});  // 8 experts elsewhere, 12 wanted
  CHECK(own.at(0, 0) > 0);
  for (const std::int32_t load : own.slot_tokens) CHECK(load == 10 * 2 * 12 / 16);
  const Traffic other = traffic_of({16, 8, 2, 10});
  CHECK(other.at(0, 0) == 0);
  const Traffic alone = traffic_of({16, 8, 1, 10});
  CHECK(alone.at(0, 0) == 10);
  for (const std::int32_t load : alone.slot_tokens) CHECK(load == 10 * 8 / 16);
}

TEST_CASE("balanced routing over replicated experts loads slots alike and keeps off its own rank") {
  for (const BalancedShape& s :
       std::vector<BalancedShape>{{256, 8, 72, 128}, {256, 8, 72, 5}, {8, 2, 72, 20}, {60, 4, 16, 33}}) {
    CAPTURE(s.experts);
    CAPTURE(s.tokens_per_rank);
    check_distinct(s);
    const Traffic traffic = traffic_of(s);
    const auto [least, most] = std::minmax_element(traffic.slot_tokens.begin(), traffic.slot_tokens.end());
    std::int64_t sent = 0;
    std::int32_t own = 0, pair_most = 0, pair_least = 1 << 30;
    for (std::int32_t a = 0; a < s.ranks; ++a)
      for (std::int32_t b = 0; b < s.ranks; ++b) {
        sent += traffic.at(a, b);
        (a == b ? own : pair_most) = std::max(a == b ? own : pair_most, traffic.at(a, b));
        if (a != b) pair_least = std::min(pair_least, traffic.at(a, b));
      }
    CHECK(own == 0);
    CHECK(sent == s.tokens_per_rank * s.ranks * s.top_k);  // top_k distinct ranks for every token
    CHECK(*most - *least <= 1);
    CHECK(pair_most - pair_least <= 5);
  }
}

}  // namespace
}  // namespace moesim::workloads
