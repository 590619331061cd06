#include "workloads/placement_section.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "tests/base/input_error.h"
#include "tests/workloads/inputs.h"
#include "workloads/eplb.h"
#include "workloads/npy.h"
#include "workloads/placement_search.h"
#include "workloads/trace_statistics.h"

namespace moesim::workloads {
namespace {

using tests::Contains;
using tests::input_error;
using tests::JsonText;
using tests::model_of;
using tests::ScratchFolder;

Model model_with(std::int32_t experts, std::int32_t top_k = 2) {
  return model_of("{\"preset\": \"qwen3-30b-a3b\", \"experts\": " + std::to_string(experts) +
                  ", \"top_k\": " + std::to_string(top_k) + "}");
}

base::RankMap domains_of(std::int32_t ranks, std::int32_t per_domain) {
  base::RankMap map;
  for (std::int32_t rank = 0; rank < ranks; ++rank) map.node.push_back(rank / per_domain);
  map.domain = map.node;
  return map;
}

// Of strategies that do not learn.
Placement placed(const std::string& json, std::int32_t experts, std::int32_t ranks,
                 std::vector<std::string>& warnings) {
  const JsonText text(json);
  return PlacementSource(&text.node, model_with(experts), domains_of(ranks, ranks), warnings).layer({});
}

TEST_CASE("without strategy the placement is contiguous, with as many slots as fill the ranks") {
  std::vector<std::string> warnings;
  CHECK(PlacementSource(nullptr, model_with(256), domains_of(72, 72), warnings).layer({}) ==
        default_placement(256, 72));
  CHECK(placed("{}", 256, 72, warnings) == default_placement(256, 72));
  CHECK(placed(R"({"strategy": "contiguous", "redundant": 32})", 256, 72, warnings) == default_placement(256, 72));
  CHECK(placed(R"({"slots": 512})", 256, 64, warnings) == contiguous_placement(256, 64, 512));
  CHECK(placed(R"({"strategy": "random", "seed": 5})", 256, 64, warnings) == random_placement(256, 64, 256, 5));
  CHECK(warnings.empty());
}

TEST_CASE("slots that the ranks do not divide are dealt evenly, with a warning") {
  std::vector<std::string> warnings;
  const Placement p = placed(R"({"slots": 256})", 256, 72, warnings);
  std::vector<int> count(72, 0);
  for (const std::int32_t rank : p.slot_rank) ++count[static_cast<std::size_t>(rank)];
  for (int rank = 0; rank < 72; ++rank) CHECK(count[static_cast<std::size_t>(rank)] == (rank < 256 % 72 ? 4 : 3));
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0] == Contains("/slots: 256 slots on 72 ranks: the first 40 ranks hold 4, the others 3"));
}

TEST_CASE("replicas on one and the same rank earn a warning") {
  std::vector<std::string> warnings;
  placed(R"({"slots": 16})", 4, 2, warnings);
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
  CHECK(error_of(R"({"redundant": 0})", 256, 300) == Contains("/redundant: more ranks (300) than slots"));
  CHECK(error_of(R"({"slots": 0})", 256, 8) == Contains("out of range"));
  CHECK(error_of(R"({"slots": "288"})", 256, 8) == Contains("not a number"));
  CHECK(error_of(R"({"slot": 288})", 256, 8) == Contains("did you mean \"slots\""));
  CHECK(error_of("[288]", 256, 8) == Contains("not an object"));
  CHECK(error_of(R"({"slots": 264, "redundant": 8})", 256, 8) == Contains("/redundant: beside \"slots\""));
  CHECK(error_of(R"({"strategy": "best"})", 256, 8) == Contains("/strategy"));
  CHECK(error_of(R"({"seed": 1})", 256, 8) == Contains("/seed: strategy \"contiguous\" has no use for it"));
  CHECK(error_of(R"({"strategy": "random", "policy": "global"})", 256, 8) == Contains("\"strategy\": \"eplb\""));
  CHECK(error_of(R"({"strategy": "eplb", "redundant": 5})", 256, 8) ==
        Contains("/redundant: 261 slots on 8 ranks, of which \"eplb\" needs equally many on each"));
  CHECK(error_of(R"({"strategy": "eplb", "policy": "hierarchical"})", 256, 8) ==
        Contains("/policy: there are not several"));
  CHECK(error_of(R"({"strategy": "eplb", "observe": "past"})", 256, 8) == Contains("/observe"));
}

struct Learned {
  ScratchFolder folder;
  Model model = model_with(16, 2);
  Trace trace = tests::made_up_trace(100, 48, 2, 16);
  std::vector<std::string> warnings;

  Learned() {
    // The second half chooses high experts: what follows the step differs from what the step has.
    for (std::size_t i = 0; i < trace.ids.size(); ++i)
      if (static_cast<std::int64_t>(i) / 2 % 100 >= 48) trace.ids[i] = static_cast<std::uint16_t>(8 + trace.ids[i] % 8);
    write_npy(trace, folder.file("t.npy"));
  }
  Placement place_on(const std::string& json, std::int64_t tokens_per_rank = 12,
                     const base::RankMap& map = domains_of(4, 4)) {
    const JsonText text(json, folder.file("scenario.json")),
        routing(R"({"trace": "t.npy"})", folder.file("scenario.json"));
    const RoutingSource source(routing.node, model, warnings);
    const PlacementCosts costs;
    return PlacementSource(&text.node, model, map, warnings).layer({&source, 3, tokens_per_rank, &costs});
  }
  std::vector<double> loads(std::int64_t first, std::int64_t count) const {
    const std::vector<std::int64_t> counts = expert_loads(trace.layer(3).slice(first, count), 16);
    return {counts.begin(), counts.end()};
  }
};

TEST_CASE("EPLB learns from the tokens after the step's, from the step's own, or from another routing") {
  Learned learned;
  const EplbShape shape{20, 4, 1, 1};
  CHECK(learned.place_on(R"({"strategy": "eplb", "redundant": 4})") == eplb_placement(learned.loads(48, 48), shape));
  CHECK(learned.place_on(R"({"strategy": "eplb", "redundant": 4, "observe": "same"})") ==
        eplb_placement(learned.loads(0, 48), shape));
  CHECK(learned.place_on(R"({"strategy": "eplb", "redundant": 4, "observe_tokens": 10})") ==
        eplb_placement(learned.loads(48, 10), shape));
  // As many as follow.
  CHECK(learned.place_on(R"({"strategy": "eplb", "redundant": 4, "observe_tokens": 1000})") ==
        eplb_placement(learned.loads(48, 52), shape));
  write_npy(tests::made_up_trace(7, 48, 2, 16), learned.folder.file("other.npy"));
  const Trace other = tests::made_up_trace(7, 48, 2, 16);
  const std::vector<std::int64_t> counts = expert_loads(other.layer(3), 16);
  CHECK(learned.place_on(R"({"strategy": "eplb", "redundant": 4, "observe": {"trace": "other.npy"}})") ==
        eplb_placement(std::vector<double>(counts.begin(), counts.end()), shape));
}

TEST_CASE("a recording with nothing after the step's tokens cannot teach a placement") {
  Learned learned;
  const std::string error = input_error([&] { learned.place_on(R"({"strategy": "eplb"})", 25); });
  CHECK(error == Contains("no tokens beyond the step's 100"));
  CHECK(error == Contains("scenario.json"));
}

TEST_CASE("EPLB is hierarchical where the NVLink domains can share the model's groups") {
  std::vector<std::string> warnings;
  Model model = model_of(R"({"preset": "deepseek-v3"})");  // 8 groups
  const auto describe = [&](const std::string& json, const base::RankMap& map) {
    const JsonText text(json);
    return PlacementSource(&text.node, model, map, warnings).describe();
  };
  CHECK(describe(R"({"strategy": "eplb", "redundant": 32})", domains_of(32, 8)) ==
        "eplb, hierarchical over 4 NVLink domains, 288 slots for 256 experts, learned from the tokens that follow the "
        "step's");
  CHECK(describe(R"({"strategy": "eplb"})", domains_of(72, 8)) == Contains("eplb, global, 288 slots"));
  CHECK(describe(R"({"strategy": "eplb"})", domains_of(64, 64)) == Contains("eplb, global"));
  CHECK(describe(R"({"strategy": "eplb", "policy": "global"})", domains_of(32, 8)) == Contains("eplb, global"));
  CHECK(input_error([&] { describe(R"({"strategy": "eplb", "policy": "hierarchical"})", domains_of(72, 8)); }) ==
        Contains("9 NVLink domains cannot share the 8 expert groups of DeepSeek-V3 evenly"));
}

TEST_CASE("the topology strategy searches with the costs given, every source alike") {
  Learned learned;
  const base::RankMap map = domains_of(4, 2);
  PlacementCosts costs;  // as place_on
  costs.any_source = true;
  CHECK(learned.place_on(R"({"strategy": "topology", "redundant": 4, "seed": 9})", 12, map) ==
        search_placement(learned.trace.layer(3).slice(48, 48), 16, map, costs, {20, 1, 9}));
}

}  // namespace
}  // namespace moesim::workloads
