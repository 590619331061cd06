#include "workloads/placement.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "tests/base/input_error.h"
#include "tests/workloads/inputs.h"

namespace moesim::workloads {
namespace {

using tests::Contains;
using tests::input_error;
using tests::JsonText;

Placement placed(const std::string& json, std::int32_t experts, std::int32_t ranks,
                 std::vector<std::string>& warnings) {
  const JsonText text(json);
  return read_placement(&text.node, experts, ranks, warnings);
}

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
  std::vector<std::string> warnings;
  CHECK(read_placement(nullptr, 256, 72, warnings).num_slots() == 288);
  CHECK(placed("{}", 256, 72, warnings).num_slots() == 288);
  CHECK(warnings.empty());
}

TEST_CASE("slots that the ranks do not divide are dealt evenly, with a warning") {
  std::vector<std::string> warnings;
  const Placement p = placed(R"({"slots": 256})", 256, 72, warnings);
  check_consistent(p);
  std::vector<int> count(72, 0);
  for (const std::int32_t rank : p.slot_rank) ++count[static_cast<std::size_t>(rank)];
  for (int rank = 0; rank < 72; ++rank) CHECK(count[static_cast<std::size_t>(rank)] == (rank < 256 % 72 ? 4 : 3));
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0] == Contains("/slots: 256 slots on 72 ranks: the first 40 ranks hold 4, the others 3"));
}

TEST_CASE("replicas on one and the same rank earn a warning") {
  std::vector<std::string> warnings;
  check_consistent(placed(R"({"slots": 16})", 4, 2, warnings));
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0] == Contains("same expert more than once"));
}

TEST_CASE("placements that cannot be are refused") {
  std::vector<std::string> warnings;
  const auto error_of = [&](const char* json, std::int32_t experts, std::int32_t ranks) {
    return input_error([&] { placed(json, experts, ranks, warnings); });
  };
  CHECK(error_of(R"({"slots": 255})", 256, 8) == Contains("test.json: /slots: fewer slots than the 256 experts"));
  CHECK(error_of(R"({"slots": 256})", 256, 300) == Contains("more ranks (300) than slots"));
  CHECK(error_of(R"({"slots": 0})", 256, 8) == Contains("out of range"));
  CHECK(error_of(R"({"slots": "288"})", 256, 8) == Contains("not a number"));
  CHECK(error_of(R"({"slot": 288})", 256, 8) == Contains("did you mean \"slots\""));
  CHECK(error_of("[288]", 256, 8) == Contains("not an object"));
}

}  // namespace
}  // namespace moesim::workloads
