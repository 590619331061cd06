#include "sim/engine/simgrid_engine.h"

#include <cstdio>
#include <functional>
#include <thread>

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/sim/engine/random_graph.h"
#include "tests/sim/engine/reference_engine.h"
#include "tests/sim/engine/small_graphs.h"
#include "tests/sim/engine/timeline_checks.h"

namespace moesim::tests {
namespace {

using base::Duration;
using engine::TaskGraph;

const auto kOptions = engine::EngineOptions{};

TEST_CASE("What SimGrid cannot express is refused by name") {
  struct Refusal {
    const char* feature;
    std::function<void(TaskGraph&)> build;
  };
  const std::vector<Refusal> refusals{
      {"SM holds (dispatch)",
       [](TaskGraph& g) {
         g.add_exchange({"dispatch", 1, {}, {}, {{0, add_sms(g, 10), 2, false}}});
       }},
      {"multicast (dispatch)",
       [](TaskGraph& g) {
         g.add_exchange({"dispatch", 3, {{add_path(g, {{add_link(g, 1)}}), 0, -1, 5}}, {{1, 2}}, {}});
       }},
      {"capacity changes (nic)",
       [](TaskGraph& g) {
         const auto nic = g.add_resource({"nic", engine::ResourceKind::Link, 1, {{Duration(1), 2}}});
         add_flows(g, 2, {{add_path(g, {{nic}}), 0, 1, 5}});
       }},
      {"capacity changes (sms)",
       [](TaskGraph& g) {
         const auto sms = g.add_resource({"sms", engine::ResourceKind::Sms, 1, {{Duration(1), 2}}});
         g.add_compute({"a", 0, Duration(0), Duration(1), {{sms, 1}}}, {});
       }},
      {"flows and computes on one resource (sms)",
       [](TaskGraph& g) {
         const auto sms = add_sms(g, 10);
         g.add_compute({"a", 0, Duration(0), Duration(1), {{sms, 1}}}, {});
         add_flows(g, 2, {{add_path(g, {{sms}}), 0, 1, 5}});
       }},
      {"computes that compete for sms (a and b)",
       [](TaskGraph& g) {
         const auto sms = add_sms(g, 10);
         g.add_compute({"a", 0, Duration(0), Duration(2), {{sms, 6}}}, {});
         g.add_compute({"b", 0, Duration(1), Duration(2), {{sms, 6}}}, {});
       }},
      {"weights that are not small whole multiples of one number (link 0)",
       [](TaskGraph& g) {
         const auto link = add_link(g, 1);
         add_flows(g, 2, {{add_path(g, {{link, 1}}), 0, 1, 5}, {add_path(g, {{link, 0.7310585786}}), 0, 1, 5}});
       }},
      {"amounts that differ by a factor above 1e8 (exchange)",
       [](TaskGraph& g) {
         const auto path = add_path(g, {{add_link(g, 1)}});
         add_flows(g, 2, {{path, 0, 1, 1e20 / 3}, {path, 0, 1, 1.0 / 3}});
       }},
  };
  for (const Refusal& refusal : refusals) {
    TaskGraph graph;
    refusal.build(graph);
    CHECK_THROWS_WITH_AS(
        engine::make_simgrid_engine(kOptions)->run(graph),
        doctest::Contains(("engine \"simgrid\" cannot express " + std::string(refusal.feature)).c_str()),
        engine::UnsupportedError);
    CHECK(make_reference_engine()->run(graph).makespan.value() >= 0);  // the graph itself is fine
  }
}

TEST_CASE("Refusable parts that nothing uses are no reason to refuse") {
  TaskGraph graph;
  graph.add_resource({"spare", engine::ResourceKind::Link, 1, {{Duration(1), 2}}});
  const auto sms = add_sms(graph, 10);
  graph.add_compute({"a", 0, Duration(0), Duration(2), {{sms, 6}}}, {});
  // Begins just as the first ends, although no edge says so.
  graph.add_compute({"b", 0, Duration(2), Duration(1), {{sms, 6}}}, {});
  graph.add_exchange({"x", 1, {}, {}, {{0, sms, 0, false}}});
  CHECK(engine::make_simgrid_engine(kOptions)->run(graph).makespan.value() == near(2.0 + 1));
}

TEST_CASE("SimGrid is exact at any scale of time, bandwidth and size") {
  const auto reference = make_reference_engine(), simgrid = engine::make_simgrid_engine(kOptions);
  for (const double size : {1e-6, 1.0, 0x1p20, 1e15}) {
    for (const double bandwidth : {1e-3, 50.0, 450e9}) {
      RandomGraphOptions options;
      options.size = size;
      options.bandwidth = bandwidth;
      options.exchanges = 2;
      options.computes = options.latencies = options.caps = true;
      const TaskGraph graph = random_graph(3, options);
      CHECK(difference(graph, reference->run(graph), simgrid->run(graph), 1e-12) == "");
    }
  }
}

TEST_CASE("A large flow beside small ones, and short ones in a long run, are exact too") {
  SwitchNetwork network(3, 450e9, 1e-6);
  const auto first = add_flows(network.graph, 3, {network.flow(0, 1, 1e12), network.flow(0, 2, 512)});
  // After two seconds, flows of a nanosecond.
  const std::vector<engine::EventId> after(3, first.done(1));
  network.graph.add_exchange({"second", 3, {network.flow(2, 0, 512), network.flow(1, 0, 512)}, {}, {}}, after);
  const auto timeline = engine::make_simgrid_engine(kOptions)->run(network.graph);
  CHECK(timeline.drained[0][1] == near(512 / (450e9 / 2)));
  const double second = timeline.event[first.done(1).index()].value();
  CHECK(second == near((1e12 + 512) / 450e9 + 1e-6));
  CHECK((timeline.drained[1][0] - second) == doctest::Approx(2 * 512 / 450e9).epsilon(1e-5).scale(0));
}

TEST_CASE("SimGrid can be run from several threads at once, with the same results") {
  const TaskGraph graph = random_graph(5, mixed_options(5, false));
  const auto simgrid = engine::make_simgrid_engine(kOptions);
  const auto expected = simgrid->run(graph);
  std::vector<std::string> differences(3, "did not run");
  std::vector<std::thread> threads;
  for (std::string& d : differences)
    threads.emplace_back([&] { d = difference(graph, expected, simgrid->run(graph), 0); });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& d : differences) CHECK(d == "");
}

TEST_CASE("SimGrid prints nothing, also when a graph stalls") {
  TaskGraph stalled;
  const auto a = stalled.add_event("a"), b = stalled.add_event("b");
  stalled.wait_for(a, b);
  stalled.wait_for(b, a);
  const auto simgrid = engine::make_simgrid_engine(kOptions);
  std::fflush(nullptr);
  const int printed = ::memfd_create("printed", 0), out = ::dup(1), err = ::dup(2);
  ::dup2(printed, 1);
  ::dup2(printed, 2);
  simgrid->run(random_graph(1, mixed_options(1, false)));
  bool threw = false;
  try {
    simgrid->run(stalled);
  } catch (const engine::StalledError&) {
    threw = true;
  }
  std::fflush(nullptr);
  ::dup2(out, 1);
  ::dup2(err, 2);
  CHECK(threw);
  CHECK(::lseek(printed, 0, SEEK_END) == 0);
  for (const int fd : {printed, out, err}) ::close(fd);
}

TEST_CASE("A ring of dependent exchanges runs to its end") {
  constexpr std::int32_t kSteps = 200;
  constexpr double kBytes = 10, kBandwidth = 5, kLatency = 0.1;
  SwitchNetwork network(2, kBandwidth, kLatency);
  std::vector<engine::EventId> after(2, engine::kOrigin);
  for (std::int32_t step = 0; step < kSteps; ++step) {
    const std::int32_t from = step % 2, to = 1 - from;
    const auto events = network.graph.add_exchange({"step", 2, {network.flow(from, to, kBytes)}, {}, {}}, after);
    after.assign(2, events.done(to));
  }
  CHECK(engine::make_simgrid_engine(kOptions)->run(network.graph).makespan.value() ==
        near(kSteps * (kBytes / kBandwidth + kLatency)));
}

}  // namespace
}  // namespace moesim::tests
