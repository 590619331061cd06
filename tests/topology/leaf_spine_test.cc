#include <algorithm>
#include <cmath>
#include <map>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/topology/support.h"
#include "topology/dot.h"
#include "topology/summary.h"

namespace moesim::topology {
namespace {

// 72 GPUs at 50 GB/s on 9 leaves of 8; 4 spines, 2:1, so 8 * 50 / 2 / 4 = 50 GB/s from each leaf to each spine.
std::string ends72(const std::string& more = "") {
  return R"({"leaf_spine": {"gpus": 72, "gpu": "h800", "bandwidth": "50 GB/s", "latency": "250 ns", "leaf_size": 8,
             "spines": 4, "oversubscription": 2)" +
         more + "}}";
}

std::string nodes(int count, const std::string& more) {
  return R"({"preset": "hgx_h200", "nodes": )" + std::to_string(count) +
         R"(, "scale_out": {"kind": "leaf_spine", "leaf_size": 16, "spines": 4, "oversubscription": 2)" + more + "}}";
}

std::size_t network_links(const Cluster& cluster) {
  std::size_t count = 0;
  for (const Link& link : cluster.graph.links()) count += link.kind == LinkKind::Network ? 1U : 0U;
  return count;
}

std::string spine_of(const Router& router, std::int32_t from, std::int32_t to) {
  const std::string way = devices(router, from, to);
  const auto at = way.find("spine");
  return at == std::string::npos ? "" : way.substr(at, way.find(' ', at) - at);
}

// [spine] flows between leaves that cross it, of all ordered pairs of `gpus` GPUs.
std::map<std::string, int> spread(const Router& router, std::int32_t gpus) {
  std::map<std::string, int> flows;
  for (std::int32_t from = 0; from < gpus; ++from)
    for (std::int32_t to = 0; to < gpus; ++to)
      if (from != to) ++flows[spine_of(router, from, to)];
  flows.erase("");
  return flows;
}

TEST_CASE("GPUs on leaves and spines: link counts, rates and bisection follow from size and oversubscription") {
  const Cluster cluster = read(ends72());
  const Summary summary = summarize(cluster);
  CHECK(summary.gpus == 72);
  CHECK(network_links(cluster) == 72 + 9 * 4);
  for (const Link& link : cluster.graph.links()) CHECK(link.bandwidth == gb(50));
  CHECK(summary.nic_per_gpu.lowest == gb(50));
  // The first 36 GPUs fill 4 leaves and half of the fifth. Those 4 send at half their NICs' rate; the 4 GPUs of the
  // fifth reach the other 4 below their leaf at full rate, without its uplinks, and no one else is left to send more.
  CHECK(*summary.scale_out_bisection == gb(4 * 8 * 50.0 / 2 + 4 * 50.0));
}

TEST_CASE("without oversubscription the bisection is that of one ideal switch") {
  const Cluster cluster = read(ends72(R"(, "spine_latency": "1 us")"));
  const Cluster ideal = read(
      R"({"leaf_spine": {"gpus": 72, "gpu": "x", "bandwidth": "50 GB/s", "latency": "0 us", "leaf_size": 8, "spines": 4}})");
  CHECK(*summarize(ideal).scale_out_bisection == gb(36 * 50));
  CHECK(*summarize(cluster).scale_out_bisection < gb(36 * 50));
}

TEST_CASE("a route stays below its leaf, or goes over one spine; latencies add up") {
  const Router router(read(ends72(R"(, "spine_latency": "1 us")")));
  CHECK(devices(router, 0, 7) == "gpu0 leaf0 gpu7");
  CHECK(router.route(0, 7).latency.value() == doctest::Approx(2 * 250e-9));
  const std::string spine = spine_of(router, 0, 8);
  CHECK(devices(router, 0, 8) == "gpu0 leaf0 " + spine + " leaf1 gpu8");
  CHECK(router.route(0, 8).latency.value() == doctest::Approx(2 * 250e-9 + 2 * 1e-6));
}

TEST_CASE("ECMP spreads flows evenly but for chance, alike for one seed and otherwise for another") {
  const Router router(read(ends72())), same(read(ends72(R"(, "ecmp_seed": 0)"))),
      other(read(ends72(R"(, "ecmp_seed": 1)")));
  const auto flows = spread(router, 72);
  CHECK(flows.size() == 4);
  constexpr double kBetween = 72 * 64, kShare = kBetween / 4;
  for (const auto& one : flows) {
    CAPTURE(one.first);
    CHECK(std::abs(one.second - kShare) < 5 * std::sqrt(kShare * 3 / 4));  // five standard deviations of a fair draw
  }
  CHECK(spread(same, 72) == flows);
  int moved = 0;
  for (std::int32_t to = 8; to < 72; ++to) {
    CHECK(devices(router, 3, to) == devices(same, 3, to));
    moved += devices(router, 3, to) != devices(other, 3, to) ? 1 : 0;
  }
  // Three of four flows find another spine.
  CHECK(moved > 32);
  CHECK(moved < 64);
}

TEST_CASE("leaves by node: a flow enters by the receiver's own NIC, without a relay over NVLink") {
  const Cluster cluster = read(nodes(4, ""));
  CHECK(network_links(cluster) == 4 * 8 + 2 * 4);  // 32 NICs on 2 leaves of 16
  for (const Link& link : cluster.graph.links())
    if (link.kind == LinkKind::Network && cluster.graph.device(link.a).kind == DeviceKind::Switch)
      CHECK(link.bandwidth == gb(16 * 50.0 / 2 / 4));
  const Router router(cluster);
  CHECK(devices(router, 2, 8 + 5) ==
        "node0.gpu2 node0.pcie_switch1 node0.nic2 leaf0 node1.nic5 node1.pcie_switch2 node1.gpu5");
  CHECK(devices(router, 2, 16 + 5) == "node0.gpu2 node0.pcie_switch1 node0.nic2 leaf0 " + spine_of(router, 2, 21) +
                                          " leaf1 node2.nic5 node2.pcie_switch2 node2.gpu5");
}

TEST_CASE("leaves by rail: a leaf holds one rail of some nodes, and the rails stay") {
  const Cluster cluster = read(
      R"({"preset": "hgx_h200", "nodes": 4, "scale_out": {"kind": "leaf_spine", "leaves": "by_rail", "leaf_size": 2,
          "spines": 4}})");
  CHECK(network_links(cluster) == 4 * 8 + 16 * 4);  // 8 rails of 2 leaves
  const Router router(cluster);
  // Within a pair of nodes one leaf joins a rail; to another rail the receiver's node relays over NVLink.
  CHECK(devices(router, 2, 8 + 2) ==
        "node0.gpu2 node0.pcie_switch1 node0.nic2 leaf4 node1.nic2 node1.pcie_switch1 node1.gpu2");
  CHECK(devices(router, 2, 16 + 5) == "node0.gpu2 node0.pcie_switch1 node0.nic2 leaf4 " + spine_of(router, 2, 21) +
                                          " leaf5 node2.nic2 node2.pcie_switch1 node2.gpu2 node2.nvswitch0..3 "
                                          "node2.gpu5");
}

TEST_CASE("uplinks are bundles of whole cables where their rate is given") {
  // 16 * 50 GB/s over 2 and 4 spines: 100 GB/s from a leaf to a spine, two cables of 400 Gb/s.
  const Cluster cluster = read(nodes(4, R"(, "spine_link": "400 Gb/s")"));
  for (const Link& link : cluster.graph.links()) {
    if (link.kind == LinkKind::Network && cluster.graph.device(link.a).kind == DeviceKind::Switch)
      CHECK(link.lanes == 2);
  }
  CHECK(to_dot(cluster).find("2 x, 100 GB/s") != std::string::npos);
  CHECK(std::any_of(cluster.notes.begin(), cluster.notes.end(),
                    [](const std::string& note) { return note.find("2 cables") != std::string::npos; }));
}

TEST_CASE("a network of leaves and spines survives printing and reading back, with its hash") {
  const Cluster cluster = read(ends72(R"(, "ecmp_seed": 12)"));
  const Cluster again = read_json(to_json(cluster));
  CHECK(to_json(again) == to_json(cluster));
  CHECK(again.ecmp_seed == cluster.ecmp_seed);
  const Router router(cluster), router_again(again);
  for (std::int32_t to = 1; to < 72; ++to) CHECK(devices(router, 0, to) == devices(router_again, 0, to));
}

TEST_CASE("a leaf may be half full, and one leaf needs no spine") {
  const Cluster cluster = read(
      R"({"leaf_spine": {"gpus": 12, "gpu": "x", "bandwidth": "1 GB/s", "latency": "0 us", "leaf_size": 8, "spines": 3}})");
  CHECK(network_links(cluster) == 12 + 2 * 3);
  CHECK(devices(Router(cluster), 8, 11) == "gpu8 leaf1 gpu11");
}

}  // namespace
}  // namespace moesim::topology
