#include "planning/compare.h"

#include <algorithm>

#include <doctest/doctest.h>

namespace moesim::planning {
namespace {

// examples/40-leaf-spine.json with these values, named after its position.
results::Comparison compared(const std::vector<std::vector<std::string>>& values) {
  std::vector<sim::Scenario> scenarios;
  for (const std::vector<std::string>& sets : values) {
    scenarios.push_back(sim::load_scenario("examples/40-leaf-spine.json", sets));
    scenarios.back().name = std::to_string(scenarios.size());
  }
  return compare(scenarios, "", 2);
}

std::ptrdiff_t notes(const results::Comparison& comparison) {
  return std::count_if(comparison.warnings.begin(), comparison.warnings.end(),
                       [](const std::string& text) { return text.find("no slower link") != std::string::npos; });
}

const std::string kHalf = "cluster.scale_out.oversubscription=2", kFull = "cluster.scale_out.oversubscription=1",
                  kQuarter = "cluster.scale_out.oversubscription=4";

}  // namespace

TEST_CASE("a cluster that is slower with faster links is named, with the reason") {
  const results::Comparison comparison = compared({{kHalf}, {kFull}, {kQuarter}});
  REQUIRE(comparison.results[1].total > comparison.results[0].total * 1.001);
  REQUIRE(comparison.results[0].total < comparison.results[2].total);
  REQUIRE(notes(comparison) == 1);
  CHECK(comparison.warnings.back().starts_with("\"2\" has no slower link than \"1\", and faster ones, yet takes "));
}

TEST_CASE("what differs in more than links, or is no slower, is not") {
  CHECK(notes(compared({{kQuarter}, {kHalf}})) == 0);
  CHECK(notes(compared({{kHalf}, {kHalf, "step.tokens_per_gpu=256"}})) == 0);
  CHECK(notes(compared({{kHalf}, {kFull, "step.tokens_per_gpu=256"}})) == 0);
  CHECK(notes(compared({{kHalf}, {kFull, "cluster.scale_out.ecmp_seed=1"}})) == 0);
  // Faster uplinks, slower NICs.
  const auto mixed = compared({{kQuarter}, {kFull, R"(cluster.scale_out.nic_bandwidth="200 Gb/s")"}});
  REQUIRE(mixed.results[1].total > mixed.results[0].total * 1.001);
  CHECK(notes(mixed) == 0);
}

}  // namespace moesim::planning
