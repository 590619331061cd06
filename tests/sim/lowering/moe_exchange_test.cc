// DeepEP's and the NVLink all-to-all kernels: counts of tokens, closed forms, limits, both engines.
#include <array>
#include <cmath>
#include <functional>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/engine/engine.h"
#include "sim/lowering/deepep.h"
#include "sim/lowering/kernel_cost.h"
#include "sim/lowering/nvlink_alltoall.h"
#include "tests/approx.h"
#include "topology/cluster.h"

namespace moesim::lowering {
namespace {

struct System {
  explicit System(const std::string& cluster_json, const char* gpu = "h100")
      : document(base::parse_json(cluster_json, "cluster")),
        cluster(topology::read_cluster(base::JsonNode(document))),
        router(cluster),
        profile(profile::profile_preset(gpu)) {}

  base::JsonDocument document;
  topology::Cluster cluster;
  topology::Router router;
  profile::Profile profile;
};

System star(std::int32_t gpus) {
  return System(R"({"star": {"gpus": )" + std::to_string(gpus) +
                R"(, "gpu": "h100", "bandwidth": "450 GB/s", "latency": "0 us"}})");
}

MoeExchange exchange_of(const MoeTokens& tokens, bool combine) {
  MoeExchange exchange;
  exchange.name = combine ? "combine" : "dispatch";
  exchange.tokens = &tokens;
  exchange.combine = combine;
  exchange.hidden = 7168;
  exchange.experts = 256;
  exchange.message = combine ? deepep_combine_bytes(7168) : deepep_ll_dispatch_bytes(7168);
  return exchange;
}

using Lower = std::function<LoweredExchange(Network&)>;
struct Outcome {
  std::vector<double> done;  // [ranks] s
  double busiest_link_bytes = 0;
  double total = 0;
};
Outcome run(const System& system, const Lower& lower, std::string_view engine = "fluid") {
  engine::TaskGraph graph;
  Network network(graph, system.router);
  const engine::ExchangeEvents events = lower(network).events;
  const auto timeline = engine::make_engine(engine)->run(graph);
  Outcome outcome;
  for (std::int32_t rank = 0; rank < events.ranks; ++rank)
    outcome.done.push_back(timeline.event[events.done(rank).index()].value());
  outcome.total = timeline.event[events.all_done().index()].value();
  for (const auto& port : network.port_resources())
    outcome.busiest_link_bytes = std::max(outcome.busiest_link_bytes, timeline.carried[port.resource.index()]);
  return outcome;
}

double low_latency(const System& system, const MoeTokens& tokens, bool combine, std::string_view engine = "fluid") {
  const auto parameters = system.profile.kernel(deepep_ll_kernel(combine));
  return run(
             system,
             [&](Network& network) {
               return deepep_low_latency(network, exchange_of(tokens, combine), system.profile, parameters);
             },
             engine)
      .total;
}

double normal(const System& system, const MoeTokens& tokens, bool combine, double sms,
              std::string_view engine = "fluid") {
  const auto parameters = system.profile.kernel(deepep_normal_kernel(combine));
  return run(
             system,
             [&](Network& network) {
               return deepep_normal(network, exchange_of(tokens, combine), sms, system.profile, parameters);
             },
             engine)
      .total;
}

constexpr const char* kTwoNodes = R"({"preset": "hgx_h100", "nodes": 2})";

}  // namespace

TEST_CASE("expected copies and selections of a random routing have their closed forms") {
  const std::int32_t ranks = 8, experts = 32, k = 4;
  const MoeTokens tokens = expected_tokens(ranks, 2, 2, 100, experts, k);
  double misses = 1;  // C(28, 4) / C(32, 4)
  for (int i = 0; i < k; ++i) misses *= (28.0 - i) / (32.0 - i);
  double node_misses = 1;  // C(16, 4) / C(32, 4)
  for (int i = 0; i < k; ++i) node_misses *= (16.0 - i) / (32.0 - i);
  CHECK(tokens.copies_at(0, 5) == tests::Approx(100 * (1 - misses)).epsilon(1e-12));
  CHECK(tokens.selections_at(3, 3) == tests::Approx(100.0 * k / ranks).epsilon(1e-12));
  CHECK(tokens.node_copies_at(0, 1) == tests::Approx(100 * (1 - node_misses)).epsilon(1e-12));
  // Limited to one node of two, a token reaches that node surely, and more of its ranks.
  const MoeTokens limited = expected_tokens(ranks, 2, 1, 100, experts, k);
  CHECK(limited.node_copies_at(0, 1) == tests::Approx(50).epsilon(1e-12));
  CHECK(limited.copies_at(0, 5) < tokens.copies_at(0, 5));
  CHECK(balanced_tokens(4, 10, 64, 8).copies_at(1, 2) == tests::Approx(10));
  CHECK(balanced_tokens(16, 10, 64, 8).copies_at(1, 2) == tests::Approx(5));
}

TEST_CASE("low latency: no tokens cost the start, many tokens the bytes over the share of the link") {
  const System system = star(8);
  for (const bool combine : {false, true}) {
    const auto p = system.profile.kernel(deepep_ll_kernel(combine));
    const double start = 1e-6 * (p.at("a") + p.at("expert") * 256 + p.at("hidden_cost") * 7);
    CHECK(low_latency(system, expected_tokens(8, 1, 1, 0, 256, 8), combine) == tests::Approx(start).epsilon(1e-9));
    const double tokens = 512;
    const double bytes = tokens * 8 * (combine ? deepep_combine_bytes(7168) : deepep_ll_dispatch_bytes(7168)).value();
    const double grid = 128;  // 256 experts in groups of ceil(256 / 132) = 2
    const double used = std::pow(grid / 132, p.at("crowd")), link = bytes / (p.at("share") * 450e9);
    const double loop = combine ? std::hypot(link, bytes / (p.at("rate") * 1e9 * used)) : link / used;
    const double spilled = combine ? bytes - p.at("l2") * 50 * 1024 * 1024 : 0;  // beyond a share of 50 MiB
    const double waves = (tokens / grid - 1) * p.at("wave") * 1e-6 + spilled * 2 / (0.9 * 3.35e12);
    CHECK(low_latency(system, expected_tokens(8, 1, 1, tokens, 256, 8), combine) ==
          tests::Approx(start + loop + waves).epsilon(1e-9));
  }
}

TEST_CASE("low latency starts as late on 64 ranks as on 16: the counters are the experts'") {
  const System two(kTwoNodes), eight(R"({"preset": "hgx_h100", "nodes": 8})");
  for (const bool combine : {false, true})
    CHECK(low_latency(eight, expected_tokens(64, 8, 8, 0, 256, 8), combine) ==
          tests::Approx(low_latency(two, expected_tokens(16, 2, 2, 0, 256, 8), combine)).epsilon(1e-12));
}

TEST_CASE("low latency over two nodes is bound by the NICs: half of the bytes at the share of 50 GB/s") {
  const System system(kTwoNodes);
  const double tokens = 1024;
  const auto p = system.profile.kernel(deepep_ll_kernel(true));
  const double bytes = tokens * 8 * deepep_combine_bytes(7168).value();
  const double half = bytes / 2 / (p.at("nic") * 50e9);
  const double spilled = (bytes - p.at("l2") * 50 * 1024 * 1024) * 2 / (0.9 * 3.35e12);
  const double time = low_latency(system, expected_tokens(16, 2, 2, tokens, 256, 8), true);
  CHECK(time > half + spilled);
  CHECK(time < (half + spilled) * 1.05);
}

TEST_CASE("a hot receiver makes low-latency dispatch slower, and itself the last to be done") {
  const System system = star(8);
  MoeTokens even = expected_tokens(8, 1, 1, 256, 256, 8), hot = even;
  for (std::size_t from = 0; from < 8; ++from) {  // half of what every other rank would receive goes to rank 0
    double moved = 0;
    for (std::size_t to = 1; to < 8; ++to) {
      double& cell = hot.selections[from * 8 + to];
      moved += cell / 2;
      cell /= 2;
    }
    hot.selections[from * 8] += moved;
  }
  const auto parameters = system.profile.kernel(deepep_ll_kernel(false));
  const auto outcome = [&](const MoeTokens& tokens) {
    return run(system, [&](Network& network) {
      return deepep_low_latency(network, exchange_of(tokens, false), system.profile, parameters);
    });
  };
  const Outcome skewed = outcome(hot);
  CHECK(skewed.total > 1.5 * outcome(even).total);
  for (std::size_t rank = 1; rank < 8; ++rank) CHECK(skewed.done[rank] < skewed.done[0]);
}

TEST_CASE("normal kernels: more SMs are faster until the links bind, and never beat the links") {
  const System system = star(8);
  const double tokens = 16384;
  const MoeTokens counts = expected_tokens(8, 1, 1, tokens, 256, 8);
  for (const bool combine : {false, true}) {
    const auto p = system.profile.kernel(deepep_normal_kernel(combine));
    double copies = 0;
    for (std::int32_t to = 0; to < 8; ++to) copies += counts.copies_at(0, to);
    const double message = exchange_of(counts, combine).message.value();
    const double on_links = copies * 7 / 8 * message / (p.at("share") * 450e9);
    const double moved = message / (p.at("rate") * 1e9), besides = p.at("copy") * 1e-6;
    const double on_sms = copies * (combine ? moved + besides : std::hypot(moved, besides)) / 4;
    const double four = normal(system, counts, combine, 4), all = normal(system, counts, combine, 128);
    CHECK(four == tests::Approx(on_sms).epsilon(0.05));
    CHECK(all > on_links);
    CHECK(all < 1.25 * on_links);
    CHECK(normal(system, counts, combine, 12) < four);
  }
}

TEST_CASE("normal kernels deal whole tokens to their channels: on two of them, three take as long as four") {
  const System system = star(8);
  for (const bool combine : {false, true}) {
    const auto time = [&](double tokens) {
      return normal(system, expected_tokens(8, 1, 1, tokens, 256, 8), combine, 4);
    };
    CHECK(time(2) - time(1) < 0.3 * (time(3) - time(2)));
    CHECK(time(4) - time(3) < 0.3 * (time(5) - time(4)));
    CHECK(time(4) > time(3));
  }
}

TEST_CASE("normal kernels send a token once to each node and forward it there: NICs carry one copy") {
  const System system(kTwoNodes);
  const double tokens = 4096;
  const MoeTokens counts = expected_tokens(16, 2, 2, tokens, 256, 8);
  const auto parameters = system.profile.kernel(deepep_normal_kernel(false));
  engine::TaskGraph graph;
  Network network(graph, system.router);
  deepep_normal(network, exchange_of(counts, false), 24, system.profile, parameters);
  const auto timeline = engine::make_engine("fluid")->run(graph);
  double nic = 0;
  for (const auto& port : network.port_resources()) {
    const topology::Graph& links = system.router.graph();
    if (links.link(port.port.link).kind == topology::LinkKind::Network)
      nic = std::max(nic, timeline.carried[port.resource.index()]);
  }
  const double once = counts.node_copies_at(0, 1) * exchange_of(counts, false).message.value() / parameters.at("nic");
  CHECK(nic == tests::Approx(once).epsilon(1e-6));
}

TEST_CASE("time never falls with more tokens, for any kernel") {
  const System one = star(8), two(kTwoNodes);
  for (const bool combine : {false, true}) {
    double last_ll = 0, last_normal = 0, last_nodes = 0;
    for (const double tokens : {0., 1., 7., 64., 65., 129., 500., 1024., 5000.}) {
      const MoeTokens counts = expected_tokens(8, 1, 1, tokens, 256, 8);
      const double ll = low_latency(one, counts, combine), norm = normal(one, counts, combine, 20);
      const double nodes = normal(two, expected_tokens(16, 2, 2, tokens, 256, 8), combine, 20);
      CHECK(ll >= last_ll);
      CHECK(norm >= last_normal);
      CHECK(nodes >= last_nodes);
      last_ll = ll;
      last_normal = norm;
      last_nodes = nodes;
    }
  }
}

namespace {

constexpr std::array kNvlinkKernels{
    NvlinkKernel::OneSidedDispatch, NvlinkKernel::OneSidedCombine,     NvlinkKernel::Dispatch,
    NvlinkKernel::Combine,          NvlinkKernel::CombineLowPrecision, NvlinkKernel::Prepare};

double nvlink(const System& rack, NvlinkKernel kernel, const MoeTokens& tokens, std::string_view engine = "fluid") {
  const bool combine = kernel == NvlinkKernel::OneSidedCombine || kernel == NvlinkKernel::Combine ||
                       kernel == NvlinkKernel::CombineLowPrecision;
  MoeExchange exchange = exchange_of(tokens, combine);
  exchange.message = nvlink_alltoall_bytes(7168, "bfloat16");
  const auto parameters = rack.profile.kernel(to_string(kernel));
  return run(
             rack,
             [&](Network& network) { return nvlink_alltoall(network, kernel, exchange, 1, rack.profile, parameters); },
             engine)
      .total;
}

}  // namespace

TEST_CASE("channels of the two-sided kernels: half the SMs in blocks of 8 warps, half of them senders") {
  CHECK(nvlink_channels(148, 2) == 37);
  CHECK(nvlink_channels(148, 8) == 37);
  CHECK(nvlink_channels(148, 16) == 18);
  CHECK(nvlink_channels(148, 32) == 9);
  CHECK(nvlink_channels(148, 64) == 4);
  CHECK(nvlink_channels(4, 64) == 1);
}

TEST_CASE("the NVLink all-to-all depends on the ranks through copies, hosts and channels alone") {
  const System rack(R"({"preset": "gb200_nvl72"})", "gb200");
  for (const NvlinkKernel kernel :
       {NvlinkKernel::Dispatch, NvlinkKernel::Combine, NvlinkKernel::OneSidedDispatch, NvlinkKernel::OneSidedCombine}) {
    const auto p = rack.profile.kernel(to_string(kernel));
    const bool one_sided = kernel == NvlinkKernel::OneSidedDispatch || kernel == NvlinkKernel::OneSidedCombine;
    const auto time = [&](std::int32_t ranks, double tokens) {
      return nvlink(rack, kernel, balanced_tokens(ranks, tokens, 256, 8));
    };
    // Start-up beyond EP8 does not grow; from one host to two it does, where a kernel waits for answers at its end.
    CHECK(time(64, 0) == tests::Approx(time(16, 0)).epsilon(1e-12));
    CHECK(time(8, 0) - time(4, 0) ==
          tests::Approx(kernel == NvlinkKernel::OneSidedDispatch ? 1e-6 * p.at("hosts") : 0).epsilon(1e-9));
    // Many tokens: remote copies 7, 7.5 and 7.875 of 8 over the share of 900 GB/s, smoothly above the local work.
    for (const std::int32_t ranks : {8, 16, 64}) {
      const double remote = 8.0 * (ranks - 1) / ranks * 14336 / (p.at("share") * 900e9);
      const double piece = p.at("field") + p.at("local") * 14;
      const double local = one_sided ? 1e-9 * piece : 1e-6 * piece * 8 / ranks / nvlink_channels(148, ranks);
      const double reduce = kernel == NvlinkKernel::Combine ? 9 * 14336 / (p.at("hbm") * 8e12) : 0;
      const double many = 148 * 800;  // whole messages per channel
      const double slope = (time(ranks, 2 * many) - time(ranks, many)) / many;
      CHECK(slope == tests::Approx(smooth_max(local, remote, 2.5) + reduce).epsilon(1e-4));
    }
  }
}

TEST_CASE("two-sided kernels move in steps of one message per channel, and prepare waits for the last rank") {
  const System rack(R"({"preset": "gb200_nvl72"})", "gb200");
  const auto time = [&](double tokens) {
    return nvlink(rack, NvlinkKernel::Dispatch, balanced_tokens(2, tokens, 256, 8));
  };
  CHECK(time(37) - time(20) < 0.2 * (time(38) - time(37)));
  const auto p = rack.profile.kernel(to_string(NvlinkKernel::Prepare));
  const auto prepare = [&](std::int32_t ranks) {
    return nvlink(rack, NvlinkKernel::Prepare, balanced_tokens(ranks, 100, 256, 8));
  };
  CHECK(prepare(64) - prepare(8) == tests::Approx(1e-6 * p.at("last") * std::log(8.0)).epsilon(1e-9));
}

TEST_CASE("fluid and SimGrid agree on every MoE kernel") {
  const System rack(R"({"preset": "gb200_nvl72"})", "gb200");
  MoeTokens uneven = balanced_tokens(16, 96, 256, 8);
  uneven.copies[5] += 40;
  for (const NvlinkKernel kernel : kNvlinkKernels)
    CHECK(nvlink(rack, kernel, uneven, "simgrid") == tests::Approx(nvlink(rack, kernel, uneven)).epsilon(1e-9));
  const System one = star(8), two(kTwoNodes);
  MoeTokens counts = expected_tokens(16, 2, 2, 96, 256, 8), inside = expected_tokens(8, 1, 1, 300, 256, 8);
  counts.selections[3] += 50;
  inside.selections[3] += 50;
  for (const bool combine : {false, true}) {
    CHECK(low_latency(two, counts, combine, "simgrid") ==
          tests::Approx(low_latency(two, counts, combine)).epsilon(1e-9));
    CHECK(low_latency(one, inside, combine, "simgrid") ==
          tests::Approx(low_latency(one, inside, combine)).epsilon(1e-9));
    CHECK(normal(two, counts, combine, 20, "simgrid") == tests::Approx(normal(two, counts, combine, 20)).epsilon(1e-9));
    CHECK(normal(one, inside, combine, 20, "simgrid") == tests::Approx(normal(one, inside, combine, 20)).epsilon(1e-9));
  }
}

}  // namespace moesim::lowering
