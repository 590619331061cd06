// What holds for every task graph, checked on random ones.
#include <string>

#include <doctest/doctest.h>

#include "tests/sim/engine/engines_under_test.h"
#include "tests/sim/engine/graph_changes.h"
#include "tests/sim/engine/random_graph.h"
#include "tests/sim/engine/reference_engine.h"
#include "tests/sim/engine/small_graphs.h"
#include "tests/sim/engine/timeline_checks.h"

namespace moesim::tests {
namespace {

using engine::Engine;
using engine::TaskGraph;

// Runs `check` on each engine with `seeds` random graphs of the features that it expresses.
void for_random_graphs(std::uint64_t seeds, const std::function<void(const Engine&, const TaskGraph&)>& check) {
  for (const EngineUnderTest& under_test : engines_under_test()) {
    INFO("engine ", std::string(under_test.name));
    const auto engine = under_test.make();
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      INFO("seed ", seed);
      check(*engine, random_graph(seed, mixed_options(seed, under_test.expresses_everything)));
    }
  }
}

// All flows at once, without latency and computes.
RandomGraphOptions only_flows(std::uint64_t seed) {
  RandomGraphOptions options = mixed_options(seed, false);
  options.exchanges = 1;
  options.latencies = options.computes = false;
  return options;
}

TEST_CASE("Every resource carries exactly what flows and computes ask of it") {
  for_random_graphs(120, [](const Engine& engine, const TaskGraph& graph) {
    const auto timeline = engine.run(graph);
    const auto expected = demand(graph);
    REQUIRE(timeline.carried.size() == expected.size());
    for (std::size_t r = 0; r < expected.size(); ++r) CHECK(agree(timeline.carried[r], expected[r], 1e-12));
  });
}

TEST_CASE("No resource is ever above its capacity, and no makespan below the bound") {
  for_random_graphs(120, [](const Engine& engine, const TaskGraph& graph) {
    const auto timeline = engine.run(graph);
    CHECK(overload(graph, timeline) == "");
    CHECK(timeline.makespan.value() >= lower_bound(graph) * (1 - 1e-12));
  });
}

TEST_CASE("Nothing happens before what it waits for, and the makespan is the last event") {
  for_random_graphs(60, [](const Engine& engine, const TaskGraph& graph) {
    const auto timeline = engine.run(graph);
    base::Duration last;
    for (std::size_t e = 0; e < graph.num_events(); ++e) {
      last = std::max(last, timeline.event[e]);
      for (const auto p : graph.prerequisites(engine::EventId(e)))
        CHECK(timeline.event[e] >= timeline.event[p.index()]);
    }
    CHECK(timeline.makespan == last);
  });
}

TEST_CASE("The order in which ranks, resources, paths and flows are named changes nothing") {
  for_random_graphs(60, [](const Engine& engine, const TaskGraph& graph) {
    const auto expected = engine.run(graph);
    const ChangedGraph shuffled = changed(graph, {.capacity_factor = {}, .cap_factor = 1, .shuffle_seed = 7});
    const auto timeline = shuffled.in_original_names(engine.run(shuffled.graph));
    CHECK(difference(graph, expected, timeline, 1e-9) == "");
  });
}

TEST_CASE("Without latency and staggered starts, scaling all capacities by c scales every time by 1/c") {
  for_each_engine([](const Engine& engine) {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      INFO("seed ", seed);
      const TaskGraph graph = random_graph(seed, only_flows(seed));
      const double c = 0.3 + static_cast<double>(seed);
      const ChangedGraph faster = changed(graph, {std::vector<double>(graph.resources().size(), c), c, std::nullopt});
      auto timeline = engine.run(faster.graph);
      for (auto& t : timeline.event) t = t * c;
      for (auto& t : timeline.drained[0]) t *= c;
      timeline.makespan = timeline.makespan * c;
      CHECK(difference(graph, engine.run(graph), timeline, 1e-9) == "");
    }
  });
}

TEST_CASE("Flows without a chain of shared resources to a halved link keep their times") {
  constexpr double kCapacity = 4, kSmall = 10, kLarge = 25;
  for_each_engine([&](const Engine& engine) {
    const double same = engine.name() == "fluid" ? 0 : 1e-12;  // fluid: bit for bit
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      INFO("seed ", seed);
      TaskGraph graph = random_graph(seed, mixed_options(seed, false));
      const auto link = add_link(graph, kCapacity);
      const auto path = add_path(graph, {{link}});
      const auto apart = add_flows(graph, 2, {{path, 0, 1, kSmall}, {path, 0, 1, kLarge}});
      std::vector<double> factor(graph.resources().size(), 1);
      factor[link.index()] = 0.5;
      const auto before = engine.run(graph), after = engine.run(changed(graph, {factor, 1, std::nullopt}).graph);
      for (std::size_t x = 0; x < apart.exchange.index(); ++x)
        for (std::size_t f = 0; f < before.drained[x].size(); ++f)
          CHECK(agree(after.drained[x][f], before.drained[x][f], same));
      for (std::size_t e = 0; e < apart.first; ++e) CHECK(agree(after.event[e].value(), before.event[e].value(), same));
      for (const auto& [timeline, capacity] : {std::pair(before, kCapacity), std::pair(after, kCapacity / 2)}) {
        CHECK(timeline.drained[apart.exchange.index()][0] == near(2 * kSmall / capacity));
        CHECK(timeline.drained[apart.exchange.index()][1] == near((kSmall + kLarge) / capacity));
      }
    }
  });
}

TEST_CASE("Every engine agrees with the reference on everything that it expresses") {
  const auto reference = make_reference_engine();
  for_random_graphs(400, [&](const Engine& engine, const TaskGraph& graph) {
    CHECK(difference(graph, reference->run(graph), engine.run(graph), 1e-9) == "");
  });
}

TEST_CASE("The same graph gives the same timeline, bit for bit") {
  for_random_graphs(20, [](const Engine& engine, const TaskGraph& graph) {
    CHECK(difference(graph, engine.run(graph), engine.run(graph), 0) == "");
  });
}

}  // namespace
}  // namespace moesim::tests
