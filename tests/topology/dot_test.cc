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
  CHECK(count(dot, "18 x, 450 GB/s") == 2 * 8);
  CHECK(std::count(dot.begin(), dot.end(), '{') == std::count(dot.begin(), dot.end(), '}'));
}

TEST_CASE("names with quotes stay one name") {
  Cluster cluster = read(R"({"star": {"gpus": 2, "gpu": "x", "bandwidth": "1 GB/s", "latency": "0 us"}})");
  cluster.name = "a \"b\" \\";
  CHECK(to_dot(cluster).starts_with("graph \"a \\\"b\\\" \\\\\" {"));
}

}  // namespace
}  // namespace moesim::topology
