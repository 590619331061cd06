// NCCL's collectives on a star of GPUs: closed forms, bytes on the links, limits.
#include "sim/lowering/nccl.h"

#include <cmath>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/engine/engine.h"
#include "tests/approx.h"
#include "topology/cluster.h"

namespace moesim::lowering {
namespace {

constexpr double kLink = 450e9;  // an NVLink star without latency

struct Star {
  explicit Star(std::int32_t gpus, const char* gpu = "h100", const char* kind = "nvlink")
      : cluster(topology::read_cluster(
            base::JsonNode(document = base::parse_json(
                               R"({"star": {"gpus": )" + std::to_string(gpus) + R"(, "gpu": ")" + gpu +
                                   R"(", "bandwidth": "450 GB/s", "latency": "0 us", "kind": ")" + kind + "\"}}",
                               "star")))),
        router(cluster),
        profile(profile::profile_preset(gpu)) {}

  base::JsonDocument document;
  topology::Cluster cluster;
  topology::Router router;
  profile::Profile profile;
};

struct Outcome {
  double seconds = 0;
  double link_bytes = 0;  // on the busiest link, as the protocol sends them
};

Outcome run(const Star& star, const NcclCall& call, const profile::KernelParameters& parameters,
            std::string_view engine = "fluid") {
  engine::TaskGraph graph;
  Network network(graph, star.router);
  const auto last = nccl_lower(network, call, star.profile, parameters);
  const auto timeline = engine::make_engine(engine)->run(graph);
  Outcome outcome{timeline.event[last.all_done().index()].value(), 0};
  for (const auto& port : network.port_resources())
    outcome.link_bytes = std::max(outcome.link_bytes, timeline.carried[port.resource.index()]);
  return outcome;
}

profile::KernelParameters parameters_of(const Star& star, NcclOp op) {
  return star.profile.kernel(nccl_kernel(op, nccl_fabric(star.router, star.profile.family, 2)));
}

// From `first` to below `end` by a factor.
std::vector<double> sizes(double first, double end, double factor) {
  std::vector<double> all;
  const auto count = static_cast<int>(std::ceil(std::log(end / first) / std::log(factor)));
  for (int i = 0; i < count; ++i) all.push_back(first * std::pow(factor, i));
  return all;
}

constexpr std::array kOps{NcclOp::AllGather, NcclOp::ReduceScatter, NcclOp::AllReduce, NcclOp::AllToAll};

}  // namespace

TEST_CASE("a large all-gather takes its start-up, its ring over the share of the link, and the copy of its own shard") {
  for (const std::int32_t n : {2, 4, 8}) {
    const Star star(n);
    const auto p = parameters_of(star, NcclOp::AllGather);
    const double bytes = 1e9;
    const double link = kLink * p.at("e"), blocks = p.at("copy") * 1e9;
    const double expected = (p.at("a") + p.at("a_simple") + p.at("hop_simple") * (n - 1)) * 1e-6 +
                            bytes * (n - 1) / n / std::min(link, blocks) + bytes / n / blocks;
    CAPTURE(n);
    CHECK(run(star, {"gather", NcclOp::AllGather, n, base::Bytes(bytes)}, p).seconds ==
          tests::Approx(expected).epsilon(1e-9));
  }
}

TEST_CASE("an all-reduce of few bytes is a launch, hops with flags, and little else") {
  const Star star(8);
  const auto p = parameters_of(star, NcclOp::AllReduce);
  const double seconds = run(star, {"reduce", NcclOp::AllReduce, 8, base::Bytes(8)}, p).seconds;
  CHECK(seconds == tests::Approx((p.at("a") + 14 * p.at("hop_ll")) * 1e-6).epsilon(1e-3));
}

TEST_CASE("no bytes cost the launch") {
  for (const NcclOp op : kOps) {
    const Star star(4);
    const auto p = parameters_of(star, op);
    CHECK(run(star, {"nothing", op, 4, base::Bytes(0)}, p).seconds == tests::Approx(p.at("a") * 1e-6).epsilon(1e-12));
  }
}

TEST_CASE("no collective is faster than the raw links, and its links carry at least its bytes") {
  for (const NcclOp op : kOps) {
    for (const std::int32_t n : {2, 3, 8}) {
      const Star star(n);
      const auto p = parameters_of(star, op);
      for (const double bytes : sizes(64, 2e9, 8)) {
        for (const bool floating : {true, false}) {
          CAPTURE(n);
          CAPTURE(bytes);
          const Outcome outcome = run(star, {"c", op, n, base::Bytes(bytes), floating}, p);
          // All-reduce in the switches sends every byte once; rings and all-to-all (n-1)/n of them per pass.
          const bool in_switch = op == NcclOp::AllReduce && floating && n > 2;
          const double least = in_switch ? bytes : bytes * (n - 1) / n * (op == NcclOp::AllReduce ? 2 : 1);
          CHECK(outcome.link_bytes >= least * (1 - 1e-9));
          CHECK(outcome.seconds > least / kLink);
        }
      }
    }
  }
}

TEST_CASE("within one protocol a larger message never takes less time") {
  for (const NcclOp op : {NcclOp::AllGather, NcclOp::ReduceScatter, NcclOp::AllReduce}) {
    const Star star(8);
    const auto p = parameters_of(star, op);
    const NcclFabric fabric = nccl_fabric(star.router, "hopper", 8);
    double last = 0;
    NcclChoice choice = nccl_choose(op, 16, 8, false, fabric);
    for (const double bytes : sizes(16, 2e9, 1.3)) {
      const NcclChoice now = nccl_choose(op, bytes, 8, false, fabric);
      const double seconds = run(star, {"c", op, 8, base::Bytes(bytes), false}, p).seconds;
      CAPTURE(bytes);
      // A second channel has a start-up of its own, once.
      if (now.protocol == choice.protocol) CHECK(seconds >= last * (1 - 1e-9));
      last = seconds;
      choice = now;
    }
  }
}

TEST_CASE("NCCL goes from flags to lines to plain copies as messages grow, and without lines over PCIe") {
  const Star star(8);
  const NcclFabric fabric = nccl_fabric(star.router, "hopper", 8);
  int order = 0;
  for (const double bytes : sizes(256, 4e9, 1.1)) {
    const int now = static_cast<int>(nccl_choose(NcclOp::AllGather, bytes, 8, true, fabric).protocol);
    CHECK(now >= order);
    order = now;
  }
  CHECK(order == static_cast<int>(NcclProtocol::Simple));
  const Star pcie(8, "l40s", "pcie");
  const NcclFabric slow = nccl_fabric(pcie.router, "ada", 8);
  CHECK(slow.kind == topology::LinkKind::Pcie);
  for (const double bytes : sizes(256, 4e9, 1.1))
    CHECK(nccl_choose(NcclOp::AllGather, bytes, 8, true, slow).protocol != NcclProtocol::LL128);
}

TEST_CASE("switches add only floating-point numbers of three GPUs or more, on Hopper and later") {
  const Star star(8);
  const NcclFabric hopper = nccl_fabric(star.router, "hopper", 8), ampere = nccl_fabric(star.router, "ampere", 8);
  const auto algorithm = [](const NcclFabric& fabric, std::int32_t n, bool floating) {
    return nccl_choose(NcclOp::AllReduce, 1e9, n, floating, fabric).algorithm;
  };
  CHECK(algorithm(hopper, 8, true) == NcclAlgorithm::Nvls);
  CHECK(algorithm(hopper, 8, false) == NcclAlgorithm::Ring);
  CHECK(algorithm(hopper, 2, true) == NcclAlgorithm::Ring);
  CHECK(algorithm(ampere, 8, true) == NcclAlgorithm::Ring);
}

TEST_CASE("an all-reduce in the switches sends and receives (n + 1) / n of its bytes on every link") {
  const std::int32_t n = 8;
  const Star star(n);
  const auto p = parameters_of(star, NcclOp::AllReduce);
  const double chunk = 65536, bytes = 4e9;  // large: chunks of 64 KiB
  const double filling = p.at("fill") * 16 * n * chunk;
  const double carried = (bytes + filling) * (n + 1) / n * (1 + p.at("c0") * 1024 / chunk) / p.at("e");
  const Outcome outcome = run(star, {"reduce", NcclOp::AllReduce, n, base::Bytes(bytes)}, p);
  CHECK(outcome.link_bytes == tests::Approx(carried).epsilon(1e-9));
  CHECK(outcome.seconds == tests::Approx((p.at("a") + p.at("a_nvls")) * 1e-6 + carried / kLink).epsilon(1e-9));
}

TEST_CASE("an all-to-all of unequal messages waits for its largest receiver") {
  const Star star(4);
  const auto p = parameters_of(star, NcclOp::AllToAll);
  std::vector<double> even(16, 64e6), skewed = even;
  for (std::size_t source = 1; source < 4; ++source) skewed[source * 4] *= 3;  // three times as much to rank 0
  const auto time = [&](const std::vector<double>& bytes) {
    engine::TaskGraph graph;
    Network network(graph, star.router);
    const auto last = nccl_all_to_all_v(network, "v", 4, bytes, star.profile, p);
    return engine::make_engine("fluid")->run(graph).event[last.all_done().index()].value();
  };
  CHECK(time(skewed) - time(even) > 2 * 3 * 64e6 / kLink);
  CHECK(time(even) ==
        tests::Approx(run(star, {"a", NcclOp::AllToAll, 4, base::Bytes(256e6)}, p).seconds).epsilon(1e-12));
}

TEST_CASE(
    "over several nodes an all-reduce takes trees and every node's network link carries all its bytes up and down") {
  base::JsonDocument document = base::parse_json(R"({"preset": "hgx_h100", "nodes": 4})", "cluster");
  const topology::Cluster cluster = topology::read_cluster(base::JsonNode(document));
  const topology::Router router(cluster);
  const profile::Profile profile = profile::profile_preset("h100");
  const NcclFabric fabric = nccl_fabric(router, "hopper", 32);
  CHECK(fabric.gpus_per_node == 8);
  const double bytes = 65536;
  REQUIRE(nccl_choose(NcclOp::AllReduce, bytes, 32, true, fabric).algorithm == NcclAlgorithm::Tree);
  const auto p = profile.kernel("nccl_nvlink");
  engine::TaskGraph graph;
  Network network(graph, router);
  const auto last = nccl_lower(network, {"reduce", NcclOp::AllReduce, 32, base::Bytes(bytes)}, profile, p);
  const double seconds = engine::make_engine("fluid")->run(graph).event[last.all_done().index()].value();
  // Seven hops in the chain and log2(4) between nodes, up and down.
  CHECK(seconds > (p.at("a") + 2 * (7 * p.at("hop_ll") + 2 * 2.7)) * 1e-6);
}

TEST_CASE("the engines agree on every collective") {
  for (const NcclOp op : kOps) {
    const Star star(4);
    const auto p = parameters_of(star, op);
    for (const double bytes : {1e3, 1e6, 1e8}) {
      const NcclCall call{"c", op, 4, base::Bytes(bytes)};
      CHECK(run(star, call, p).seconds == tests::Approx(run(star, call, p, "simgrid").seconds).epsilon(1e-9));
    }
  }
}

}  // namespace moesim::lowering
