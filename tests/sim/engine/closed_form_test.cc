// What every engine must say where the answer is known: expected values are formulas.
#include <algorithm>

#include <doctest/doctest.h>

#include "tests/sim/engine/engines_under_test.h"
#include "tests/sim/engine/small_graphs.h"

namespace moesim::tests {
namespace {

using base::Duration;
using engine::Engine;
using engine::EventId;
using engine::Flow;
using engine::TaskGraph;

TEST_CASE("What a source's and a receiver's flows use beside their paths limits them together") {
  constexpr double kOut = 6, kIn = 2, kBytes = 12, kPerByte = 0.5;
  TaskGraph graph;
  const auto wide = add_path(graph, {{add_link(graph, 1000)}});
  const engine::Use out{add_link(graph, kOut * kPerByte), kPerByte}, in{add_link(graph, kIn), 1}, none{{}, 0};
  // Source 0 sends to 1 and 2, source 1 to 2; only 0 and 2 have a limit.
  graph.add_exchange({"x",
                      3,
                      {{wide, 0, 1, kBytes}, {wide, 0, 2, kBytes}, {wide, 1, 2, kBytes}},
                      {},
                      {},
                      {out, none, none},
                      {none, none, in}});
  // Both flows towards 2 share what it takes in; the rest of what 0 puts out is its other flow's.
  const double kOther = kOut - kIn / 2;
  for (const TaskGraph& g : {graph, graph.with_plain_paths()}) {
    for_each_engine([&](const Engine& engine) {
      const auto timeline = engine.run(g);
      CHECK(timeline.drained[0][0] == near(kBytes / kOther));
      CHECK(timeline.drained[0][1] == near(kBytes / (kIn / 2)));
      CHECK(timeline.drained[0][2] == near(kBytes / (kIn / 2)));
      CHECK(timeline.carried[out.resource.index()] == near(2 * kBytes * kPerByte));
      CHECK(timeline.carried[in.resource.index()] == near(2 * kBytes));
    });
  }
}

TEST_CASE("A symmetric all-to-all on one switch ends when every port has carried its bytes, one latency later") {
  constexpr double kBytes = 1 << 20, kBandwidth = 450e9, kLatency = 1e-6;
  for (const std::int32_t ranks : {2, 3, 8}) {
    SwitchNetwork network(ranks, kBandwidth, kLatency);
    std::vector<Flow> flows;
    for (std::int32_t s = 0; s < ranks; ++s)
      for (std::int32_t r = 0; r < ranks; ++r)
        if (s != r) flows.push_back(network.flow(s, r, kBytes));
    const auto events = add_flows(network.graph, ranks, flows);
    const double drained = (ranks - 1) * kBytes / kBandwidth;
    for_each_engine([&](const Engine& engine) {
      const auto timeline = engine.run(network.graph);
      for (const double t : timeline.drained[0]) CHECK(t == near(drained));
      for (std::int32_t rank = 0; rank < ranks; ++rank) {
        CHECK(timeline.event[events.start(rank).index()].value() == 0);
        CHECK(timeline.event[events.sent(rank).index()].value() == near(drained));
        CHECK(timeline.event[events.done(rank).index()].value() == near(drained + kLatency));
      }
      CHECK(timeline.makespan.value() == near(drained + kLatency));
      for (const double carried : timeline.carried) CHECK(carried == near((ranks - 1) * kBytes));
    });
  }
}

TEST_CASE("Flows of different sizes on one bottleneck end in a staircase") {
  const std::vector<double> sizes{1, 2.5, 2.5, 7, 20};
  constexpr double kCapacity = 3;
  TaskGraph graph;
  const auto path = add_path(graph, {{add_link(graph, kCapacity)}});
  std::vector<Flow> flows;
  for (const double size : sizes) flows.push_back({path, 0, 1, size});
  add_flows(graph, 2, flows);
  for_each_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    double expected = 0, smaller = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      // From the end of flow i - 1 on, those that are left share the link equally.
      expected += (sizes[i] - smaller) * static_cast<double>(sizes.size() - i) / kCapacity;
      smaller = sizes[i];
      CHECK(timeline.drained[0][i] == near(expected));
    }
  });
}

TEST_CASE("In an all-to-all of nodes, the NICs hold up what leaves the node, and the rest gets what ports have left") {
  constexpr std::int32_t kNodes = 3, kPerNode = 4, kRanks = kNodes * kPerNode;
  constexpr double kBytes = 100, kPort = 450, kNic = 50;
  TaskGraph graph;
  std::vector<engine::ResourceId> up, down, out, in;
  for (std::int32_t i = 0; i < kRanks; ++i) {
    up.push_back(add_link(graph, kPort));
    down.push_back(add_link(graph, kPort));
  }
  for (std::int32_t i = 0; i < kNodes; ++i) {
    out.push_back(add_link(graph, kNic));
    in.push_back(add_link(graph, kNic));
  }
  std::vector<Flow> flows;
  for (std::int32_t s = 0; s < kRanks; ++s) {
    for (std::int32_t r = 0; r < kRanks; ++r) {
      if (s == r) continue;
      const auto u = up[static_cast<std::size_t>(s)], d = down[static_cast<std::size_t>(r)];
      const auto o = out[static_cast<std::size_t>(s / kPerNode)], i = in[static_cast<std::size_t>(r / kPerNode)];
      const bool inside = s / kPerNode == r / kPerNode;
      flows.push_back({inside ? add_path(graph, {{u}, {d}}) : add_path(graph, {{u}, {o}, {i}, {d}}), s, r, kBytes});
    }
  }
  add_flows(graph, kRanks, flows);
  constexpr double kOutside = kRanks - kPerNode;  // ranks of other nodes
  constexpr double kOutsideRate = kNic / (kPerNode * kOutside);
  constexpr double kInsideRate = (kPort - kOutside * kOutsideRate) / (kPerNode - 1);
  static_assert(kInsideRate > kOutsideRate);
  for_each_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    for (std::size_t f = 0; f < flows.size(); ++f) {
      const bool inside = flows[f].source / kPerNode == flows[f].receiver / kPerNode;
      CHECK(timeline.drained[0][f] == near(kBytes / (inside ? kInsideRate : kOutsideRate)));
    }
  });
}

TEST_CASE("Latency delays the receiver, not the sender, and counts from each flow's own last byte") {
  constexpr double kLate = 5, kNear = 0.25;
  TaskGraph graph;
  const auto far = add_path(graph, {{add_link(graph, 10)}}, kLate);
  const auto close = add_path(graph, {{add_link(graph, 10)}}, kNear);
  const auto events = add_flows(graph, 3, {{far, 0, 2, 10}, {close, 1, 2, 40}});
  for_each_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    CHECK(timeline.event[events.sent(0).index()].value() == near(10.0 / 10));
    CHECK(timeline.event[events.sent(1).index()].value() == near(40.0 / 10));
    CHECK(timeline.event[events.sent(2).index()].value() == 0);
    CHECK(timeline.event[events.done(2).index()].value() == near(std::max(10.0 / 10 + kLate, 40.0 / 10 + kNear)));
    CHECK(timeline.event[events.all_done().index()] == timeline.makespan);
  });
}

TEST_CASE("Two flows of different latency share a link equally") {
  constexpr double kBytes = 100e3, kBandwidth = 100e9, kShort = 1e-6, kLong = 3e-6;
  TaskGraph graph;
  const auto link = add_link(graph, kBandwidth);
  const auto events = add_flows(
      graph, 4, {{add_path(graph, {{link}}, kShort), 0, 1, kBytes}, {add_path(graph, {{link}}, kLong), 2, 3, kBytes}});
  for_each_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    CHECK(timeline.drained[0][0] == near(2 * kBytes / kBandwidth));
    CHECK(timeline.drained[0][1] == near(2 * kBytes / kBandwidth));
    CHECK(timeline.event[events.done(1).index()].value() == near(2 * kBytes / kBandwidth + kShort));
    CHECK(timeline.event[events.done(3).index()].value() == near(2 * kBytes / kBandwidth + kLong));
  });
}

TEST_CASE("A capped flow leaves the rest of the link to the others") {
  constexpr double kCapacity = 10, kCap = 2, kCapped = 20, kFree = 24;
  TaskGraph graph;
  const auto path = add_path(graph, {{add_link(graph, kCapacity)}});
  const auto nowhere = add_path(graph, {});
  add_flows(graph, 2, {{path, 0, 1, kCapped, kCap}, {path, 0, 1, kFree}, {nowhere, 0, 1, kFree, kCap}});
  for_each_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    CHECK(timeline.drained[0][0] == near(kCapped / kCap));
    CHECK(timeline.drained[0][1] == near(kFree / (kCapacity - kCap)));
    CHECK(timeline.drained[0][2] == near(kFree / kCap));
  });
}

TEST_CASE("A cap above the fair share does not matter until the share exceeds it") {
  constexpr double kCapacity = 10, kCap = 6, kSmall = 5, kLarge = 50;
  TaskGraph graph;
  const auto path = add_path(graph, {{add_link(graph, kCapacity)}});
  add_flows(graph, 2, {{path, 0, 1, kLarge, kCap}, {path, 0, 1, kSmall}});
  for_each_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    const double first = kSmall / (kCapacity / 2);
    CHECK(timeline.drained[0][1] == near(first));
    CHECK(timeline.drained[0][0] == near(first + (kLarge - first * kCapacity / 2) / kCap));
  });
}

TEST_CASE("Flows that consume a resource at different rates progress alike on it") {
  // Weights in whole numbers, and fractions of which both are whole multiples.
  for (const double unit : {1.0, 0.25, 1.0 / 3}) {
    constexpr double kCapacity = 8;
    TaskGraph graph;
    const auto link = add_link(graph, kCapacity);
    const auto once = add_path(graph, {{link, unit}}), thrice = add_path(graph, {{link, 3 * unit}});
    add_flows(graph, 2, {{once, 0, 1, 10}, {thrice, 0, 1, 4}});
    for_each_engine([&](const Engine& engine) {
      const auto timeline = engine.run(graph);
      const double together = 4 / (kCapacity / (4 * unit));
      CHECK(timeline.drained[0][1] == near(together));
      CHECK(timeline.drained[0][0] == near(together + (10 - 4) / (kCapacity / unit)));
      CHECK(timeline.carried[link.index()] == near(10 * unit + 4 * 3 * unit));
    });
  }
}

TEST_CASE("Raising one link's bandwidth can make an exchange longer") {
  // A uses links 1 and 2, B links 2 and 3.
  constexpr double kA = 20, kB = 80, kC2 = 10, kC3 = 8;
  const auto makespan = [&](const Engine& engine, double c1) {
    TaskGraph graph;
    const auto link1 = add_link(graph, c1), link2 = add_link(graph, kC2), link3 = add_link(graph, kC3);
    add_flows(graph, 2,
              {{add_path(graph, {{link1}, {link2}}), 0, 1, kA}, {add_path(graph, {{link2}, {link3}}), 0, 1, kB}});
    return engine.run(graph).makespan.value();
  };
  for_each_engine([&](const Engine& engine) {
    // A is held at C1 and B gets the rest of C2, which is all that C3 takes.
    CHECK(makespan(engine, 2) == near(std::max(kA / 2, kB / kC3)));
    // A and B halve C2 until A is through.
    const double a = kA / (kC2 / 2);
    CHECK(makespan(engine, 10) == near(a + (kB - kA) / kC3));
    CHECK(makespan(engine, 10) == near(11.5));
  });
}

TEST_CASE("A receiver computes when its tokens are in, and sends back when its compute is done") {
  constexpr double kBandwidth = 10, kLatency = 0.5, kLaunch = 0.125;
  constexpr double kBefore[] = {1, 3}, kExperts[] = {4, 6}, kBytes[] = {20, 50};  // bytes to the other rank
  SwitchNetwork network(2, kBandwidth, kLatency);
  TaskGraph& graph = network.graph;
  std::vector<EventId> ready, computed;
  for (std::int32_t rank : {0, 1}) {
    const double alone = kBefore[rank];
    ready.push_back(graph.add_compute({"attention", rank, Duration(0), Duration(alone), {}}, {}).done);
  }
  const auto dispatch = graph.add_exchange(
      {"dispatch", 2, {network.flow(0, 1, kBytes[0]), network.flow(1, 0, kBytes[1])}, {}, {}}, ready);
  for (std::int32_t rank : {0, 1}) {
    const std::vector<EventId> after{dispatch.done(rank)};
    computed.push_back(
        graph.add_compute({"experts", rank, Duration(kLaunch), Duration(kExperts[rank]), {}}, after).done);
  }
  const auto combine = graph.add_exchange(
      {"combine", 2, {network.flow(0, 1, kBytes[1]), network.flow(1, 0, kBytes[0])}, {}, {}}, computed);
  for_each_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    const auto at = [&](EventId event) { return timeline.event[event.index()].value(); };
    double sent_back[2];
    for (const std::int32_t rank : {0, 1}) {
      const std::int32_t other = 1 - rank;
      const double tokens_in = std::max(kBefore[rank], kBefore[other] + kBytes[other] / kBandwidth + kLatency);
      CHECK(at(dispatch.sent(rank)) == near(kBefore[rank] + kBytes[rank] / kBandwidth));
      CHECK(at(dispatch.done(rank)) == near(tokens_in));
      CHECK(at(combine.start(rank)) == near(tokens_in + kLaunch + kExperts[rank]));
      sent_back[rank] = tokens_in + kLaunch + kExperts[rank] + kBytes[other] / kBandwidth;
      CHECK(at(combine.sent(rank)) == near(sent_back[rank]));
    }
    for (const std::int32_t rank : {0, 1})
      CHECK(at(combine.done(rank)) == near(std::max(at(combine.start(rank)), sent_back[1 - rank] + kLatency)));
  });
}

TEST_CASE("A flow that starts while another is under way takes half of what is left") {
  constexpr double kCapacity = 10, kFirst = 100, kSecond = 15, kLater = 4;
  TaskGraph graph;
  const auto path = add_path(graph, {{add_link(graph, kCapacity)}});
  const auto later = graph.add_compute({"wait", 0, Duration(kLater), Duration(0), {}}, {}).done;
  graph.add_exchange({"both", 2, {{path, 0, 0, kFirst}, {path, 1, 0, kSecond}}, {}, {}},
                     std::vector<EventId>{engine::kOrigin, later});
  for_each_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    CHECK(timeline.drained[0][1] == near(kLater + kSecond / (kCapacity / 2)));
    CHECK(timeline.drained[0][0] == near((kFirst + kSecond) / kCapacity));
  });
}

TEST_CASE("Computes that fit on a GPU together take their own time, and barriers fire with their last prerequisite") {
  constexpr double kSms = 100;
  TaskGraph graph;
  const auto sms = add_sms(graph, kSms);
  const auto a = graph.add_compute({"a", 0, Duration(1), Duration(5), {{sms, 0.75 * kSms}}}, {});
  const auto b = graph.add_compute({"b", 0, Duration(0), Duration(2), {{sms, 0.25 * kSms}}}, {});
  const auto both = graph.add_event("both", std::vector<EventId>{a.done, b.done});
  const auto c = graph.add_compute({"c", 0, Duration(0), Duration(3), {{sms, kSms}}}, std::vector<EventId>{both});
  for_each_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    CHECK(timeline.event[b.done.index()].value() == near(2));
    CHECK(timeline.event[both.index()].value() == near(1.0 + 5));
    CHECK(timeline.event[c.done.index()].value() == near(1.0 + 5 + 3));
    CHECK(timeline.carried[sms.index()] == near(5 * 0.75 * kSms + 2 * 0.25 * kSms + 3 * kSms));
  });
}

TEST_CASE("Ends that nearly coincide are kept apart") {
  constexpr double kBytes = 100, kCapacity = 10, kLater = 1 + 1e-8;
  TaskGraph graph;
  const auto own = add_path(graph, {{add_link(graph, kCapacity)}}),
             shared = add_path(graph, {{add_link(graph, kCapacity)}});
  add_flows(graph, 2, {{own, 0, 1, kBytes}, {shared, 0, 1, kBytes / 2 * kLater}, {shared, 0, 1, kBytes / 2 * kLater}});
  for_each_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    CHECK(timeline.drained[0][0] == near(kBytes / kCapacity));
    CHECK(timeline.drained[0][1] == near(kBytes * kLater / kCapacity));
    CHECK(timeline.drained[0][1] - timeline.drained[0][0] ==
          doctest::Approx(kBytes / kCapacity * (kLater - 1)).epsilon(1e-5).scale(0));
  });
}

TEST_CASE("An empty graph and an exchange without flows take no time") {
  for_each_engine([](const Engine& engine) {
    TaskGraph graph;
    CHECK(engine.run(graph).makespan.value() == 0);
    add_flows(graph, 3, {});
    CHECK(engine.run(graph).makespan.value() == 0);
  });
}

}  // namespace
}  // namespace moesim::tests
