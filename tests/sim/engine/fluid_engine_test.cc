#include "sim/engine/fluid_engine.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include <doctest/doctest.h>

#include "base/random.h"
#include "tests/sim/engine/random_graph.h"
#include "tests/sim/engine/reference_engine.h"
#include "tests/sim/engine/small_graphs.h"
#include "tests/sim/engine/timeline_checks.h"

namespace moesim::tests {
namespace {

using base::Duration;
using engine::EventId;
using engine::TaskGraph;

// Everything that random graphs have, with more ranks: components meet, fall apart and are built anew.
RandomGraphOptions wide_options(std::uint64_t seed) {
  RandomGraphOptions options = mixed_options(seed, true);
  base::RandomStream random(seed, "wide options");
  options.max_ranks = 6 + static_cast<std::int32_t>(random.below(7));
  options.resources = 4 + static_cast<std::int32_t>(random.below(12));
  if (random.below(3) == 0) options.flow_probability = 0.2;
  // Holds of several exchanges that wait for one another's computes can hold all SMs for ever.
  if (options.sm_holds) options.exchanges = std::min(options.exchanges, 1);
  return options;
}

TEST_CASE("Fluid agrees with the reference on hundreds of random graphs, with a certificate after each solve") {
  const auto reference = make_reference_engine(), fluid = engine::make_fluid_engine({.certify = true});
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    INFO("seed ", seed);
    const TaskGraph graph = random_graph(seed, wide_options(seed));
    CHECK(difference(graph, reference->run(graph), fluid->run(graph), 1e-9) == "");
  }
}

// An all-to-all among 16 GPUs on a switch and, `beside` it, another whose one port changes.
struct TwoSwitches {
  TaskGraph graph;
  std::size_t flows_of_first = 0;
  explicit TwoSwitches(double capacity_of_second, double start_of_second) {
    constexpr std::int32_t kGpus = 16;
    base::RandomStream random(3, "two switches");
    std::vector<engine::ResourceId> links;
    for (std::int32_t i = 0; i < 4 * kGpus; ++i)
      links.push_back(add_link(graph, i == 3 * kGpus ? capacity_of_second : 10));
    for (const std::int32_t first : {0, 2 * kGpus}) {
      engine::Exchange exchange{"x", kGpus, {}, {}, {}};
      for (std::int32_t s = 0; s < kGpus; ++s) {
        for (std::int32_t r = 0; r < kGpus; ++r) {
          if (s == r) continue;
          const std::int32_t up_index = first + s, down_index = first + kGpus + r;
          const auto up = links[static_cast<std::size_t>(up_index)], down = links[static_cast<std::size_t>(down_index)];
          exchange.flows.push_back({add_path(graph, {{up}, {down}}), s, r, 1 + random.uniform()});
        }
      }
      const auto delay =
          graph.add_compute({"delay", 0, Duration(first == 0 ? 0 : start_of_second), Duration(0), {}}, {});
      graph.add_exchange(std::move(exchange), std::vector<EventId>(kGpus, delay.done));
    }
  }
};

TEST_CASE("Flows without a chain of shared resources to a change keep their times, bit for bit") {
  const auto fluid = engine::make_fluid_engine({});
  const auto before = fluid->run(TwoSwitches(10, 0).graph);
  for (const auto& [capacity, start] : {std::pair(7.0, 0.0), {10.0, 0.3}, {23.0, 1.1}}) {
    const auto after = fluid->run(TwoSwitches(capacity, start).graph);
    CHECK(after.drained[0] == before.drained[0]);
    CHECK(after.drained[1] != before.drained[1]);
  }
}

TEST_CASE("Completions within the tolerance are handled together, at little cost in accuracy") {
  constexpr std::int32_t kGpus = 24;
  SwitchNetwork network(kGpus, 450e9, 1e-6);
  base::RandomStream random(1, "batched");
  std::vector<engine::Flow> flows;
  for (std::int32_t s = 0; s < kGpus; ++s)
    for (std::int32_t r = 0; r < kGpus; ++r)
      if (s != r) flows.push_back(network.flow(s, r, 1e6 * (0.5 + random.uniform()) / std::sqrt(r + 1)));
  add_flows(network.graph, kGpus, flows);
  const auto exact = engine::make_fluid_engine({})->run(network.graph);
  for (const double tolerance : {1e-4, 1e-3, 1e-2}) {
    const auto batched = engine::make_fluid_engine({.tolerance = tolerance})->run(network.graph);
    CHECK(batched.tolerance == tolerance);
    double sum = 0, largest = 0;
    for (std::size_t f = 0; f < flows.size(); ++f) {
      const double error = std::abs(batched.drained[0][f] / exact.drained[0][f] - 1);
      sum += error;
      largest = std::max(largest, error);
    }
    CHECK(largest > 0);
    CHECK(largest < 4 * tolerance);
    CHECK(sum / static_cast<double>(flows.size()) < 0.1 * tolerance);
    CHECK(std::abs(batched.makespan / exact.makespan - 1) < tolerance);
    CHECK(batched.carried == exact.carried);
  }
}

TEST_CASE("A flow that has just started is not put together with the end of an old one") {
  constexpr double kOld = 100, kLate = 99.9, kShort = 0.15;
  TaskGraph graph;
  const auto a = add_link(graph, 1), b = add_link(graph, 1);
  // All rates are 1/2: the long flow, over both links, shares each with one other.
  const auto late = graph.add_compute({"late", 2, Duration(kLate), Duration(0), {}}, {}).done;
  const auto events = graph.add_exchange({"x",
                                          3,
                                          {{add_path(graph, {{a}}), 0, 0, kOld / 2},
                                           {add_path(graph, {{a}, {b}}), 1, 1, kOld},
                                           {add_path(graph, {{b}}), 2, 2, kShort / 2}},
                                          {},
                                          {}},
                                         std::vector<EventId>{engine::kOrigin, engine::kOrigin, late});
  const auto timeline = engine::make_fluid_engine({.tolerance = 1e-2})->run(graph);
  CHECK(timeline.event[events.sent(0).index()].value() == near(kOld));
  CHECK(timeline.event[events.sent(2).index()].value() == near(kLate + kShort));
}

TEST_CASE("Equal flows of an all-to-all end at one moment, exactly when their ports have carried their bytes") {
  constexpr std::int32_t kGpus = 32;
  constexpr double kBytes = 1 << 20, kBandwidth = 450e9;
  SwitchNetwork network(kGpus, kBandwidth, 0);
  std::vector<engine::Flow> flows;
  for (std::int32_t s = 0; s < kGpus; ++s)
    for (std::int32_t r = 0; r < kGpus; ++r)
      if (s != r) flows.push_back(network.flow(s, r, kBytes));
  add_flows(network.graph, kGpus, flows);
  const auto timeline = engine::make_fluid_engine({})->run(network.graph);
  for (const double drained : timeline.drained[0]) {
    CHECK(drained == timeline.drained[0][0]);
    CHECK(drained == near((kGpus - 1) * kBytes / kBandwidth));
  }
}

TEST_CASE("Thousands of flows of one class keep their order") {
  constexpr int kFlows = 3000;
  TaskGraph graph;
  const auto path = add_path(graph, {{add_link(graph, 1)}});
  base::RandomStream random(1, "one class");
  std::vector<engine::Flow> flows;
  for (int f = 0; f < kFlows; ++f) flows.push_back({path, 0, 1, 1 + random.uniform()});
  add_flows(graph, 2, flows);
  const auto timeline = engine::make_fluid_engine({})->run(graph);
  std::vector<double> amounts;
  for (const auto& flow : flows) amounts.push_back(flow.amount);
  std::sort(amounts.begin(), amounts.end());
  std::vector<double> drained = timeline.drained[0];
  std::sort(drained.begin(), drained.end());
  double at = 0, before = 0;
  for (int f = 0; f < kFlows; ++f) {
    const auto i = static_cast<std::size_t>(f);
    at += (amounts[i] - before) * (kFlows - f);
    before = amounts[i];
    CHECK(drained[i] == near(at));
  }
}

TEST_CASE("One engine runs graphs from several threads at once, with the same results") {
  const auto fluid = engine::make_fluid_engine({});
  const TaskGraph graph = random_graph(11, wide_options(11));
  const auto expected = fluid->run(graph);
  std::vector<std::string> differences(4, "did not run");
  std::vector<std::thread> threads;
  for (std::string& d : differences)
    threads.emplace_back([&] { d = difference(graph, expected, fluid->run(graph), 0); });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& d : differences) CHECK(d == "");
}

}  // namespace
}  // namespace moesim::tests
