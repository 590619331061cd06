#include <map>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/topology/support.h"
#include "topology/collapse.h"
#include "topology/summary.h"

namespace moesim::topology {
namespace {

using base::Json;

std::size_t count_switches(const Graph& graph) {
  std::size_t count = 0;
  for (const Device& device : graph.devices()) count += device.kind == DeviceKind::NvSwitch;
  return count;
}

TEST_CASE("healthy planes collapse into one switch with the bandwidth and lanes of all") {
  for (const std::string name : {"hgx_h100", "gb200_nvl72"}) {
    const Cluster cluster = read(R"({"preset": ")" + name + R"(", "nodes": 2})");
    const Collapsed collapsed = collapse_planes(cluster.graph);
    CHECK(count_switches(collapsed.graph) == 2);
    for (std::size_t k = 0; k < kLinkKindCount; ++k)
      for (const DeviceId gpu : cluster.gpus) {
        const PortTotals before = totals_of(cluster.graph, gpu, static_cast<LinkKind>(k));
        const PortTotals after = totals_of(collapsed.graph, collapsed.device[gpu.index()], static_cast<LinkKind>(k));
        CHECK(before.bandwidth == after.bandwidth);
        CHECK(before.lanes == after.lanes);
        if (static_cast<LinkKind>(k) == LinkKind::NvLink) CHECK(after.links == 1);
      }
  }
}

TEST_CASE("kept apart, planes carry shares in proportion to their links, in sum one") {
  const Cluster cluster = read(R"({"preset": "hgx_h100"})");
  const Router router(cluster, {.collapse_planes = false});
  const std::vector<int> planes{5, 4, 4, 5};
  for (std::int32_t from = 0; from < 8; ++from)
    for (std::int32_t to = 0; to < 8; ++to) {
      if (from == to) continue;
      const auto routes = router.plane_routes(from, to);
      REQUIRE(routes.size() == 4);
      double total = 0;
      for (std::size_t p = 0; p < 4; ++p) {
        CHECK(routes[p].share == doctest::Approx(planes[p] / 18.0));
        CHECK(router.graph().link(routes[p].route.hops[0].port.link).plane == static_cast<int>(p));
        CHECK(routes[p].route.hops[0].share == 1);
        total += routes[p].share;
      }
      CHECK(total == doctest::Approx(1));
    }
  const Route together = router.route(0, 1);
  CHECK(together.hops.size() == 2 * 4);
  CHECK(together.latency == Router(cluster).route(0, 1).latency);
}

TEST_CASE("apart or collapsed, one flow loads a GPU's NVLink by the same fraction of its bandwidth") {
  const Cluster cluster = read(R"({"preset": "gb200_nvl72"})");
  const Router apart(cluster, {.collapse_planes = false});
  const Router collapsed(cluster);
  for (const auto& [from, to] : std::vector<std::pair<int, int>>{{0, 1}, {3, 70}, {71, 0}}) {
    const Hop whole = collapsed.route(from, to).hops[0];
    const double expected = whole.share / collapsed.graph().link(whole.port.link).bandwidth.value();
    for (const Hop& hop : apart.route(from, to).hops)
      CHECK(hop.share / apart.graph().link(hop.port.link).bandwidth.value() == doctest::Approx(expected));
  }
}

TEST_CASE("a broken link keeps the planes apart and is avoided by its GPU alone") {
  const Cluster cluster = without_link(read(R"({"preset": "gb200_nvl72"})"), "node1.gpu0", "nvswitch5");
  const Router router(cluster);  // asked to collapse, but must not
  CHECK(count_switches(router.graph()) == 18);
  const auto spared = router.plane_routes(0, 4);
  REQUIRE(spared.size() == 17);
  for (const auto& [route, share] : spared) {
    CHECK(share == doctest::Approx(1 / 17.0));
    CHECK(router.graph().port_name(route.hops[0].port) != "node0.gpu0 -> nvswitch5");
  }
  CHECK(router.plane_routes(0, 5).size() == 18);
}

TEST_CASE("one broken rack leaves the planes of the others collapsed") {
  const Cluster cluster =
      without_link(read(R"({"preset": "gb200_nvl72", "nodes": 2})"), "node1.gpu0", "rack0.nvswitch5");
  const Router router(cluster);
  CHECK(count_switches(router.graph()) == 18 + 1);
  CHECK(devices(router, 72, 73) == "node18.gpu0 rack1.nvswitch0..17 node18.gpu1");
}

TEST_CASE("a whole plane lost by all leaves the others alike, so that they collapse") {
  Json json = to_json(read(R"({"preset": "hgx_h100"})"));
  std::erase_if(json["devices"].get_ref<Json::array_t&>(), [](const Json& d) { return d["name"] == "nvswitch2"; });
  std::erase_if(json["links"].get_ref<Json::array_t&>(), [](const Json& l) { return l["b"] == "nvswitch2"; });
  const Router router(read_json(json));
  CHECK(count_switches(router.graph()) == 1);
  const Hop hop = router.route(0, 1).hops[0];
  CHECK(router.graph().link(hop.port.link).bandwidth == gb(25) * (5 + 4 + 5));
}

TEST_CASE("a GPU without any NVLink keeps the planes of the others apart and takes PCIe") {
  Json json = to_json(read(R"({"preset": "hgx_h100"})"));
  std::erase_if(json["links"].get_ref<Json::array_t&>(),
                [](const Json& l) { return l["a"] == "gpu3" && l["kind"] == "nvlink"; });
  const Router router(read_json(json));
  CHECK(count_switches(router.graph()) == 4);
  CHECK(devices(router, 3, 2) == "gpu3 pcie_switch1 gpu2");
  CHECK(router.plane_routes(0, 1).size() == 4);
}

TEST_CASE("unequal shares or latencies keep planes apart") {
  for (const auto& [key, value] :
       std::map<std::string, std::string>{{"bandwidth", "100 GB/s"}, {"latency", "900 ns"}}) {
    Json json = to_json(read(R"({"preset": "hgx_h100"})"));
    for (Json& link : json["links"])
      if (link["a"] == "gpu3" && link["b"] == "nvswitch0") link[key] = value;
    const Router router(read_json(json));
    CHECK(count_switches(router.graph()) == 4);
    double total = 0;
    for (const auto& plane : router.plane_routes(3, 0)) total += plane.share;
    CHECK(total == doctest::Approx(1));
    if (key == "latency") CHECK(router.route(3, 0).latency == ns(900) + ns(200));  // of the slowest plane
  }
}

TEST_CASE("planes in equal proportion collapse even where one GPU is slower than another") {
  Json json = to_json(read(R"({"preset": "gb200_nvl72"})"));
  for (Json& link : json["links"])
    if (link["a"] == "node0.gpu1" && link["kind"] == "nvlink") link["bandwidth"] = "25 GB/s";
  const Cluster cluster = read_json(json);
  const Collapsed collapsed = collapse_planes(cluster.graph);
  CHECK(count_switches(collapsed.graph) == 1);
  CHECK(totals_of(collapsed.graph, collapsed.device[cluster.gpus[1].index()], LinkKind::NvLink).bandwidth ==
        gb(25) * 18);
}

}  // namespace
}  // namespace moesim::topology
