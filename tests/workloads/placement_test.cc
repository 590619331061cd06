#include "workloads/placement.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "base/error.h"
#include "workloads/placement_counters.h"

namespace moesim::workloads {
namespace {

// What placement.h promises of every placement.
void check_consistent(const Placement& p) {
  REQUIRE(p.slot_rank.size() == p.slot_expert.size());
  REQUIRE(p.first.size() == static_cast<std::size_t>(p.experts) + 1);
  CHECK(std::is_sorted(p.slot_rank.begin(), p.slot_rank.end()));
  CHECK(p.slot_rank.front() == 0);
  CHECK(p.slot_rank.back() == p.ranks - 1);
  std::vector<std::int32_t> slots = p.slots;
  std::sort(slots.begin(), slots.end());
  for (std::size_t s = 0; s < slots.size(); ++s) CHECK(slots[s] == static_cast<std::int32_t>(s));
  for (std::size_t e = 0; e + 1 < p.first.size(); ++e) {
    CHECK(p.first[e] < p.first[e + 1]);
    for (auto i = static_cast<std::size_t>(p.first[e]); i < static_cast<std::size_t>(p.first[e + 1]); ++i)
      CHECK(p.slot_expert[static_cast<std::size_t>(p.slots[i])] == static_cast<std::int32_t>(e));
  }
}

TEST_CASE("the default placement gives every rank ceil(experts / ranks) slots, the first experts twice") {
  struct Case {
    std::int32_t experts, ranks, slots;
  };
  for (const Case& c : std::vector<Case>{{256, 8, 256}, {256, 72, 288}, {256, 256, 256}, {8, 72, 72}, {256, 1, 256}}) {
    CAPTURE(c.ranks);
    const Placement p = default_placement(c.experts, c.ranks);
    check_consistent(p);
    CHECK(p.num_slots() == c.slots);
    for (std::int32_t s = 0; s < c.slots; ++s) {
      CHECK(p.slot_expert[static_cast<std::size_t>(s)] == s % c.experts);
      CHECK(p.slot_rank[static_cast<std::size_t>(s)] == s / (c.slots / c.ranks));
    }
  }
}

TEST_CASE("a random placement has every expert as often as the contiguous one, and depends on the seed alone") {
  const Placement contiguous = contiguous_placement(40, 8, 48), a = random_placement(40, 8, 48, 7);
  check_consistent(a);
  CHECK(a == random_placement(40, 8, 48, 7));
  CHECK_FALSE(a == random_placement(40, 8, 48, 8));
  CHECK(a.slot_expert != contiguous.slot_expert);
  CHECK(a.first == contiguous.first);
}

TEST_CASE("replicas are numbered by their slots") {
  const Placement p = place({2, 0, 1, 0, 2, 2}, 3, 3);
  check_consistent(p);
  CHECK(p.first == std::vector<std::int32_t>{0, 2, 3, 6});
  CHECK(p.slots == std::vector<std::int32_t>{1, 3, 2, 0, 4, 5});
  CHECK(p.slot_rank == std::vector<std::int32_t>{0, 0, 1, 1, 2, 2});
  CHECK(place({0, 0, 0, 0, 0}, 1, 2).slot_rank == std::vector<std::int32_t>{0, 0, 0, 1, 1});
  CHECK_THROWS_AS(place({0, 1}, 3, 1), base::InternalError);
}

TEST_CASE("an effect is told against the placement that it defines") {
  const PlacementEffect one{{3, 6, 1, 0, 1}, {1, 7, 1, 0, 1}}, other{{1, 8, 1, 4, 1}, {2, 6, 1, 3, 1}};
  CHECK(describe({one}) ==
        "the busiest GPU computes 1.00 times the mean (contiguous, without spare slots: 3.00), a token goes to 7.00 "
        "other GPUs (6.00)");
  CHECK(describe({one, other})
            .ends_with("computes 1.50 times the mean (contiguous, without spare slots: 2.00), a token goes to 6.50 "
                       "other GPUs (7.00), "
                       "with 1.50 crossings between NVLink domains (2.00)"));
}

}  // namespace
}  // namespace moesim::workloads
