#include "sim/step/moe_layer.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "sim/lowering/expert_compute.h"
#include "sim/scenario.h"
#include "tests/approx.h"

namespace moesim::step {
namespace {

using tests::Approx;

const std::vector<std::string> kExamples = {"examples/01-minimal.json",
                                            "examples/10-pcie-box.json",
                                            "examples/11-hgx-h100.json",
                                            "examples/12-hgx-h200-9-nodes.json",
                                            "examples/13-gb200-nvl72.json",
                                            "examples/20-isca25-exchange-50.json",
                                            "examples/21-isca25-exchange-900.json",
                                            "examples/40-leaf-spine.json"};

const results::Phase& phase(const results::Result& result, const std::string& name) {
  const auto found =
      std::find_if(result.phases.begin(), result.phases.end(), [&](const results::Phase& p) { return p.name == name; });
  REQUIRE(found != result.phases.end());
  return *found;
}

}  // namespace

TEST_CASE("every example runs; its critical path is a chain from 0 to its end and its phases add up to it") {
  for (const std::string& path : kExamples) {
    CAPTURE(path);
    const auto result = sim::run(sim::load_scenario(path, {}));
    REQUIRE_FALSE(result.critical_path.empty());
    CHECK(result.critical_path.front().start.value() == 0);
    CHECK(result.critical_path.back().end == result.total);
    for (std::size_t i = 1; i < result.critical_path.size(); ++i)
      CHECK(result.critical_path[i].start == result.critical_path[i - 1].end);
    base::Duration sum(0);
    for (const auto& p : result.phases) sum += p.critical;
    CHECK(sum.value() == Approx(result.total.value()).epsilon(1e-12));
    CHECK(result.total >= result.lower_bound * (1 - 1e-9));
    CHECK(result.binding.utilisation > 0);
    CHECK(result.binding.utilisation <= 1);
    for (const auto& link : result.links) CHECK(link.utilisation <= 1 + 1e-9);
    CHECK(result.warnings.empty());
  }
}

TEST_CASE("a layer sends every dispatched token back, and the bytes follow from the traffic") {
  const auto scenario = sim::load_scenario("examples/11-hgx-h100.json", {});
  const auto result = sim::run(scenario);
  double tokens = 0;
  for (std::int32_t from = 0; from < 8; ++from)
    for (std::int32_t to = 0; to < 8; ++to)
      if (from != to) tokens += scenario.layers[0].traffic.at(from, to);
  CHECK(phase(result, "dispatch").sent.value() == Approx(tokens * 7168 * (1 + 4.0 / 128)));
  CHECK(phase(result, "combine").sent.value() == Approx(tokens * 7168 * 2));
}

TEST_CASE("where all tokens are gathered, the bytes moved are told, not those needed") {
  const auto result =
      sim::run(sim::load_scenario("examples/11-hgx-h100.json", {"communication.kernel=allgather_reducescatter"}));
  const double tokens = 8.0 * 7 * 128;  // of each GPU to the seven others
  CHECK(phase(result, "dispatch").sent.value() == Approx(tokens * 7168 * (1 + 4.0 / 128)));
  CHECK(phase(result, "combine").sent.value() == Approx(tokens * 7168 * 2));
  CHECK(phase(result, "dispatch").imbalance == Approx(1));
  const auto& dispatch = phase(result, "dispatch");  // all start and end together
  CHECK(dispatch.per_gpu.value() * dispatch.slowest_rank.value() == Approx(dispatch.sent.value() / 8));
}

TEST_CASE("skew names the GPU with most bytes, its time, how long the others wait, and the hot link") {
  const auto scenario = sim::load_scenario("examples/20-isca25-exchange-50.json",
                                           {R"(routing={"generate": {"preset": "deepseek-v3-decode", "seed": 1}})"});
  const auto result = sim::run(scenario);
  const auto& traffic = scenario.layers[0].traffic;
  std::int32_t hot = 0;
  double most = 0;
  for (std::int32_t to = 0; to < traffic.ranks; ++to) {
    double received = 0;
    for (std::int32_t from = 0; from < traffic.ranks; ++from) received += from == to ? 0 : traffic.at(from, to);
    if (received > most) hot = to;
    most = std::max(most, received);
  }
  const auto& dispatch = phase(result, "dispatch");
  CHECK(dispatch.skew.gpu == "gpu" + std::to_string(hot));
  CHECK(dispatch.skew.link.what == "nvswitch0 -> gpu" + std::to_string(hot));
  CHECK(dispatch.skew.time.value() >= most * 7000 / 50e9 * (1 - 1e-9));
  // All start at 0: the waits of all are those of the others and its own.
  const double own = (dispatch.slowest_rank - dispatch.skew.time).value();
  CHECK(dispatch.mean_wait.value() * 64 == Approx(dispatch.skew.others_wait.value() * 63 + own));
  const auto& combine = phase(result, "combine");
  CHECK(combine.skew.gpu == dispatch.skew.gpu);
  CHECK(combine.skew.link.what == "gpu" + std::to_string(hot) + " -> nvswitch0");
  CHECK(phase(result, "experts").skew.gpu.empty());
}

TEST_CASE("a flow of zero bytes is not sent: one flow for each pair of GPUs that has tokens, none within a GPU") {
  const auto scenario = sim::load_scenario("examples/13-gb200-nvl72.json", {"step.tokens_per_gpu=2"});
  const auto kernel = lowering::make_communication_kernel("ideal");
  const topology::Router router(scenario.cluster);
  const auto tasks =
      lower_moe_layer({&scenario.cluster, &scenario.model, &scenario.profile, &scenario.layers[0].traffic, kernel.get(),
                       2, scenario.dispatch_bytes, scenario.combine_bytes, &scenario.layers[0].placement},
                      router);
  std::size_t pairs = 0;
  for (std::int32_t from = 0; from < 72; ++from)
    for (std::int32_t to = 0; to < 72; ++to) pairs += from != to && scenario.layers[0].traffic.at(from, to) > 0;
  CHECK(pairs < std::size_t{72} * 71);
  REQUIRE(tasks->step.graph().exchanges().size() == 2);
  for (const engine::Exchange& exchange : tasks->step.graph().exchanges()) {
    CHECK(exchange.flows.size() == pairs);
    for (const engine::Flow& flow : exchange.flows) CHECK(flow.amount > 0);
  }
}

TEST_CASE("the experts' roofline: weights of the experts hit over HBM for few tokens, tensor rate for many") {
  const auto scenario = sim::load_scenario("examples/11-hgx-h100.json", {});
  const auto& model = scenario.model;
  const auto few = lowering::expert_cost(model, {1, 1}, scenario.profile);
  const double weights = 3.0 * 7168 * 2048;
  CHECK(few.flops.value() == Approx(2 * weights));
  CHECK(few.hbm_time > few.tensor_time);
  CHECK(few.hbm_time.value() ==
        Approx((weights * workloads::bits_per_weight(model.weights) / 8 + 2.0 * (2 * 7168 + 3 * 2048)) / 3.35e12));
  const auto many = lowering::expert_cost(model, {100000, 1}, scenario.profile);
  CHECK(many.tensor_time.value() == Approx(100000 * 2 * weights / 1978e12));
  CHECK(many.tensor_time > many.hbm_time);
  const auto none = lowering::expert_compute("none", model, {0, 0}, scenario.profile, nullptr).compute;
  CHECK(none.launch.value() == 0);
  CHECK(none.alone.value() == 0);
}

TEST_CASE("experts are bound by what needs at least half of their time, and no busier than that") {
  const auto experts = [](const std::string& kernel, const std::string& tokens) {
    const auto result = sim::run(sim::load_scenario(
        "examples/11-hgx-h100.json", {"step.tokens_per_gpu=" + tokens, "experts={\"kernel\": \"" + kernel + "\"}"}));
    return phase(result, "experts");
  };
  CHECK(experts("roofline", "1").binding.kind == "hbm");
  CHECK(experts("roofline", "16384").binding.kind == "tensor");
  CHECK(experts("roofline", "16384").binding.utilisation > 0.99);
  CHECK(experts("wide_ep", "64").binding.kind == "hbm");
  // The kernel's tensor cores reach a share of the datasheet's rate and its tiles are padded: less is theirs alone.
  const auto fitted = experts("wide_ep", "16384");
  CHECK(fitted.binding.utilisation < 0.99);
  CHECK(fitted.slowest_rank > experts("roofline", "16384").slowest_rank);
}

TEST_CASE("with one GPU nothing is sent and only the experts take time") {
  const std::vector<std::string> one = {
      "cluster={\"star\": {\"gpus\": 1, \"gpu\": \"h100\", \"bandwidth\": \"1 GB/s\", "
      "\"latency\": \"1 us\"}}",
      "experts={\"kernel\": \"roofline\"}"};
  const auto scenario = sim::load_scenario("examples/01-minimal.json", one);
  const auto result = sim::run(scenario);
  CHECK(phase(result, "dispatch").sent.value() == 0);
  const auto cost = lowering::expert_cost(
      scenario.model, {std::int64_t{128} * 8, scenario.layers[0].traffic.rank_slots_hit[0]}, scenario.profile);
  const auto shared = lowering::expert_cost(scenario.model, {128, 1}, scenario.profile);
  const double launch = scenario.profile.launch.value.value();
  const double expected = 2 * launch + std::max(cost.tensor_time, cost.hbm_time).value() +
                          std::max(shared.tensor_time, shared.hbm_time).value();
  CHECK(result.total.value() == Approx(expected).epsilon(1e-9));
  CHECK(result.warnings.size() == 2);  // dispatch and combine have no effect
}

TEST_CASE("a GPU that no token reaches still ends, and its experts take no time") {
  // One token with one expert on each of 72 GPUs: some GPU gets none.
  const auto scenario = sim::load_scenario(
      "examples/13-gb200-nvl72.json",
      {"step.tokens_per_gpu=1", "model.top_k=1", "model.groups=1", "model.top_groups=1", "model.shared_experts=0"});
  const auto& selections = scenario.layers[0].traffic.rank_selections;
  REQUIRE(std::count(selections.begin(), selections.end(), 0) > 0);
  const auto result = sim::run(scenario);
  CHECK(phase(result, "experts").fastest_rank.value() == 0);
  CHECK(phase(result, "experts").slowest_rank > scenario.profile.launch.value);
  CHECK(result.total > phase(result, "experts").slowest_rank);
}

TEST_CASE("slower NICs slow the layer on NIC-joined nodes and leave a single node alone") {
  const auto time = [](const std::string& nodes, const std::string& nic) {
    return sim::run(sim::load_scenario(
                        "examples/12-hgx-h200-9-nodes.json",
                        {"cluster={\"preset\": \"hgx_h200\", \"nodes\": " + nodes +
                             (nodes == "1" ? "" : ", \"scale_out\": {\"nic_bandwidth\": \"" + nic + "\"}") + "}",
                         "experts={\"kernel\": \"roofline\"}"}))
        .total.value();
  };
  CHECK(time("3", "200 Gb/s") > 1.5 * time("3", "400 Gb/s"));
  CHECK(time("1", "200 Gb/s") == time("1", "400 Gb/s"));
}

}  // namespace moesim::step
