#include "topology/routing.h"

#include <numeric>
#include <thread>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "tests/topology/support.h"

namespace moesim::topology {
namespace {

using base::Json;

TEST_CASE("inside an HGX node a route is two NVLink hops over the collapsed switches") {
  const Cluster cluster = read(R"({"preset": "hgx_h100"})");
  const Router router(cluster);
  for (std::int32_t from = 0; from < 8; ++from)
    for (std::int32_t to = 0; to < 8; ++to)
      if (from != to)
        CHECK(devices(router, from, to) == "gpu" + std::to_string(from) + " nvswitch0..3 gpu" + std::to_string(to));
  CHECK(router.route(1, 6).latency == ns(200) * 2);
}

TEST_CASE("between nodes a route to the same rail goes from NIC to NIC over that rail's leaf") {
  const Router router(read(R"({"preset": "hgx_h100", "nodes": 2})"));
  for (std::int32_t i = 0; i < 8; ++i) {
    const std::string n = std::to_string(i);
    const std::string pcie = std::to_string(i / 2);
    CHECK(devices(router, i, 8 + i) == "node0.gpu" + n + " node0.pcie_switch" + pcie + " node0.nic" + n + " leaf" + n +
                                           " node1.nic" + n + " node1.pcie_switch" + pcie + " node1.gpu" + n);
  }
  CHECK(router.route(3, 11).latency.value() == doctest::Approx((4 * 150 + 2 * 600) * 1e-9));
}

TEST_CASE("between nodes a route to another rail ends with an NVLink relay at the receiver") {
  const Router router(read(R"({"preset": "hgx_h100", "nodes": 2})"));
  CHECK(devices(router, 2, 8 + 5) ==
        "node0.gpu2 node0.pcie_switch1 node0.nic2 leaf2 node1.nic2 node1.pcie_switch1 node1.gpu2 node1.nvswitch0..3 "
        "node1.gpu5");
  CHECK(router.route(2, 13).latency.value() == doctest::Approx((4 * 150 + 2 * 600 + 2 * 200) * 1e-9));
}

TEST_CASE("between racks the NIC hangs on Grace, and the relay may be any GPU of the tray") {
  const Router router(read(R"({"preset": "gb200_nvl72", "nodes": 2})"));
  CHECK(devices(router, 5, 72 + 9) == "node1.gpu1 node1.cpu0 node1.nic1 leaf1 node20.nic1 node20.cpu0 node20.gpu1");
  CHECK(devices(router, 7, 72 + 8) ==
        "node1.gpu3 node1.cpu1 node1.nic3 leaf3 node20.nic3 node20.cpu1 node20.gpu3 rack1.nvswitch0..17 node20.gpu0");
  CHECK(devices(router, 0, 71) == "node0.gpu0 rack0.nvswitch0..17 node17.gpu3");
}

TEST_CASE("in a PCIe box a route crosses the CPUs only between their switches") {
  const Router router(read(R"({"preset": "pcie_rtx_pro_6000_8"})"));
  CHECK(devices(router, 0, 3) == "gpu0 pcie_switch0 gpu3");
  CHECK(devices(router, 1, 6) == "gpu1 pcie_switch0 cpu0 cpu1 pcie_switch1 gpu6");
}

TEST_CASE("staging in host memory always passes the sender's CPU") {
  const Router router(read(R"({"preset": "pcie_rtx_pro_6000_8", "override": {"host": {"p2p": "host_staged"}}})"));
  CHECK(devices(router, 0, 3) == "gpu0 pcie_switch0 cpu0 memory0 cpu0 pcie_switch0 gpu3");
  CHECK(devices(router, 6, 1) == "gpu6 pcie_switch1 cpu1 memory1 cpu1 cpu0 pcie_switch0 gpu1");
}

TEST_CASE("without NVLink the NIC reaches the receiver over PCIe") {
  const Router router(read(R"({"preset": "pcie_rtx_pro_6000_8", "nodes": 2})"));
  CHECK(devices(router, 1, 8 + 3) ==
        "node0.gpu1 node0.pcie_switch0 node0.nic1 leaf1 node1.nic1 node1.pcie_switch0 node1.gpu3");
  CHECK(devices(router, 1, 8 + 4) ==
        "node0.gpu1 node0.pcie_switch0 node0.nic1 leaf1 node1.nic1 node1.pcie_switch0 node1.cpu0 node1.cpu1 "
        "node1.pcie_switch1 node1.gpu4");
}

TEST_CASE("GPUs without a rail take equally near NICs in turn") {
  Json json = to_json(read(R"({"preset": "hgx_h100", "nodes": 2})"));
  for (Json& device : json["devices"])
    if (device["kind"] == "gpu") device.erase("rail");
  const Router router(read_json(json));
  for (std::int32_t i = 0; i < 8; ++i)
    CHECK(devices(router, i, 8 + i).find("leaf" + std::to_string(i)) != std::string::npos);
}

TEST_CASE("two GPUs may share a NIC: each is reached from it directly, others over either of them") {
  const Router router(read(R"({"preset": "hgx_h100", "nodes": 2, "override": {"nics": {"count": 4}, "host": {"cpus": [
      {"pcie_switches": [{"gpus": [0, 1], "nics": [0]}, {"gpus": [2, 3], "nics": [1]}]},
      {"pcie_switches": [{"gpus": [4, 5], "nics": [2]}, {"gpus": [6, 7], "nics": [3]}]}]}}})"));
  const std::string start = "node0.gpu3 node0.pcie_switch1 node0.nic1 leaf1 node1.nic1 node1.pcie_switch1 ";
  CHECK(devices(router, 3, 8 + 2) == start + "node1.gpu2");
  CHECK(devices(router, 3, 8 + 3) == start + "node1.gpu3");
  CHECK(devices(router, 3, 8 + 6) == start + "node1.gpu2 node1.nvswitch0..3 node1.gpu6");
  CHECK(devices(router, 3, 8 + 7) == start + "node1.gpu3 node1.nvswitch0..3 node1.gpu7");
}

TEST_CASE("a rail that the receiver's node lacks is left for another NIC of the sender's node") {
  const Cluster cluster = without_link(read(R"({"preset": "hgx_h100", "nodes": 2})"), "node1.nic3", "leaf3");
  const Router router(cluster);
  // GPU 3's next NIC is the other one on its PCIe switch.
  CHECK(devices(router, 3, 8 + 6) ==
        "node0.gpu3 node0.pcie_switch1 node0.nic2 leaf2 node1.nic2 node1.pcie_switch1 node1.gpu2 node1.nvswitch0..3 "
        "node1.gpu6");
  CHECK(devices(router, 2, 8 + 3).find("leaf2") != std::string::npos);
  CHECK(devices(router, 8 + 3, 0).find("node1.nic2 leaf2 node0.nic2") != std::string::npos);
}

TEST_CASE("where one switch joins all NICs, traffic still stays on the sender's rail") {
  Json json = to_json(read(R"({"preset": "hgx_h100", "nodes": 2})"));
  std::erase_if(json["devices"].get_ref<Json::array_t&>(),
                [](const Json& d) { return d["kind"] == "switch" && d["name"] != "leaf0"; });
  for (Json& link : json["links"])
    if (link["kind"] == "network") link["b"] = "leaf0";
  CHECK(devices(Router(read_json(json)), 2, 8 + 5).find("node0.nic2 leaf0 node1.nic2 ") != std::string::npos);

  // Without rails the receiver's own NIC is the one to send to.
  for (Json& device : json["devices"]) device.erase("rail");
  CHECK(devices(Router(read_json(json)), 2, 8 + 5).find("node0.nic2 leaf0 node1.nic5 ") != std::string::npos);

  // Of several NICs on the rail, the receiver's own comes first.
  for (Json& device : json["devices"])
    if (device["kind"] == "nic") device["rail"] = 0;
  CHECK(devices(Router(read_json(json)), 2, 8 + 5).find("node0.nic2 leaf0 node1.nic5 ") != std::string::npos);
}

TEST_CASE("every route of a large cluster is connected and passes no GPU but the relay") {
  const Cluster cluster = read(R"({"preset": "hgx_h200", "nodes": 4})");
  for (const bool collapse : {true, false}) {
    const Router router(cluster, {.collapse_planes = collapse});
    const Graph& graph = router.graph();
    for (std::int32_t from = 0; from < 32; ++from)
      for (std::int32_t to = 0; to < 32; ++to) {
        if (from == to) continue;
        double total = 0;
        for (const auto& [route, share] : router.plane_routes(from, to)) {
          total += share;
          DeviceId here = router.gpus()[static_cast<std::size_t>(from)];
          bool network = false;
          for (const Hop& hop : route.hops) {
            REQUIRE(graph.port_from(hop.port) == here);
            if (graph.device(here).kind == DeviceKind::Gpu && hop.port != route.hops.front().port) {
              CHECK(network);  // a relay, after the network and before NVLink
              CHECK(graph.link(hop.port.link).kind == LinkKind::NvLink);
            }
            network |= graph.link(hop.port.link).kind == LinkKind::Network;
            here = graph.port_to(hop.port);
          }
          CHECK(here == router.gpus()[static_cast<std::size_t>(to)]);
          CHECK(network == (from / 8 != to / 8));
        }
        CHECK(total == doctest::Approx(1));
      }
  }
}

TEST_CASE("relabelling devices and links changes no route's latency") {
  base::RandomStream random(11, "relabel");
  for (const std::string name : {"hgx_h100", "gb200_nvl72", "pcie_rtx_pro_6000_8"}) {
    CAPTURE(name);
    Json json = to_json(read(R"({"preset": ")" + name + R"(", "nodes": 2})"));
    for (Json& link : json["links"])  // so that shortest paths differ from fewest hops
      link["latency"] = std::to_string(100 + random.below(50) * 10) + " ns";
    const Cluster before = read_json(json);
    for (const char* list : {"devices", "links"})
      for (std::size_t i = json[list].size(); i > 1; --i) std::swap(json[list][i - 1], json[list][random.below(i)]);
    const Cluster after = read_json(json);
    std::map<std::string, std::int32_t> rank_after;
    for (std::size_t rank = 0; rank < after.gpus.size(); ++rank)
      rank_after[after.graph.device(after.gpus[rank]).name] = static_cast<std::int32_t>(rank);
    const Router one(before);
    const Router two(after);
    const auto ranks = static_cast<std::int32_t>(before.gpus.size());
    for (int i = 0; i < 500; ++i) {
      const auto from = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(ranks)));
      const auto to = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(ranks)));
      if (from == to) continue;
      const auto other = [&](std::int32_t rank) {
        return rank_after.at(before.graph.device(before.gpus[static_cast<std::size_t>(rank)]).name);
      };
      CHECK(one.route(from, to).latency.value() ==
            doctest::Approx(two.route(other(from), other(to)).latency.value()).epsilon(1e-12));
    }
  }
}

TEST_CASE("several threads may ask one router at once") {
  const Router router(read(R"({"preset": "hgx_h100", "nodes": 4})"));
  std::vector<double> sums(4);
  std::vector<std::thread> threads;
  for (double& sum : sums)
    threads.emplace_back([&router, &sum] {
      for (std::int32_t from = 0; from < 32; ++from)
        for (std::int32_t to = 0; to < 32; ++to)
          if (from != to) sum += router.route(from, to).latency.value();
    });
  for (std::thread& thread : threads) thread.join();
  for (const double sum : sums) CHECK(sum == sums.front());
}

}  // namespace
}  // namespace moesim::topology
