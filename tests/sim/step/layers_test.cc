// Several layers in one run, on threads, and what a batched run says of its error.
#include "sim/step/layers.h"

#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/engine/engine.h"
#include "sim/scenario.h"
#include "sim/step/batching.h"
#include "tests/approx.h"

namespace moesim::step {
namespace {

using tests::Approx;

sim::Scenario hgx(const std::string& layer, int threads = 1, const std::vector<std::string>& more = {}) {
  std::vector<std::string> sets{"step.layer=" + layer, "step.tokens_per_gpu=16"};
  sets.insert(sets.end(), more.begin(), more.end());
  return sim::load_scenario("examples/11-hgx-h100.json", sets, threads);
}

TEST_CASE("several layers take the sum of what each takes by itself, each with its own routing") {
  const auto joined = sim::run(hgx("[3, 4, 60]"));
  base::Duration total, bound;
  double sent = 0;
  REQUIRE(joined.layers.size() == 3);
  std::vector<double> times;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::string number = i == 0 ? "3" : i == 1 ? "4" : "60";
    const auto alone = sim::run(hgx(number));
    CHECK(std::to_string(joined.layers[i].layer) == number);
    CHECK(joined.layers[i].total == alone.total);
    CHECK(joined.layers[i].lower_bound == alone.lower_bound);
    CHECK(alone.layers.empty());
    total += alone.total;
    bound += alone.lower_bound;
    sent += alone.phases.front().sent.value();
    times.push_back(alone.total.value());
  }
  CHECK(joined.total == total);
  CHECK(joined.lower_bound == bound);
  CHECK(joined.tokens_per_s_per_gpu == Approx(16 / total.value()));
  CHECK(joined.phases.front().name == "dispatch");
  CHECK(joined.phases.front().sent.value() == Approx(sent));
  CHECK(times[0] != times[1]);
  base::Duration critical;
  for (const auto& phase : joined.phases) critical += phase.critical;
  CHECK(critical.value() == Approx(total.value()).epsilon(1e-12));
  CHECK(joined.critical_path.back().end.value() == *std::max_element(times.begin(), times.end()));
  for (const auto& link : joined.links) CHECK(link.utilisation <= 1 + 1e-9);
}

TEST_CASE("all layers are the model's MoE layers") {
  const auto scenario = hgx("all");
  REQUIRE(scenario.layers.size() == 58);
  CHECK(scenario.layers.front().layer == 3);
  CHECK(scenario.layers.back().layer == 60);
  CHECK(scenario.layers[0].traffic.tokens != scenario.layers[1].traffic.tokens);
}

TEST_CASE("layers on any number of threads give the same result, to the last bit") {
  for (const std::string engine : {"fluid", "bound", "simgrid"}) {
    CAPTURE(engine);
    const std::vector<std::string> sets{"engine.name=" + engine, "communication.kernel=ideal"};
    const std::string layers = engine == "simgrid" ? "[3, 4, 5]" : "[3, 4, 5, 6, 7, 8, 9]";
    const auto one = sim::run(hgx(layers, 1, sets), 1);
    for (const int threads : {2, 3, 16})
      CHECK(results::to_json(sim::run(hgx(layers, threads, sets), threads)) == results::to_json(one));
  }
}

TEST_CASE("an exact run names no batching error; a batched one measures it, and zero where nothing was batched") {
  CHECK_FALSE(sim::run(hgx("3")).batching);
  const auto batched = sim::run(hgx("3", 1, {"engine.tolerance=0.01"}));
  REQUIRE(batched.batching);
  CHECK(batched.batching->sample == "the whole layer");
  CHECK(batched.batching->mean_flow <= batched.batching->largest_flow);
  CHECK(batched.batching->largest_flow > 0);
  CHECK(batched.batching->largest_flow < 4 * 0.01);
  const auto exact = sim::run(hgx("3"));
  CHECK(std::abs(batched.batching->total - std::abs(batched.total / exact.total - 1)) < 1e-12);
}

TEST_CASE("of a large cluster a part is the sample") {
  constexpr std::int32_t kRanks = kSampleRanks + 2;
  engine::TaskGraph graph;
  engine::Exchange exchange{"dispatch", kRanks, {}, {}, {}};
  const auto shared = graph.add_resource({"port", engine::ResourceKind::Link, 1, {}});
  // Two flows inside the sample that end 0.1 % apart, and one outside that the sample must not see.
  for (const auto& [source, amount] : {std::pair(0, 1.0), {1, 1.001}, {kRanks - 1, 5.0}}) {
    const std::vector<engine::Use> uses{{shared}};
    exchange.flows.push_back({graph.add_path(uses, base::Duration(0)), source, 2, amount});
  }
  graph.add_exchange(std::move(exchange));
  const auto batched = engine::make_engine("fluid", {0.1, false})->run(graph);
  const auto error = measure_batching(graph, batched, kRanks, 0.1);
  CHECK(error.sample == "dispatch among the first 144 GPUs by itself");
  // Exactly they end at 2 and 2.001; together at a mean of the two.
  CHECK(error.largest_flow > 0);
  CHECK(error.largest_flow < 0.001 / 2);
}

}  // namespace
}  // namespace moesim::step
