// Closed forms of what lowerings build from exchanges and computes, on every engine that expresses everything.
#include <algorithm>

#include <doctest/doctest.h>

#include "tests/sim/engine/engines_under_test.h"
#include "tests/sim/engine/small_graphs.h"

namespace moesim::tests {
namespace {

using base::Duration;
using engine::Engine;
using engine::EventId;
using engine::Exchange;
using engine::ExchangeEvents;
using engine::TaskGraph;

// An exchange of ranks 0 (sender) and 1 (receiver) with one flow.
ExchangeEvents add_chunk(TaskGraph& graph, engine::PathId path, double bytes, EventId after) {
  return graph.add_exchange({"chunk", 2, {{path, 0, 1, bytes}}, {}, {}}, std::vector<EventId>{after, after});
}

TEST_CASE("RDMA then NVLink forward in c chunks takes c chunks of the slower stage and one of the faster") {
  constexpr double kBytes = 96, kRdma = 4, kNvlink = 12, kAlpha = 0.25, kBeta = 0.125;
  for (const int chunks : {1, 2, 8}) {
    TaskGraph graph;
    const auto rdma = add_path(graph, {{add_link(graph, kRdma)}}, kAlpha);
    const auto forward = add_path(graph, {{add_link(graph, kNvlink)}}, kBeta);
    const double chunk = kBytes / chunks;
    EventId rdma_free = engine::kOrigin, forward_free = engine::kOrigin, last = engine::kOrigin;
    for (int c = 0; c < chunks; ++c) {
      const auto in = add_chunk(graph, rdma, chunk, rdma_free);
      const std::vector<EventId> ready{in.done(1), forward_free};
      const auto out = add_chunk(graph, forward, chunk, graph.add_event("ready", ready));
      rdma_free = in.sent(0);
      forward_free = out.sent(0);
      last = out.done(1);
    }
    for_each_full_engine([&](const Engine& engine) {
      const double expected = kBytes / kRdma + kAlpha + chunk / kNvlink + kBeta;
      CHECK(engine.run(graph).event[last.index()].value() == near(expected));
    });
  }
}

TEST_CASE("A multicast flow in the switch goes at the rate of its slowest branch") {
  constexpr double kBytes = 60, kPort = 10;
  TaskGraph graph;
  const auto up = add_link(graph, kPort);
  const std::vector<engine::ResourceId> down{add_link(graph, kPort), add_link(graph, kPort), add_link(graph, kPort)};
  const auto all = add_path(graph, {{up}, {down[0]}, {down[1]}, {down[2]}});
  const auto other = add_path(graph, {{down[2]}});
  const auto events = graph.add_exchange({"x", 4, {{all, 3, -1, kBytes}, {other, 0, 2, kBytes / 3}}, {{0, 1, 2}}, {}});
  for_each_full_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    // They halve down[2] until the short one ends; then the multicast has the port to itself.
    const double short_end = 2 * (kBytes / 3) / kPort;
    CHECK(timeline.drained[0][1] == near(short_end));
    CHECK(timeline.event[events.done(0).index()].value() == near(short_end + (kBytes - kBytes / 3) / kPort));
    CHECK(timeline.carried[up.index()] == near(kBytes));
  });
}

TEST_CASE("Two micro-batches on one link share it while both communicate") {
  // Each computes, then communicates; the second starts later by half a compute.
  constexpr double kCompute = 4, kLag = 2, kBytes = 30, kBandwidth = 10;
  TaskGraph graph;
  const auto path = add_path(graph, {{add_link(graph, kBandwidth)}});
  const auto a = graph.add_compute({"attention a", 0, Duration(0), Duration(kCompute), {}}, {});
  const auto b = graph.add_compute({"attention b", 0, Duration(kLag), Duration(kCompute), {}}, {});
  const auto xa = add_chunk(graph, path, kBytes, a.done), xb = add_chunk(graph, path, kBytes, b.done);
  for_each_full_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    const double alone = kLag * kBandwidth, a_left = kBytes - alone;
    const double a_end = kCompute + kLag + 2 * a_left / kBandwidth;
    CHECK(timeline.event[xa.all_done().index()].value() == near(a_end));
    CHECK(timeline.event[xb.all_done().index()].value() == near(kCompute + 2 * kBytes / kBandwidth));
  });
}

TEST_CASE("Taking 20 of 132 SMs half-way through a compute stretches its second half") {
  constexpr double kSms = 132, kTaken = 20, kAlone = 6;
  TaskGraph graph;
  const auto sms = add_sms(graph, kSms);
  const auto slow = add_path(graph, {{add_link(graph, 1)}});
  const auto compute = graph.add_compute({"experts", 0, Duration(0), Duration(kAlone), {{sms, kSms}}}, {});
  const auto timer = graph.add_compute({"half", 0, Duration(0), Duration(kAlone / 2), {}}, {});
  Exchange dispatch{"dispatch", 1, {{slow, 0, 0, 1000}}, {}, {{0, sms, kTaken, false}}};
  graph.add_exchange(std::move(dispatch), std::vector<EventId>{timer.done});
  for_each_full_engine([&](const Engine& engine) {
    const double expected = kAlone / 2 + kAlone / 2 * kSms / (kSms - kTaken);
    CHECK(engine.run(graph).event[compute.done.index()].value() == near(expected));
  });
}

TEST_CASE("Staggered senders to one receiver: each takes its share from when it starts") {
  // Sender i starts at i * lag with the same bytes: a staircase up, then one down.
  constexpr int kSenders = 4;
  constexpr double kLag = 1, kBytes = 12, kBandwidth = 6;
  TaskGraph graph;
  const auto path = add_path(graph, {{add_link(graph, kBandwidth)}});
  Exchange exchange{"x", kSenders + 1, {}, {}, {}};
  std::vector<EventId> start;
  for (int s = 0; s < kSenders; ++s) {
    exchange.flows.push_back({path, s, kSenders, kBytes});
    start.push_back(graph.add_compute({"gate", s, Duration(s * kLag), Duration(0), {}}, {}).done);
  }
  start.push_back(engine::kOrigin);
  const auto events = graph.add_exchange(std::move(exchange), start);
  // All of what the link carries until the last start is shared; who started first leads by what it got alone.
  std::vector<double> got(kSenders, 0);
  for (int interval = 0; interval + 1 < kSenders; ++interval)
    for (int s = 0; s <= interval; ++s) got[static_cast<std::size_t>(s)] += kBandwidth * kLag / (interval + 1);
  for_each_full_engine([&](const Engine& engine) {
    const auto timeline = engine.run(graph);
    double at = (kSenders - 1) * kLag, progressed = 0;
    for (int s = 0; s < kSenders; ++s) {
      const double left = kBytes - got[static_cast<std::size_t>(s)];
      at += (left - progressed) * (kSenders - s) / kBandwidth;
      progressed = left;
      CHECK(timeline.event[events.sent(s).index()].value() == near(at));
    }
  });
}

TEST_CASE("Dispatch, GEMM and combine fused by chunks run at the pace of the slowest of the three") {
  constexpr int kChunks = 5;
  constexpr double kIn = 10, kOut = 20, kBandwidth = 5, kGemm = 3;  // 2 s in, 3 s of GEMM, 4 s out
  TaskGraph graph;
  const auto in = add_path(graph, {{add_link(graph, kBandwidth)}}),
             out = add_path(graph, {{add_link(graph, kBandwidth)}});
  const auto sms = add_sms(graph, 100);
  EventId sent = engine::kOrigin, computed = engine::kOrigin, combined = engine::kOrigin;
  for (int c = 0; c < kChunks; ++c) {
    const auto dispatch = add_chunk(graph, in, kIn, sent);
    const std::vector<EventId> ready{dispatch.done(1), computed};
    const auto gemm = graph.add_compute({"gemm", 0, Duration(0), Duration(kGemm), {{sms, 100}}}, ready);
    const std::vector<EventId> may_send{gemm.done, combined};
    const auto combine = add_chunk(graph, out, kOut, graph.add_event("combine", may_send));
    sent = dispatch.sent(0);
    computed = gemm.done;
    combined = combine.sent(0);
  }
  for_each_full_engine([&](const Engine& engine) {
    const double first = kIn / kBandwidth, last = kOut / kBandwidth;
    CHECK(engine.run(graph).makespan.value() == near(first + kGemm + kChunks * std::max({first, kGemm, last})));
  });
}

TEST_CASE("Small messages fill a NIC's message rate before its bandwidth, large ones the other way round") {
  constexpr double kBandwidth = 50, kMessages = 4, kBytes = 600;
  for (const double message : {2.0, 30.0}) {
    TaskGraph graph;
    const auto link = add_link(graph, kBandwidth);
    const auto rate = graph.add_resource({"messages", engine::ResourceKind::MessageRate, kMessages, {}});
    const auto path = add_path(graph, {{link}, {rate, 1 / message}});
    add_flows(graph, 3, {{path, 0, 1, kBytes}, {path, 0, 2, kBytes}});
    for_each_full_engine([&](const Engine& engine) {
      const auto timeline = engine.run(graph);
      CHECK(timeline.makespan.value() == near(2 * kBytes / std::min(kBandwidth, kMessages * message)));
      CHECK(timeline.carried[rate.index()] == near(2 * kBytes / message));
    });
  }
}

}  // namespace
}  // namespace moesim::tests
