#include "topology/dot.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "tests/topology/support.h"

namespace moesim::topology {
namespace {

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST_CASE("the drawing has a box per node, planes bundled, and a line per link") {
  const std::string dot = to_dot(read(R"({"preset": "hgx_h100", "nodes": 2})"));
  CHECK(count(dot, "subgraph cluster_node") == 2);
  CHECK(count(dot, "[label=\"nvswitch0..3\", shape=hexagon") == 2);
  // Per node 8 NVLinks, 8 + 8 + 4 PCIe links, one between CPUs and 8 to leaves.
  CHECK(count(dot, " -- ") == 2 * (8 + 20 + 1 + 8));
  // All NVLinks are alike, and so are all PCIe links: their rates are said once, not at each line.
  CHECK(count(dot, "\\nnvlink: 18 x, 450 GB/s per direction") == 1);
  CHECK(count(dot, "450 GB/s") == 1);
  CHECK(count(dot, "\\npcie: 16 x, 64.0 GB/s per direction") == 1);
  CHECK(std::count(dot.begin(), dot.end(), '{') == std::count(dot.begin(), dot.end(), '}'));
}

TEST_CASE("links of a kind that differ are each drawn with their rate") {
  const std::string dot = to_dot(without_link(read(R"({"preset": "hgx_h100"})"), "gpu3", "nvswitch1"));
  CHECK(count(dot, "label=\"5 x, 125 GB/s\"") == 2 * 8);
  CHECK(count(dot, "label=\"4 x, 100 GB/s\"") == 2 * 8 - 1);
}

TEST_CASE("several nodes stand left and right of the switch that joins them, one node above its own") {
  const std::string rack = to_dot(read(R"({"preset": "gb200_nvl72"})"));
  CHECK(count(rack, "rankdir=LR") == 1);
  CHECK(count(rack, "gpu0\" -- \"nvswitch0..17\"") == 9);
  CHECK(count(rack, "\"nvswitch0..17\" -- \"node9.gpu0\"") == 1);
  CHECK(count(to_dot(read(R"({"preset": "hgx_h100"})")), "rankdir=TB") == 1);
}

TEST_CASE("names with quotes stay one name") {
  Cluster cluster = read(R"({"star": {"gpus": 2, "gpu": "x", "bandwidth": "1 GB/s", "latency": "0 us"}})");
  cluster.name = "a \"b\" \\";
  CHECK(to_dot(cluster).starts_with("graph \"a \\\"b\\\" \\\\\" {"));
}

}  // namespace
}  // namespace moesim::topology
