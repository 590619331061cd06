#include "sim/engine/task_graph.h"

#include <functional>

#include <doctest/doctest.h>

#include "base/error.h"
#include "tests/sim/engine/engines_under_test.h"
#include "tests/sim/engine/small_graphs.h"

namespace moesim::tests {
namespace {

using base::Duration;
using engine::EventId;
using engine::ResourceId;
using engine::TaskGraph;

TEST_CASE("Events are described by what they belong to") {
  TaskGraph graph;
  const auto compute = graph.add_compute({"experts", 3, Duration(0), Duration(1), {}}, {});
  const auto exchange = graph.add_exchange({"dispatch", 2, {}, {}, {}});
  CHECK(graph.describe(engine::kOrigin) == "origin");
  CHECK(graph.describe(graph.add_event("layer 7")) == "layer 7");
  CHECK(graph.describe(compute.start) == "start[3] of experts");
  CHECK(graph.describe(compute.done) == "done[3] of experts");
  CHECK(graph.describe(exchange.start(1)) == "start[1] of dispatch");
  CHECK(graph.describe(exchange.sent(0)) == "sent[0] of dispatch");
  CHECK(graph.describe(exchange.done(1)) == "done[1] of dispatch");
  CHECK(graph.describe(exchange.all_done()) == "end of dispatch");
}

TEST_CASE("A flow's receivers are one rank or a group") {
  TaskGraph graph;
  const auto path = add_path(graph, {{add_link(graph, 1)}});
  graph.add_exchange({"x", 4, {{path, 0, 3, 1}, {path, 0, -2, 1}}, {{0}, {1, 2}}, {}});
  const auto& exchange = graph.exchanges().front();
  const auto one = graph.receivers(exchange, exchange.flows[0]), group = graph.receivers(exchange, exchange.flows[1]);
  CHECK(std::vector(one.begin(), one.end()) == std::vector<std::int32_t>{3});
  CHECK(std::vector(group.begin(), group.end()) == std::vector<std::int32_t>{1, 2});
}

TEST_CASE("Parts that make no sense are refused as they are added") {
  const engine::ResourceId link{std::uint32_t{0}}, missing{std::uint32_t{9}};
  const engine::PathId path{std::uint32_t{0}}, nowhere{std::uint32_t{1}};
  const auto flows = [](TaskGraph& g, engine::Flow flow) { add_flows(g, 2, {flow}); };
  const auto compute = [&](TaskGraph& g, double alone, engine::Use use) {
    g.add_compute({"compute", 0, Duration(0), Duration(alone), {use}}, {});
  };
  const auto resource = [](TaskGraph& g, double capacity, std::vector<engine::CapacityChange> changes) {
    g.add_resource({"r", engine::ResourceKind::Link, capacity, std::move(changes)});
  };
  const std::vector<std::function<void(TaskGraph&)>> mistakes{
      [&](TaskGraph& g) { resource(g, 0, {}); },
      [&](TaskGraph& g) { resource(g, engine::kNoCap, {}); },
      [&](TaskGraph& g) {
        resource(g, 1, {{Duration(2), 1}, {Duration(1), 1}});
      },
      [&](TaskGraph& g) {
        resource(g, 1, {{Duration(1), -1}});
      },
      [&](TaskGraph& g) { add_path(g, {{missing}}); },
      [&](TaskGraph& g) {
        add_path(g, {{link, 0}});
      },
      [&](TaskGraph& g) { add_path(g, {{link}}, -1); },
      [&](TaskGraph& g) {
        flows(g, {path, 0, 1, 0});
      },
      [&](TaskGraph& g) {
        flows(g, {path, 0, 1, engine::kNoCap});
      },
      [&](TaskGraph& g) {
        flows(g, {path, 0, 1, 1, 0});
      },
      [&](TaskGraph& g) {
        flows(g, {path, 2, 1, 1});
      },
      [&](TaskGraph& g) {
        flows(g, {path, 0, 2, 1});
      },
      [&](TaskGraph& g) {
        flows(g, {path, 0, -1, 1});
      },  // no such group
      [&](TaskGraph& g) {
        flows(g, {nowhere, 0, 1, 1});
      },  // nothing limits it
      [&](TaskGraph& g) { compute(g, -1, {link}); },
      [&](TaskGraph& g) {
        compute(g, 1, {link, 11});
      },  // more than there is
      [&](TaskGraph& g) {
        g.add_exchange({"x", 2, {}, {}, {{2, link, 1}}});
      },
      [&](TaskGraph& g) {
        g.add_exchange({"x", 2, {}, {{0, 5}}, {}});
      },
      [&](TaskGraph& g) {
        g.add_exchange({"x", 2, {}, {}, {}}, std::vector<EventId>{engine::kOrigin});
      },
      [&](TaskGraph& g) { g.wait_for(EventId(std::uint32_t{99}), engine::kOrigin); },
      [&](TaskGraph& g) {
        g.add_exchange({"x", 2, {}, {}, {}, {{link, 1}}, {}});  // of one rank only
      },
      [&](TaskGraph& g) {
        g.add_exchange({"x", 2, {}, {}, {}, {}, {{link, 1}, {missing, 1}}});
      },
      [&](TaskGraph& g) {
        g.add_exchange({"x", 2, {}, {}, {}, {{link, 1}, {link, -1}}, {}});
      },
      [&](TaskGraph& g) {
        g.add_exchange({"x", 2, {{path, 0, -1, 1}}, {{0, 1}}, {}, {}, {{link, 1}, {link, 1}}});  // several receivers
      },
      [&](TaskGraph& g) {
        g.add_exchange({"x", 2, {{nowhere, 0, 1, 1}}, {}, {}, {{link, 0}, {link, 1}}, {}});  // not of its source
      },
  };
  for (std::size_t i = 0; i < mistakes.size(); ++i) {
    INFO("mistake ", i);
    TaskGraph graph;
    add_link(graph, 10);
    add_path(graph, {{link}});
    add_path(graph, {});
    CHECK_THROWS_AS(mistakes[i](graph), base::InternalError);
  }
}

TEST_CASE("Events that wait for one another stall, and the message says who waits for whom and since when") {
  TaskGraph graph;
  const auto before = graph.add_compute({"attention", 0, Duration(0), Duration(1.5), {}}, {});
  const auto late = graph.add_event("late", std::vector<EventId>{before.done});
  const auto path = add_path(graph, {{add_link(graph, 1)}});
  const auto exchange = graph.add_exchange({"combine", 2, {{path, 0, 1, 2}}, {}, {}});
  graph.wait_for(late, exchange.done(1));
  graph.wait_for(exchange.start(0), late);
  for_each_engine([&](const engine::Engine& engine) {
    CHECK_THROWS_WITH_AS(engine.run(graph), doctest::Contains("late waits for done[1] of combine"),
                         engine::StalledError);
    CHECK_THROWS_WITH_AS(engine.run(graph), doctest::Contains("start[0] of combine waits for late"),
                         engine::StalledError);
    CHECK_THROWS_WITH_AS(engine.run(graph), doctest::Contains("stalls at 1.50 s"), engine::StalledError);
  });
}

TEST_CASE("The message of a large stalled graph shows a few of the waiting and counts the rest") {
  constexpr int kComputes = 20;
  TaskGraph graph;
  const auto a = graph.add_event("a");
  graph.wait_for(a, a);
  for (int i = 0; i < kComputes; ++i)
    graph.add_compute({"experts", i, Duration(0), Duration(1), {}}, std::vector<EventId>{a});
  for_each_engine([&](const engine::Engine& engine) {
    CHECK_THROWS_WITH_AS(engine.run(graph), doctest::Contains("a waits for a; start[0] of experts waits for a; "),
                         engine::StalledError);
    // a and all starts wait, the dones follow from these; five are shown.
    const std::string rest = "and " + std::to_string(1 + kComputes - 5) + " more";
    CHECK_THROWS_WITH_AS(engine.run(graph), doctest::Contains(rest.c_str()), engine::StalledError);
  });
}

TEST_CASE("An event waits for what wait_for adds beside what its owner means") {
  TaskGraph graph;
  const auto path = add_path(graph, {{add_link(graph, 1)}});
  const auto exchange = graph.add_exchange({"exchange", 2, {{path, 0, 1, 2}}, {}, {}});
  const auto slow = graph.add_compute({"slow", 0, Duration(0), Duration(9), {}}, {});
  graph.wait_for(exchange.sent(0), slow.done);
  for_each_engine([&](const engine::Engine& engine) {
    const auto timeline = engine.run(graph);
    CHECK(timeline.drained[0][0] == near(2));
    CHECK(timeline.event[exchange.done(1).index()].value() == near(2));
    CHECK(timeline.event[exchange.sent(0).index()].value() == near(9));
  });
}

TEST_CASE("Engines are made by name, and an unknown name lists them") {
  for (const std::string& name : engine::engine_names()) CHECK(engine::make_engine(name)->name() == name);
  CHECK_THROWS_WITH_AS(engine::make_engine("simgird"), doctest::Contains("did you mean \"simgrid\"?"),
                       base::InputError);
}

}  // namespace
}  // namespace moesim::tests
