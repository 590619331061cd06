#include "workloads/counted_routing.h"

#include <cmath>
#include <numeric>
#include <set>

#include <doctest/doctest.h>

#include "tests/base/input_error.h"
#include "tests/workloads/inputs.h"
#include "workloads/power_law.h"
#include "workloads/routing_source.h"
#include "workloads/token_sampler.h"
#include "workloads/trace_statistics.h"

namespace moesim::workloads {
namespace {

using doctest::Approx;
using tests::Contains;
using tests::input_error;
using tests::JsonText;
using tests::model_of;
using tests::ScratchFolder;

std::vector<double> zipf_counts(std::int32_t experts, double exponent) {
  std::vector<double> counts;
  for (std::int32_t e = 0; e < experts; ++e) counts.push_back(1000 * std::pow((7 * e) % experts + 1, -exponent));
  return counts;
}

// Largest distance of a drawn share from the one that the counts say, in standard deviations of the draw.
double worst_deviation(const Model& model, const std::vector<double>& counts, std::int64_t tokens) {
  const ExpertWeights weights(weights_of_counts(counts, model, "test"));
  TokenSampler sampler(model);
  base::RandomStream stream(4, "test");
  std::vector<std::uint16_t> ids(static_cast<std::size_t>(tokens * model.top_k));
  sampler.draw(weights, {}, 0, stream, ids);
  const auto loads = expert_loads({ids, model.top_k}, model.experts);
  const double sum = std::accumulate(counts.begin(), counts.end(), 0.0);
  double worst = 0;
  for (std::size_t e = 0; e < counts.size(); ++e) {
    const double expected = static_cast<double>(tokens) * model.top_k * counts[e] / sum;
    worst = std::max(worst, std::abs(static_cast<double>(loads[e]) - expected) / std::sqrt(expected + 1));
  }
  return worst;
}

TEST_CASE("tokens drawn from counts give every expert its share, though drawn without replacement") {
  const Model model = model_of(R"({"preset": "qwen3-30b-a3b"})");
  CHECK(worst_deviation(model, zipf_counts(128, 0.6), 20000) < 5);
  CHECK(worst_deviation(model, zipf_counts(128, 0.7), 20000) < 5);
}

TEST_CASE("limited groups are corrected for") {
  const Model model = model_of(R"({"preset": "deepseek-v3"})");
  const std::vector<double> counts = zipf_counts(256, 0.5);
  const ExpertWeights weights(weights_of_counts(counts, model, "test"));
  TokenSampler sampler(model);
  base::RandomStream stream(4, "test");
  const std::int64_t tokens = 20000;
  std::vector<std::uint16_t> ids(static_cast<std::size_t>(tokens) * 8);
  sampler.draw(weights, {}, 0, stream, ids);
  const auto loads = expert_loads({ids, 8}, 256);
  const double sum = std::accumulate(counts.begin(), counts.end(), 0.0);
  double off = 0;  // share of the selections that went to another expert
  for (std::size_t e = 0; e < counts.size(); ++e)
    off += std::abs(static_cast<double>(loads[e]) / (8.0 * tokens) - counts[e] / sum) / 2;
  CHECK(off < 0.03);
}

TEST_CASE("an expert with more than all tokens' share is in every choice, and too few experts are refused") {
  const Model model = model_of(R"({"preset": "qwen3-30b-a3b", "experts": 8, "top_k": 2})");
  const ExpertWeights weights(weights_of_counts(std::vector<double>{100, 1, 1, 1, 1, 1, 1, 1}, model, "test"));
  TokenSampler sampler(model);
  base::RandomStream stream(4, "test");
  std::vector<std::uint16_t> ids(2000);
  sampler.draw(weights, {}, 0, stream, ids);
  CHECK(expert_loads({ids, 2}, 8)[0] > 990);
  CHECK(input_error([&] {
          weights_of_counts(std::vector<double>{1, 0, 0, 0, 0, 0, 0, 0}, model, "c.npy");
        }) == Contains("c.npy: 1 experts have a count above 0; expected at least top_k = 2"));
}

TEST_CASE("dealt selections are exact, and a token's experts distinct") {
  const std::vector<std::int64_t> selections{10, 10, 3, 0, 7, 10};
  base::RandomStream stream(9, "test");
  const auto ids = deal_selections(selections, 10, 4, stream);
  CHECK(expert_loads({ids, 4}, 6) == selections);
  for (std::size_t at = 0; at < ids.size(); at += 4)
    CHECK(
        std::set<int>(ids.begin() + static_cast<std::ptrdiff_t>(at), ids.begin() + static_cast<std::ptrdiff_t>(at + 4))
            .size() == 4);
}

TEST_CASE("a routing section takes expert counts and the law of kernel benchmarks") {
  const Model model = model_of(R"({"preset": "qwen3-30b-a3b", "layers": 2, "experts": 8, "top_k": 2})");
  const ScratchFolder folder;
  folder.write("c.json", R"({"logical_count": [[5, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 5]]})");
  std::vector<std::string> warnings;
  const JsonText counts(R"({"counts": "c.json", "seed": 1})", folder.file("scenario.json"));
  const RoutingSource source(counts.node, model, warnings);
  CHECK(expert_loads(source.layer(0, 500, 4).layer(0), 8)[0] == Approx(2000 * 2 * 5.0 / 12).epsilon(0.05));
  CHECK(expert_loads(source.layer(1, 500, 4).layer(0), 8)[7] == Approx(2000 * 2 * 5.0 / 12).epsilon(0.05));
  CHECK(source.layer(1, 500, 4).source == Contains("c.json"));
  // The tokens that follow are others, and the first are the same.
  const auto all = source.tokens(0, 0, 30).ids, rest = source.tokens(0, 10, 20).ids;
  CHECK(std::equal(rest.begin(), rest.end(), all.begin() + 20));

  const JsonText law(R"({"power_law": {"exponent": 1.2, "seed": 3}})");
  const auto ids = RoutingSource(law.node, model, warnings).layer(1, 50, 4).ids;
  base::RandomStream stream(3, "power law", 1);
  CHECK(expert_loads({ids, 2}, 8) == draw_power_law({1.2, 200, 2, 8}, stream));
  CHECK(warnings.empty());
  const RoutingSource grouped(law.node, tests::model_preset("deepseek-v3"), warnings);
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0] == Contains("experts of any groups"));

  const auto error_of = [&](const char* json) {
    return input_error([&] { RoutingSource(JsonText(json, folder.file("s.json")).node, model, warnings); });
  };
  CHECK(error_of(R"({"counts": "c.json"})") == Contains("missing key \"seed\""));
  CHECK(error_of(R"({"counts": "c.json", "seed": 1, "pass": 0})") == Contains("/pass: only a \"trace\""));
  CHECK(error_of(R"({"power_law": {"exponent": 1, "seed": 1}})") == Contains("/exponent"));
  CHECK(error_of(R"({"preset": "balanced", "seed": 1})") == Contains("/seed: only \"counts\""));
  folder.write("few.json", R"({"logical_count": [[1, 1, 1, 1, 1, 1, 1, 1]]})");
  CHECK(error_of(R"({"counts": "few.json", "seed": 1})") ==
        Contains("counts of 1 MoE layers; the model Qwen3-30B-A3B has 2"));
}

}  // namespace
}  // namespace moesim::workloads
