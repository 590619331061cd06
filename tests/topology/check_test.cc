#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tests/topology/support.h"

namespace moesim::topology {
namespace {

TEST_CASE("healthy presets have no warnings") {
  for (const std::string& name : kPresets) CHECK(check(read(R"({"preset": ")" + name + R"(", "nodes": 2})")).empty());
}

TEST_CASE("rates that look like a slip of the unit are warned of once per kind") {
  const Cluster fast = read(R"({"star": {"gpus": 4, "gpu": "x", "bandwidth": "50 TB/s", "latency": "0 us"}})");
  REQUIRE(check(fast).size() == 1);
  CHECK(check(fast)[0].find("50.0 TB/s per direction, above 10.0 TB/s") != std::string::npos);
  const Cluster slow = read(R"({"star": {"gpus": 4, "gpu": "x", "bandwidth": "50 GB/s", "latency": "2 ms"}})");
  REQUIRE(check(slow).size() == 1);
  CHECK(check(slow)[0].find("latency of 2.00 ms") != std::string::npos);
  const Cluster pcie =
      read(R"({"star": {"gpus": 4, "gpu": "x", "bandwidth": "512 GB/s", "latency": "0 us", "kind": "pcie"}})");
  REQUIRE(check(pcie).size() == 1);
  CHECK(pcie.notes == std::vector<std::string>{"warning: " + check(pcie)[0]});
}

TEST_CASE("GPUs that differ in their links are warned of, naming the first two that do") {
  const Cluster cluster = without_link(read(R"({"preset": "hgx_h100"})"), "gpu3", "nvswitch1");
  REQUIRE(check(cluster).size() == 1);
  CHECK(check(cluster)[0] ==
        "the GPUs differ in their nvlink links: gpu0 has 18 lanes of 450 GB/s together, gpu3 14 "
        "lanes of 350 GB/s together");
}

TEST_CASE("a cluster made by hand is checked too") {
  Cluster cluster;
  CHECK_THROWS_WITH_AS(check(cluster), doctest::Contains("without GPUs"), base::InputError);
  cluster.gpus.push_back(cluster.graph.add_device({.name = "a", .model = "x", .node = 0, .domain = 0}));
  cluster.gpus.push_back(cluster.graph.add_device({.name = "b", .model = "y", .node = 0, .domain = 0}));
  cluster.graph.add_link({.a = cluster.gpus[0], .b = cluster.gpus[1], .bandwidth = gb(1)});
  CHECK_THROWS_WITH_AS(check(cluster), doctest::Contains("mixed GPU models"), base::InputError);
}

}  // namespace
}  // namespace moesim::topology
