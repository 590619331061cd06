// Closed forms of what only engines that express everything can run: holds, multicast, capacity changes, any weights,
// computes that compete.
#include <doctest/doctest.h>

#include "tests/sim/engine/engines_under_test.h"
#include "tests/sim/engine/small_graphs.h"

namespace moesim::tests {
namespace {

using base::Duration;
using engine::Engine;
using engine::EventId;
using engine::TaskGraph;

TEST_CASE("An exchange that holds SMs slows a compute from start to sent, or to done") {
  constexpr double kSms = 100, kHeld = 20, kAlone = 8, kBytes = 30, kBandwidth = 10, kLatency = 2;
  for (const bool until_done : {false, true}) {
    TaskGraph graph;
    const auto sms = add_sms(graph, kSms);
    const auto path = add_path(graph, {{add_link(graph, kBandwidth)}}, kLatency);
    const auto compute = graph.add_compute({"experts", 1, Duration(0), Duration(kAlone), {{sms, kSms}}}, {});
    // The flow is sent by rank 0 and received by rank 1: the holder is whose event releases it.
    const std::int32_t holder = until_done ? 1 : 0;
    graph.add_exchange({"held", 2, {{path, 0, 1, kBytes}}, {}, {{holder, sms, kHeld, until_done}}});
    const double held_for = kBytes / kBandwidth + (until_done ? kLatency : 0);
    for_each_full_engine([&](const Engine& engine) {
      const auto timeline = engine.run(graph);
      // While SMs are held it progresses at 1 - held / all.
      CHECK(timeline.event[compute.done.index()].value() == near(kAlone + held_for * kHeld / kSms));
      CHECK(timeline.carried[sms.index()] == near(kAlone * kSms));
    });
  }
}

TEST_CASE("A compute that leaves the held SMs free is not slowed, and holding all SMs stops it") {
  constexpr double kSms = 100, kAlone = 8, kBytes = 30, kBandwidth = 10;
  for (const double held : {40.0, 100.0, 130.0}) {
    TaskGraph graph;
    const auto sms = add_sms(graph, kSms);
    const auto path = add_path(graph, {{add_link(graph, kBandwidth)}});
    const auto compute = graph.add_compute({"experts", 0, Duration(0), Duration(kAlone), {{sms, 60}}}, {});
    graph.add_exchange({"held", 1, {{path, 0, 0, kBytes}}, {}, {{0, sms, held, false}}});
    for_each_full_engine([&](const Engine& engine) {
      const double stopped = held == 40 ? 0 : kBytes / kBandwidth;
      CHECK(engine.run(graph).event[compute.done.index()].value() == near(kAlone + stopped));
    });
  }
}

TEST_CASE("A flow goes on at the new rate when its link's capacity changes, also from zero") {
  constexpr double kBytes = 100, kC0 = 10, kC1 = 4, kC2 = 20;
  constexpr double kAt0 = 2, kAt1 = 5, kAt2 = 9;  // kC0, then kC1, then nothing, then kC2
  TaskGraph graph;
  const auto link = graph.add_resource(
      {"link", engine::ResourceKind::Link, kC0, {{Duration(kAt0), kC1}, {Duration(kAt1), 0}, {Duration(kAt2), kC2}}});
  add_flows(graph, 2, {{add_path(graph, {{link}}), 0, 1, kBytes}});
  const double by_then = kC0 * kAt0 + kC1 * (kAt1 - kAt0);
  for_each_full_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    CHECK(timeline.drained[0][0] == near(kAt2 + (kBytes - by_then) / kC2));
    CHECK(timeline.carried[link.index()] == near(kBytes));
  });
}

TEST_CASE("Of several capacity changes at one time the last counts, and one at time 0 is there from the start") {
  TaskGraph graph;
  const auto link = graph.add_resource(
      {"link", engine::ResourceKind::Link, 1, {{Duration(0), 3}, {Duration(0), 5}, {Duration(1000), 1}}});
  add_flows(graph, 2, {{add_path(graph, {{link}}), 0, 1, 60}});
  for_each_full_engine([&](const Engine& engine) { CHECK(engine.run(graph).makespan.value() == near(60.0 / 5)); });
}

TEST_CASE("A change that frees the bottleneck of one flow slows another") {
  // As a change in time of "raising one link's bandwidth can make an exchange longer".
  constexpr double kA = 20, kB = 80, kC1 = 2, kC2 = 10, kC3 = 8, kAt = 5;
  TaskGraph graph;
  const auto link1 = graph.add_resource({"link 1", engine::ResourceKind::Link, kC1, {{Duration(kAt), 10}}});
  const auto link2 = add_link(graph, kC2), link3 = add_link(graph, kC3);
  add_flows(graph, 2,
            {{add_path(graph, {{link1}, {link2}}), 0, 1, kA}, {add_path(graph, {{link2}, {link3}}), 0, 1, kB}});
  for_each_full_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    const double a_left = kA - kC1 * kAt, b_left = kB - kC3 * kAt;
    const double a_end = kAt + a_left / (kC2 / 2);
    CHECK(timeline.drained[0][0] == near(a_end));
    CHECK(timeline.drained[0][1] == near(a_end + (b_left - a_left) / kC3));
  });
}

TEST_CASE("A multicast flow is carried once and counts at each of its receivers") {
  constexpr double kBytes = 50, kBandwidth = 10, kLatency = 1;
  TaskGraph graph;
  const auto up = add_link(graph, kBandwidth), down1 = add_link(graph, kBandwidth), down2 = add_link(graph, kBandwidth);
  const auto both = add_path(graph, {{up}, {down1}, {down2}}, kLatency);
  const auto single = add_path(graph, {{down2}}, kLatency);
  const auto events =
      graph.add_exchange({"replicate", 4, {{both, 0, -1, kBytes}, {single, 3, 2, kBytes}}, {{1, 2}}, {}});
  for_each_full_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    const auto at = [&](EventId event) { return timeline.event[event.index()].value(); };
    const double end = 2 * kBytes / kBandwidth;  // both flows halve down2
    CHECK(at(events.sent(0)) == near(end));
    CHECK(at(events.done(1)) == near(end + kLatency));
    CHECK(at(events.done(2)) == near(end + kLatency));
    CHECK(at(events.done(3)) == 0);
    CHECK(timeline.carried[up.index()] == near(kBytes));
    CHECK(timeline.carried[down2.index()] == near(2 * kBytes));
  });
}

TEST_CASE("Weights may be any numbers, and a resource named twice in a path counts with the sum") {
  constexpr double kCapacity = 7, kW1 = 0.7310585786, kW2 = 2.718281828, kBytes = 10;
  TaskGraph graph;
  const auto link = add_link(graph, kCapacity);
  const auto one = add_path(graph, {{link, kW1}}), two = add_path(graph, {{link, kW2 / 2}, {link, kW2 / 2}});
  add_flows(graph, 2, {{one, 0, 1, 2 * kBytes}, {two, 0, 1, kBytes}});
  for_each_full_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    const double together = kBytes * (kW1 + kW2) / kCapacity;
    CHECK(timeline.drained[0][1] == near(together));
    CHECK(timeline.drained[0][0] == near(together + kBytes * kW1 / kCapacity));
  });
}

TEST_CASE("Computes that need all SMs of a GPU share them, and flows compete with computes for a resource") {
  constexpr double kSms = 100;
  TaskGraph graph;
  const auto sms = add_sms(graph, kSms);
  const auto a = graph.add_compute({"a", 0, Duration(0), Duration(2), {{sms, kSms}}}, {});
  const auto b = graph.add_compute({"b", 0, Duration(0), Duration(6), {{sms, kSms}}}, {});
  // A memory of 10 bytes/s: the compute takes 4 of them at full speed (rate 1), the flow what is left.
  const auto hbm = graph.add_resource({"hbm", engine::ResourceKind::Hbm, 10, {}});
  const auto c = graph.add_compute({"c", 1, Duration(0), Duration(3), {{hbm, 4}}}, {});
  add_flows(graph, 2, {{add_path(graph, {{hbm}}), 0, 1, 48}});
  for_each_full_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    CHECK(timeline.event[a.done.index()].value() == near(2 * 2));
    CHECK(timeline.event[b.done.index()].value() == near(2 + 6));
    CHECK(timeline.event[c.done.index()].value() == near(3));
    CHECK(timeline.drained[0][0] == near(3 + (48 - 3 * (10 - 4)) / 10.0));
  });
}

TEST_CASE("A compute whose GPU stays dead stalls") {
  TaskGraph graph;
  const auto sms = graph.add_resource({"sms", engine::ResourceKind::Sms, 1, {{Duration(2), 0}}});
  graph.add_compute({"experts", 0, Duration(0), Duration(3), {{sms, 1}}}, {});
  for_each_full_engine([&](const Engine& engine) {
    CHECK_THROWS_WITH_AS(engine.run(graph), doctest::Contains("done[0] of experts waits for its work"),
                         engine::StalledError);
  });
}

TEST_CASE("A graph whose link stays dead stalls, and the message names the waiting events") {
  TaskGraph graph;
  const auto link = graph.add_resource({"link", engine::ResourceKind::Link, 1, {{Duration(2), 0}}});
  const auto events = graph.add_exchange({"dispatch", 2, {{add_path(graph, {{link}}), 0, 1, 60}}, {}, {}});
  graph.add_compute({"experts", 1, Duration(0), Duration(1), {}}, std::vector<EventId>{events.done(1)});
  for_each_full_engine([&](const Engine& engine) {
    CHECK_THROWS_WITH_AS(engine.run(graph), doctest::Contains("sent[0] of dispatch waits for its flows"),
                         engine::StalledError);
    CHECK_THROWS_WITH_AS(engine.run(graph), doctest::Contains("start[1] of experts waits for done[1] of dispatch"),
                         engine::StalledError);
  });
}

}  // namespace
}  // namespace moesim::tests
