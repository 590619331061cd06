#include "sim/lowering/tensor_parallel.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/engine/engine.h"
#include "tests/approx.h"
#include "topology/cluster.h"

namespace moesim::lowering {
namespace {

constexpr double kLink = 450e9;

topology::Cluster cluster(const std::string& text) {
  const auto document = base::parse_json(text, "test.json");
  return topology::read_cluster(base::JsonNode(document));
}

topology::Cluster star(int gpus) {
  return cluster(R"({"star": {"gpus": )" + std::to_string(gpus) +
                 R"(, "gpu": "h100", "bandwidth": "450 GB/s", "latency": "0 us", "kind": "nvlink"}})");
}

double seconds(const topology::Cluster& on, NcclOp op, double bytes, const profile::Profile& profile) {
  const topology::Router router(on);
  engine::TaskGraph graph;
  Network network(graph, router);
  const auto events = tensor_parallel_lower(network, "collective", op, base::Bytes(bytes), profile, {});
  const auto timeline = engine::make_engine("fluid")->run(graph);
  double last = 0;
  for (std::size_t rank = 0; rank < on.gpus.size(); ++rank)
    last = std::max(last, timeline.event[events.done(static_cast<std::int32_t>(rank)).index()].value());
  return last;
}

}  // namespace

TEST_CASE("ideal collectives: what a rank writes to the others, over its links") {
  const auto ideal = profile::profile_preset("ideal");
  for (const int n : {2, 4, 8}) {
    const auto on = star(n);
    for (const double bytes : {4096.0, 1e6, 1e8}) {
      CAPTURE(n);
      CAPTURE(bytes);
      const double part = (n - 1) * bytes / n / kLink;
      CHECK(seconds(on, NcclOp::ReduceScatter, bytes, ideal) == tests::Approx(part).epsilon(1e-9));
      CHECK(seconds(on, NcclOp::AllGather, bytes, ideal) == tests::Approx(part).epsilon(1e-9));
      const bool one_shot = n == 2 || bytes <= (n <= 4 ? 512 : 256) * 1024;
      CHECK(seconds(on, NcclOp::AllReduce, bytes, ideal) ==
            tests::Approx(one_shot ? (n - 1) * bytes / kLink : 2 * part).epsilon(1e-9));
    }
  }
}

TEST_CASE("a GPU's collectives also start up, and links give their share") {
  const auto h100 = profile::profile_preset("h100");
  const auto on = star(4);
  const auto& nccl = h100.kernel("nccl_nvlink");
  const double bytes = 1e5;
  const double expected = h100.launch.value.value() + 2e-6 * nccl.at("hop_ll") + 3 * bytes / (kLink * nccl.at("e"));
  CHECK(seconds(on, NcclOp::AllReduce, bytes, h100) == tests::Approx(expected).epsilon(1e-9));
}

TEST_CASE("large buffers and ranks of several nodes take NCCL") {
  const auto h100 = profile::profile_preset("h100");
  for (const auto& [on, bytes] :
       {std::pair(star(8), 1e8), std::pair(cluster(R"({"preset": "hgx_h100", "nodes": 2})"), 1e6)}) {
    const topology::Router router(on);
    const auto ranks = static_cast<std::int32_t>(on.gpus.size());
    engine::TaskGraph graph;
    Network network(graph, router);
    const auto parameters = h100.kernel(nccl_kernel(NcclOp::AllReduce, nccl_fabric(router, h100.family, ranks)));
    const auto events =
        nccl_lower(network, {"collective", NcclOp::AllReduce, ranks, base::Bytes(bytes), true}, h100, parameters);
    const auto timeline = engine::make_engine("fluid")->run(graph);
    CHECK(seconds(on, NcclOp::AllReduce, bytes, h100) ==
          tests::Approx(timeline.event[events.all_done().index()].value()).epsilon(1e-9));
  }
}

}  // namespace moesim::lowering
