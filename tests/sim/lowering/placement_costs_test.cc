#include "sim/lowering/placement_costs.h"

#include <doctest/doctest.h>

#include "sim/lowering/expert_compute.h"
#include "tests/approx.h"
#include "topology/cluster.h"

namespace moesim::lowering {
namespace {

using tests::Approx;

workloads::PlacementCosts costs_on(const std::string& cluster_json, const char* profile_name = "h100") {
  const base::JsonDocument document = base::parse_json(cluster_json, "cluster"),
                           text = base::parse_json(R"({"preset": "deepseek-v3"})", "model");
  return placement_costs(topology::read_cluster(base::JsonNode(document)), workloads::read_model(base::JsonNode(text)),
                         profile::profile_preset(profile_name), base::Bytes(1), true);
}

TEST_CASE("a placement is charged for NVLinks and NICs where tokens use them, at their raw rates") {
  const auto nodes = costs_on(R"({"preset": "hgx_h100", "nodes": 2})");
  CHECK(nodes.rank_bandwidth.value() == Approx(18 * 25e9));
  CHECK(nodes.domain_bandwidth.value() == Approx(8 * 50e9));
  // One domain is never left, and a domain of one GPU has no inside.
  CHECK(costs_on(R"({"preset": "hgx_h100"})").domain_bandwidth.value() == 0);
  const auto apart =
      costs_on(R"({"star": {"gpus": 4, "gpu": "h100", "bandwidth": "50 GB/s", "latency": "0 us", "kind": "network"}})");
  CHECK(apart.rank_bandwidth.value() == 0);
  CHECK(apart.domain_bandwidth.value() == Approx(50e9));
  const auto pcie =
      costs_on(R"({"star": {"gpus": 4, "gpu": "h100", "bandwidth": "60 GB/s", "latency": "0 us", "kind": "pcie"}})");
  CHECK(pcie.rank_bandwidth.value() == Approx(60e9));
}

TEST_CASE("experts are charged the datasheet's roofline, with an ideal profile nothing") {
  const auto costs = costs_on(R"({"preset": "hgx_h100"})");
  const double weights = 3.0 * 7168 * 2048;
  CHECK(costs.per_selection.value() == Approx(2 * weights / 1978e12));
  CHECK(costs.per_slot.value() == Approx(weights * (1 + 4.0 / 128 / 128) / 3.35e12));
  const auto ideal = costs_on(R"({"preset": "hgx_h100"})", "ideal");
  CHECK(ideal.per_selection.value() == 0);
  CHECK(ideal.per_slot.value() == 0);
}

}  // namespace
}  // namespace moesim::lowering
