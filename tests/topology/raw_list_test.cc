#include "topology/raw_list.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "tests/topology/support.h"

namespace moesim::topology {
namespace {

using base::Json;

void check_round_trip(const Cluster& cluster) {
  const Json printed = to_json(cluster);
  const Cluster again = read_json(printed);
  CHECK(to_json(again) == printed);
  CHECK(again.name == cluster.name);
  CHECK(again.gpu == cluster.gpu);
  CHECK(again.p2p == cluster.p2p);
  CHECK(again.gpus == cluster.gpus);
  CHECK(again.notes == cluster.notes);
  REQUIRE(again.graph.num_devices() == cluster.graph.num_devices());
  REQUIRE(again.graph.num_links() == cluster.graph.num_links());
  for (std::size_t d = 0; d < cluster.graph.num_devices(); ++d) {
    const Device& a = cluster.graph.devices()[d];
    const Device& b = again.graph.devices()[d];
    CHECK(std::tie(a.name, a.kind, a.model, a.node, a.domain, a.rail) ==
          std::tie(b.name, b.kind, b.model, b.node, b.domain, b.rail));
  }
  for (std::size_t l = 0; l < cluster.graph.num_links(); ++l) {
    const Link& a = cluster.graph.links()[l];
    const Link& b = again.graph.links()[l];
    CHECK(std::tie(a.a, a.b, a.kind, a.lanes, a.plane) == std::tie(b.a, b.b, b.kind, b.lanes, b.plane));
    CHECK(a.bandwidth.value() == b.bandwidth.value());  // to the last bit
    CHECK(a.latency.value() == b.latency.value());
  }
}

TEST_CASE("every preset, alone and in several units, survives printing and reading back") {
  for (const std::string& name : kPresets)
    for (const std::string nodes : {"1", "2"})
      check_round_trip(read(R"({"preset": ")" + name + R"(", "nodes": )" + nodes + "}"));
  check_round_trip(read(R"({"preset": "pcie_rtx_pro_6000_8", "override": {"host": {"p2p": "host_staged"}}})"));
}

TEST_CASE("a warning is not doubled by reading back") {
  check_round_trip(read(R"({"star": {"gpus": 2, "gpu": "x", "bandwidth": "100 TB/s", "latency": "2 ms"}})"));
}

TEST_CASE("awkward rates survive printing and reading back") {
  base::RandomStream random(7, "rates");
  for (int i = 0; i < 500; ++i) {
    Cluster cluster = read(R"({"star": {"gpus": 2, "gpu": "x", "bandwidth": "1 GB/s", "latency": "0 us"}})");
    Cluster odd;
    odd.name = cluster.name;
    odd.gpu = "x";
    for (const Device& device : cluster.graph.devices()) odd.graph.add_device(device);
    odd.gpus = cluster.gpus;
    for (Link link : cluster.graph.links()) {
      link.bandwidth = gb(random.uniform() * 900 / 7);
      link.latency = ns(random.uniform() * 1000 / 3);
      odd.graph.add_link(link);
    }
    const Cluster again = read_json(to_json(odd));
    for (std::size_t l = 0; l < 2; ++l) {
      CHECK(again.graph.links()[l].bandwidth.value() == odd.graph.links()[l].bandwidth.value());
      CHECK(again.graph.links()[l].latency.value() == odd.graph.links()[l].latency.value());
    }
  }
}

TEST_CASE("without domains in the list, what NVLink joins is a domain") {
  const Cluster cluster = read(R"({"devices": [
      {"name": "a", "kind": "gpu", "model": "x", "node": 0}, {"name": "b", "kind": "gpu", "model": "x", "node": 0},
      {"name": "c", "kind": "gpu", "model": "x", "node": 1}, {"name": "d", "kind": "gpu", "model": "x", "node": 1},
      {"name": "s", "kind": "switch"}], "links": [
      {"a": "a", "b": "b", "kind": "nvlink", "bandwidth": "50 GB/s", "latency": "0 us"},
      {"a": "c", "b": "d", "kind": "nvlink", "bandwidth": "50 GB/s", "latency": "0 us"},
      {"a": "a", "b": "s", "kind": "network", "bandwidth": "5 GB/s", "latency": "0 us"},
      {"a": "b", "b": "s", "kind": "network", "bandwidth": "5 GB/s", "latency": "0 us"},
      {"a": "c", "b": "s", "kind": "network", "bandwidth": "5 GB/s", "latency": "0 us"},
      {"a": "d", "b": "s", "kind": "network", "bandwidth": "5 GB/s", "latency": "0 us"}]})");
  CHECK(cluster.rank_map().domain == std::vector<std::int32_t>{0, 0, 1, 1});
  CHECK(cluster.name == "custom cluster");
}

TEST_CASE("ranks go node by node however the list is ordered") {
  Json json = to_json(read(R"({"preset": "hgx_h100", "nodes": 2})"));
  std::reverse(json["devices"].begin(), json["devices"].end());
  const Cluster cluster = read_json(json);
  for (std::size_t rank = 0; rank < 16; ++rank)
    CHECK(cluster.graph.device(cluster.gpus[rank]).node == static_cast<std::int32_t>(rank / 8));
}

}  // namespace
}  // namespace moesim::topology
