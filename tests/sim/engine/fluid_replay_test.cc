// Identical exchanges are simulated once (sim/engine/exchange_memory.h).
#include <algorithm>

#include <doctest/doctest.h>

#include "base/random.h"
#include "sim/engine/fluid_engine.h"
#include "sim/engine/fluid_network.h"
#include "tests/sim/engine/reference_engine.h"
#include "tests/sim/engine/small_graphs.h"
#include "tests/sim/engine/timeline_checks.h"

namespace moesim::tests {
namespace {

using base::Duration;
using engine::EventId;
using engine::FluidNetwork;
using engine::TaskGraph;

// An all-to-all on a star of `gpus`, given flow by flow to a network.
struct Star {
  explicit Star(std::uint32_t gpus) : capacity(std::size_t{2} * gpus, 10.0) {
    base::RandomStream random(1, "star");
    for (std::uint32_t s = 0; s < gpus; ++s) {
      for (std::uint32_t r = 0; r < gpus; ++r) {
        if (s == r) continue;
        routes.link.insert(routes.link.end(), {s, gpus + r});
        routes.weight.insert(routes.weight.end(), {1.0, 1.0});
        routes.begin.push_back(static_cast<std::uint32_t>(routes.link.size()));
        routes.rate_cap.push_back(engine::kNoCap);
        amounts.push_back(1 + random.uniform());
      }
    }
  }
  // Starts all flows as those of `exchange` at `now` and runs to their end; offsets of the ends, by flow.
  std::vector<double> run(FluidNetwork& network, std::uint32_t exchange, double now) const {
    std::vector<double> offset(amounts.size(), -1);
    std::vector<FluidNetwork::Completed> completed;
    for (std::uint32_t f = 0; f < amounts.size(); ++f) network.expect(f);
    for (std::uint32_t f = 0; f < amounts.size(); ++f) network.start(f, amounts[f], exchange, f);
    double at = now;
    while (at < 1e9) {
      network.complete(at, completed);
      network.flush(at, completed);
      for (const auto& c : completed) {
        CHECK(c.exchange == exchange);
        offset[c.index] = c.at - now;
      }
      completed.clear();
      at = network.next();
    }
    return offset;
  }

  engine::Routes routes;
  std::vector<double> capacity, amounts;
};

TEST_CASE(
    "The second of two equal exchanges is replayed, with the same offsets; another capacity is another exchange") {
  const Star star(8);
  FluidNetwork network(star.routes, star.capacity, star.capacity, star.capacity, {});
  network.set_repeated({1, 1, 0, 1, 1});
  const auto first = star.run(network, 0, 0);
  CHECK(network.replays() == 0);
  const auto second = star.run(network, 1, 100);
  CHECK(network.replays() == 1);
  for (std::size_t f = 0; f < first.size(); ++f) CHECK(100 + first[f] == 100 + second[f]);
  star.run(network, 2, 200);
  CHECK(network.replays() == 1);  // not among the repeated ones

  network.set_capacity(0, 5);
  const auto slower = star.run(network, 3, 300);
  CHECK(network.replays() == 1);
  CHECK(slower[0] > first[0]);
  network.set_capacity(0, 10);
  CHECK(star.run(network, 4, 400)[0] == near(first[0]));
  CHECK(network.replays() == 2);
}

// Equal exchanges one after the other, some disturbed half-way by other flows or by each other, some by a capacity.
TaskGraph repeated_exchanges(std::uint64_t seed) {
  base::RandomStream random(seed, "repeated exchanges");
  const auto some = [&](std::uint64_t of) { return random.below(of) == 0; };
  TaskGraph graph;
  const auto gpus = static_cast<std::int32_t>(7 + random.below(3));
  const auto ranks = static_cast<std::size_t>(gpus);
  std::vector<engine::ResourceId> up, down;
  for (std::size_t i = 0; i < ranks; ++i) {
    up.push_back(add_link(graph, 1 + random.uniform()));
    std::vector<engine::CapacityChange> changes;
    if (some(20)) changes.push_back({Duration(100 * random.uniform()), 1});
    down.push_back(graph.add_resource({"down", engine::ResourceKind::Link, 1 + random.uniform(), changes}));
  }
  std::vector<engine::PathId> paths;
  for (std::size_t s = 0; s < ranks; ++s)
    for (std::size_t r = 0; r < ranks; ++r) paths.push_back(add_path(graph, {{up[s]}, {down[r]}}, some(2) ? 0.5 : 0));
  engine::Exchange exchange{"repeated", gpus, {}, {}, {}};
  for (std::int32_t s = 0; s < gpus; ++s)
    for (std::int32_t r = 0; r < gpus; ++r)
      if (s != r && !some(8))
        exchange.flows.push_back(
            {paths[static_cast<std::size_t>(s) * ranks + static_cast<std::size_t>(r)], s, r, 1 + random.uniform()});
  const auto delay = [&](EventId after, double seconds) {
    return graph.add_compute({"delay", 0, Duration(seconds), Duration(0), {}}, std::vector<EventId>{after}).done;
  };
  EventId last = engine::kOrigin;
  for (std::uint64_t k = 3 + random.below(4); k > 0; --k) {
    if (some(2)) last = delay(last, random.uniform());
    const auto events = graph.add_exchange(exchange, std::vector<EventId>(ranks, last));
    if (some(3)) {
      const auto later = delay(last, 8 * random.uniform());
      graph.add_exchange({"disturbance", gpus, {{paths[1], 0, 1, 0.5 + random.uniform()}}, {}, {}},
                         std::vector<EventId>(ranks, later));
    }
    if (some(4)) graph.add_exchange(exchange, std::vector<EventId>(ranks, events.done(2)));
    last = events.all_done();
  }
  return graph;
}

TEST_CASE("Repeated exchanges, disturbed or not, end when the reference says") {
  const auto reference = make_reference_engine(), fluid = engine::make_fluid_engine({.certify = true});
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed ", seed);
    const TaskGraph graph = repeated_exchanges(seed);
    CHECK(difference(graph, reference->run(graph), fluid->run(graph), 1e-9) == "");
  }
}

TEST_CASE("Replaying gives the bits of simulating, exact and batched, disturbed or not") {
  for (const double tolerance : {0.0, 1e-2}) {
    const auto replayed = engine::make_fluid_engine({.tolerance = tolerance});
    const auto simulated = engine::make_fluid_engine({.tolerance = tolerance, .replay = false});
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      INFO("seed ", seed, ", tolerance ", tolerance);
      const TaskGraph graph = repeated_exchanges(seed);
      const auto a = replayed->run(graph), b = simulated->run(graph);
      CHECK((a.event == b.event));
      CHECK((a.drained == b.drained));
    }
  }
}

}  // namespace
}  // namespace moesim::tests
