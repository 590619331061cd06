// Times that can be written down by hand, through the whole chain: cluster, routes, lowering, engine.

#include <string>

#include <doctest/doctest.h>

#include "sim/engine/engine.h"
#include "sim/scenario.h"
#include "sim/step/moe_layer.h"
#include "tests/approx.h"

namespace moesim::step {
namespace {

using tests::Approx;

topology::Cluster cluster(const std::string& json) {
  const auto document = base::parse_json(json, "cluster.json");
  return topology::read_cluster(base::JsonNode(document));
}

// Every rank sends `tokens` tokens to every other rank.
workloads::Traffic uniform(std::int32_t ranks, std::int32_t tokens) {
  workloads::Traffic traffic;
  traffic.ranks = ranks;
  traffic.tokens.assign(static_cast<std::size_t>(ranks) * static_cast<std::size_t>(ranks), tokens);
  traffic.rank_selections.assign(static_cast<std::size_t>(ranks), 0);
  traffic.rank_slots_hit.assign(static_cast<std::size_t>(ranks), 0);
  return traffic;
}

results::Result exchange(const topology::Cluster& on, const workloads::Traffic& traffic, base::Bytes dispatch,
                         base::Bytes combine) {
  workloads::Model model;
  const profile::Profile ideal = profile::profile_preset("ideal");
  const auto kernel = lowering::make_communication_kernel("ideal");
  const auto engine = engine::make_engine(engine::default_engine());
  return simulate_moe_layer({&on, &model, &ideal, &traffic, kernel.get(), 1, dispatch, combine}, *engine, 0);
}

const results::Phase& phase(const results::Result& result, const std::string& name) {
  for (const results::Phase& p : result.phases)
    if (p.name == name) return p;
  FAIL("no phase " << name);
  return result.phases.front();
}

}  // namespace

TEST_CASE("a symmetric all-to-all on one switch takes (N - 1) messages over the port rate, plus the latency") {
  for (const std::int32_t n : {2, 5, 16}) {
    const auto star = cluster("{\"star\": {\"gpus\": " + std::to_string(n) +
                              ", \"gpu\": \"h100\", \"bandwidth\": \"450 GB/s\", \"latency\": \"1 us\"}}");
    const auto traffic = uniform(n, 1);
    const auto result = exchange(star, traffic, base::Bytes(1 << 20), base::Bytes(1 << 19));
    const topology::Router router(star);
    const double latency = router.route(0, 1).latency.value();
    CHECK(latency > 0);
    const double bytes = (1 << 20) + (1 << 19);
    CHECK(result.total.value() == Approx((n - 1) * bytes / 450e9 + 2 * latency).epsilon(1e-9));
  }
}

TEST_CASE("between N nodes the NICs bind: algbw is N/(N-1) times the NIC's rate, busbw (P-1)/P of it") {
  for (const int nodes : {2, 3, 4}) {
    const auto hgx = cluster("{\"preset\": \"hgx_h100\", \"nodes\": " + std::to_string(nodes) + "}");
    const std::int32_t ranks = nodes * 8;
    const double pair_bytes = 1 << 26;
    const auto traffic = uniform(ranks, 1);
    const auto result = exchange(hgx, traffic, base::Bytes(pair_bytes), base::Bytes(1));
    const auto& dispatch = phase(result, "dispatch");
    const topology::Router router(hgx);
    const double latency = router.route(0, 9).latency.value();  // to another rail: by NVLink relay, the longest
    const double transfer = dispatch.slowest_rank.value() - latency;
    const double algbw = ranks * pair_bytes / transfer;  // nccl-tests counts a rank's own part as well
    const double nic = 50e9;
    CHECK(algbw == Approx(nodes / (nodes - 1.0) * nic).epsilon(1e-9));
    CHECK((ranks - 1.0) / ranks * algbw == Approx((ranks - 1.0) / ranks * nodes / (nodes - 1.0) * nic).epsilon(1e-9));
    CHECK(dispatch.binding.kind == "network");
    CHECK(dispatch.binding.utilisation == Approx(1).epsilon(1e-9));
  }
}

TEST_CASE("the exchange of \"Insights into DeepSeek-V3\" takes 120.96 us at 50 GB/s and 6.72 us at 900 GB/s") {
  const double bytes = (1 + 2) * 32.0 * 9 * 7000;
  const auto slow = sim::run(sim::load_scenario("examples/20-isca25-exchange-50.json", {}));
  CHECK(slow.total.value() == Approx(bytes / 50e9).epsilon(1e-9));
  CHECK(slow.total.value() == Approx(120.96e-6).epsilon(1e-9));
  const auto fast = sim::run(sim::load_scenario("examples/21-isca25-exchange-900.json", {}));
  CHECK(fast.total.value() == Approx(6.72e-6).epsilon(1e-9));
}

TEST_CASE("collapsed NVSwitch planes equal the four unequal planes of an HGX H100, flow by flow") {
  const auto hgx = cluster("{\"preset\": \"hgx_h100\"}");
  // A skewed matrix: rank r sends (r + 1) * (to + 2) units to each other rank.
  const auto amount = [](std::int32_t from, std::int32_t to) { return 1e6 * (from + 1) * (to + 2); };
  const auto finish = [&](bool collapse) {
    const topology::Router router(hgx, {collapse});
    engine::TaskGraph graph;
    std::vector<std::int32_t> resource(2 * router.graph().num_links(), -1);
    engine::Exchange exchange;
    exchange.name = "skewed";
    exchange.ranks = 8;
    for (std::int32_t from = 0; from < 8; ++from) {
      for (std::int32_t to = 0; to < 8; ++to) {
        if (from == to) continue;
        for (const auto& plane : router.plane_routes(from, to)) {
          std::vector<engine::Use> uses;
          for (const topology::Hop& hop : plane.route.hops) {
            std::int32_t& id = resource[hop.port.index()];
            if (id < 0) {
              const double rate = router.graph().link(hop.port.link).bandwidth.value();
              id = static_cast<std::int32_t>(
                  graph.add_resource({router.graph().port_name(hop.port), engine::ResourceKind::Link, rate, {}}).value);
            }
            uses.push_back({engine::ResourceId(static_cast<std::uint32_t>(id)), hop.share});
          }
          exchange.flows.push_back(
              {graph.add_path(uses, plane.route.latency), from, to, plane.share * amount(from, to)});
        }
      }
    }
    CHECK(exchange.flows.size() == (collapse ? 56 : 4 * 56));
    const auto events = graph.add_exchange(std::move(exchange));
    const auto timeline = engine::make_engine(engine::default_engine())->run(graph);
    std::vector<double> done;
    for (std::int32_t rank = 0; rank < 8; ++rank) done.push_back(timeline.event[events.done(rank).index()].value());
    return done;
  };
  const auto together = finish(true), apart = finish(false);
  for (std::size_t rank = 0; rank < 8; ++rank) CHECK(apart[rank] == Approx(together[rank]).epsilon(1e-9));
}

}  // namespace moesim::step
