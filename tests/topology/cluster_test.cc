#include "topology/cluster.h"

#include <doctest/doctest.h>

#include "tests/topology/support.h"
#include "topology/summary.h"

namespace moesim::topology {
namespace {

TEST_CASE("ranks go node by node, and domains are nodes of an HGX cluster") {
  const base::RankMap map = read(R"({"preset": "hgx_h100", "nodes": 3})").rank_map();
  REQUIRE(map.ranks() == 3 * 8);
  for (std::size_t rank = 0; rank < 24; ++rank) {
    CHECK(map.node[rank] == static_cast<std::int32_t>(rank / 8));
    CHECK(map.domain[rank] == map.node[rank]);
  }
}

TEST_CASE("nodes of a rack are its trays, its domain is the rack") {
  const base::RankMap map = read(R"({"preset": "gb200_nvl72", "nodes": 2})").rank_map();
  for (std::size_t rank = 0; rank < 144; ++rank) {
    CHECK(map.node[rank] == static_cast<std::int32_t>(rank / 4));
    CHECK(map.domain[rank] == static_cast<std::int32_t>(rank / 72));
  }
}

TEST_CASE("GPUs without NVLink count as one domain per node") {
  const base::RankMap map = read(R"({"preset": "pcie_rtx_pro_6000_8", "nodes": 2})").rank_map();
  for (std::size_t rank = 0; rank < 16; ++rank) CHECK(map.domain[rank] == static_cast<std::int32_t>(rank / 8));
}

TEST_CASE("a star is N GPUs on one switch with the rates given") {
  const Cluster star = read(R"({"star": {"gpus": 16, "gpu": "h800", "bandwidth": "50 GB/s", "latency": "1 us"}})");
  const Summary summary = summarize(star);
  CHECK(star.gpu == "h800");
  CHECK(star.gpus.size() == 16);
  CHECK(star.graph.num_devices() == 16 + 1);
  CHECK(summary.domain_bisection->lowest == gb(50) * (16 / 2.0));
  const Route route = Router(star).route(3, 11);
  REQUIRE(route.hops.size() == 2);
  CHECK(route.latency == ns(1000) * 2);
}

TEST_CASE("a star of kind network makes every GPU a node of its own") {
  const Cluster star =
      read(R"({"star": {"gpus": 5, "gpu": "h800", "bandwidth": "50 GB/s", "latency": "1 us", "kind": "network"}})");
  const Summary summary = summarize(star);
  CHECK(summary.nodes == 5);
  CHECK(summary.domains == 0);
  constexpr int smaller_half = 5 / 2;
  CHECK(*summary.scale_out_bisection == gb(50) * smaller_half);
  CHECK(devices(Router(star), 0, 4) == "gpu0 leaf0 gpu4");
  const base::RankMap map = star.rank_map();
  for (std::size_t rank = 0; rank < 5; ++rank) CHECK(map.domain[rank] == map.node[rank]);
}

TEST_CASE("a scale_out on a single node is warned of, as it changes nothing") {
  const Cluster cluster = read(R"({"preset": "hgx_h100", "scale_out": {"latency": "1 us"}})");
  CHECK(cluster.graph.num_links() == read(R"({"preset": "hgx_h100"})").graph.num_links());
  CHECK(cluster.notes.back().find("warning: scale_out has no effect") == 0);
}

}  // namespace
}  // namespace moesim::topology
