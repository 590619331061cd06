#include "topology/shortest_paths.h"

#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include "base/random.h"
#include "tests/topology/support.h"

namespace moesim::topology {
namespace {

// A random graph of GPUs, NICs and PCIe switches or CPUs. Latencies are few whole nanoseconds, so that ties abound.
Graph random_graph(base::RandomStream& random) {
  Graph graph;
  const std::size_t endpoints = 2 + random.below(5);
  const std::size_t transit = 1 + random.below(7);
  for (std::size_t i = 0; i < endpoints; ++i)
    graph.add_device(
        {.name = "e" + std::to_string(i), .kind = random.below(3) == 0 ? DeviceKind::Nic : DeviceKind::Gpu});
  for (std::size_t i = 0; i < transit; ++i)
    graph.add_device(
        {.name = "t" + std::to_string(i), .kind = random.below(2) ? DeviceKind::Cpu : DeviceKind::PcieSwitch});
  const std::size_t devices = endpoints + transit;
  for (std::size_t a = 0; a < devices; ++a)
    for (std::size_t b = a + 1; b < devices; ++b) {
      if (random.below(3) != 0) continue;
      const bool other_fabric = random.below(8) == 0;
      const bool turned = random.below(2) == 0;
      graph.add_link({.a = DeviceId(turned ? b : a),
                      .b = DeviceId(turned ? a : b),
                      .kind = other_fabric ? LinkKind::Network : LinkKind::Pcie,
                      .bandwidth = gb(1),
                      .latency = ns(static_cast<double>(random.below(4)))});
    }
  return graph;
}

bool is_endpoint(const Graph& graph, DeviceId id) {
  return graph.device(id).kind == DeviceKind::Gpu || graph.device(id).kind == DeviceKind::Nic;
}

// Least (nanoseconds, hops) of all simple paths, by trying them all.
void try_all(const Graph& graph, DeviceId here, DeviceId to, std::vector<bool>& visited, std::pair<int, int> so_far,
             std::optional<std::pair<int, int>>& least) {
  if (here == to) {
    if (!least || so_far < *least) least = so_far;
    return;
  }
  if (so_far.second > 0 && is_endpoint(graph, here)) return;
  visited[here.index()] = true;
  for (const LinkId l : graph.links_of(here)) {
    const Link& link = graph.link(l);
    const DeviceId next = link.a == here ? link.b : link.a;
    if (link.kind != LinkKind::Pcie || visited[next.index()]) continue;
    const int latency = static_cast<int>(std::lround(link.latency.value() * 1e9));
    try_all(graph, next, to, visited, {so_far.first + latency, so_far.second + 1}, least);
  }
  visited[here.index()] = false;
}

TEST_CASE("on random graphs paths are connected, pass no endpoint and are shortest of all") {
  base::RandomStream random(3, "graphs");
  int found = 0;
  int missing = 0;
  for (int trial = 0; trial < 300; ++trial) {
    const Graph graph = random_graph(random);
    const ShortestPaths paths(graph, {LinkKind::Pcie});
    for (std::size_t a = 0; a < graph.num_devices(); ++a)
      for (std::size_t b = 0; b < graph.num_devices(); ++b) {
        const DeviceId from(a);
        const DeviceId to(b);
        if (a == b || !is_endpoint(graph, from) || !is_endpoint(graph, to)) continue;
        std::optional<std::pair<int, int>> least;
        std::vector<bool> visited(graph.num_devices());
        try_all(graph, from, to, visited, {0, 0}, least);
        const auto path = paths.path(from, to);
        REQUIRE(path.has_value() == least.has_value());
        CHECK(paths.length(from, to).has_value() == least.has_value());
        (least ? found : missing) += 1;
        if (!least) continue;
        DeviceId here = from;
        int latency = 0;
        for (const Port port : *path) {
          REQUIRE(graph.port_from(port) == here);
          CHECK((here == from || !is_endpoint(graph, here)));
          CHECK(graph.link(port.link).kind == LinkKind::Pcie);
          latency += static_cast<int>(std::lround(graph.link(port.link).latency.value() * 1e9));
          here = graph.port_to(port);
        }
        CHECK(here == to);
        CHECK(std::pair(latency, static_cast<int>(path->size())) == *least);
        CHECK(paths.length(from, to)->femtoseconds == 1'000'000LL * least->first);
      }
  }
  CHECK(found > 500);  // the graphs are neither all connected nor all apart
  CHECK(missing > 100);
}

TEST_CASE("of equally short paths the one over the lowest device index is taken, in whatever order links were added") {
  // gpu a to gpu b over switch 1 then 3, or over 2 then 3.
  for (const bool reversed : {false, true}) {
    Graph graph;
    const DeviceId a = graph.add_device({.name = "a"});
    std::vector<DeviceId> s;
    for (int i = 0; i < 4; ++i)
      s.push_back(graph.add_device({.name = "s" + std::to_string(i), .kind = DeviceKind::PcieSwitch}));
    const DeviceId b = graph.add_device({.name = "b"});
    std::vector<std::pair<DeviceId, DeviceId>> links{{a, s[0]},    {s[0], s[1]}, {s[0], s[2]},
                                                     {s[1], s[3]}, {s[2], s[3]}, {s[3], b}};
    if (reversed) std::reverse(links.begin(), links.end());
    for (const auto& [x, y] : links)
      graph.add_link({.a = x, .b = y, .kind = LinkKind::Pcie, .bandwidth = gb(1), .latency = ns(100)});
    const auto path = ShortestPaths(graph, {LinkKind::Pcie}).path(a, b);
    REQUIRE(path.has_value());
    REQUIRE(path->size() == 4);
    CHECK(graph.port_to((*path)[1]) == s[1]);
  }
}

TEST_CASE("a GPU's CPU is the nearest by latency") {
  Graph graph;
  const DeviceId gpu = graph.add_device({.name = "gpu"});
  const DeviceId far = graph.add_device({.name = "far", .kind = DeviceKind::Cpu});
  const DeviceId near = graph.add_device({.name = "near", .kind = DeviceKind::Cpu});
  graph.add_link({.a = gpu, .b = far, .kind = LinkKind::Pcie, .bandwidth = gb(1), .latency = ns(300)});
  graph.add_link({.a = gpu, .b = near, .kind = LinkKind::Pcie, .bandwidth = gb(1), .latency = ns(100)});
  const ShortestPaths paths(graph, {LinkKind::Pcie});
  CHECK(paths.nearest_cpu(gpu) == near);
  CHECK(paths.path(gpu, far)->size() == 1);
}

}  // namespace
}  // namespace moesim::topology
