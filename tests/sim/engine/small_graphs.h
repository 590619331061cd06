// Shorthand for writing small task graphs and expectations in tests.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "sim/engine/task_graph.h"

namespace moesim::tests {

// Equal to 1e-9, relative.
inline doctest::Approx near(double expected) { return doctest::Approx(expected).epsilon(1e-9).scale(0); }
inline doctest::Approx near(base::Duration expected) { return near(expected.value()); }

inline engine::ResourceId add_link(engine::TaskGraph& graph, double capacity) {
  return graph.add_resource(
      {"link " + std::to_string(graph.resources().size()), engine::ResourceKind::Link, capacity, {}});
}

inline engine::ResourceId add_sms(engine::TaskGraph& graph, double count) {
  return graph.add_resource({"sms", engine::ResourceKind::Sms, count, {}});
}

// add_path(graph, {{up}, {down, 2}}, 1e-6)
inline engine::PathId add_path(engine::TaskGraph& graph, std::initializer_list<engine::Use> uses, double latency = 0) {
  return graph.add_path(std::vector(uses), base::Duration(latency));
}

// Flows that all start at time 0.
inline engine::ExchangeEvents add_flows(engine::TaskGraph& graph, std::int32_t ranks, std::vector<engine::Flow> flows) {
  return graph.add_exchange({"exchange", ranks, std::move(flows), {}, {}});
}

// GPUs on a non-blocking switch.
struct SwitchNetwork {
  SwitchNetwork(std::int32_t ranks, double bandwidth, double latency_seconds) : size(ranks), latency(latency_seconds) {
    for (std::int32_t rank = 0; rank < ranks; ++rank) {
      up.push_back(add_link(graph, bandwidth));
      down.push_back(add_link(graph, bandwidth));
    }
  }

  engine::Flow flow(std::int32_t source, std::int32_t receiver, double amount) {
    const auto s = static_cast<std::size_t>(source), r = static_cast<std::size_t>(receiver);
    return {add_path(graph, {{up[s]}, {down[r]}}, latency), source, receiver, amount};
  }

  std::int32_t size;
  double latency;
  engine::TaskGraph graph;
  std::vector<engine::ResourceId> up, down;
};

}  // namespace moesim::tests
