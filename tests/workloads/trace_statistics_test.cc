#include "workloads/trace_statistics.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include <doctest/doctest.h>

#include "base/random.h"
#include "tests/reference_data.h"
#include "tests/workloads/inputs.h"
#include "workloads/trace_file.h"

namespace moesim::workloads {
namespace {

using doctest::Approx;

// Uniform choice of top_k distinct experts per token.
std::vector<std::uint16_t> uniform_ids(std::int32_t experts, std::int32_t top_k, std::int64_t tokens) {
  base::RandomStream stream(3, "uniform");
  std::vector<std::uint16_t> ids;
  for (std::int64_t t = 0; t < tokens; ++t) {
    std::set<std::uint16_t> chosen;
    while (chosen.size() < static_cast<std::size_t>(top_k))
      chosen.insert(static_cast<std::uint16_t>(stream.below(static_cast<std::uint64_t>(experts))));
    ids.insert(ids.end(), chosen.begin(), chosen.end());
  }
  return ids;
}

TEST_CASE("loads that follow a power law give back its exponent, maximum and shares") {
  // 20 experts, expert e chosen by 5040 / (e + 1) tokens, one expert per token: exponent 1.
  std::vector<std::uint16_t> ids;
  double total = 0, top_two = 0;
  for (int e = 0; e < 20; ++e) {
    const int load = static_cast<int>(232792560 / 46189 / (e + 1));  // 5040 / (e + 1), whole up to rounding
    ids.insert(ids.end(), static_cast<std::size_t>(load), static_cast<std::uint16_t>(e));
    total += load;
    if (e < 2) top_two += load;
  }
  const LayerStatistics s = layer_statistics({ids, 1}, 20);
  CHECK(s.zipf_exponent == Approx(1).epsilon(1e-3));
  CHECK(s.max_over_mean == Approx(5040 / (total / 20)));
  CHECK(s.top_tenth_share == Approx(top_two / total));
  CHECK(s.adjacent_share == Approx((total - 20) / (total - 1)));  // sorted: 19 changes among total - 1 neighbours
}

TEST_CASE("rank imbalance is that of contiguous blocks of experts") {
  // 4 experts with loads 1, 2, 3, 6: blocks of two have 3 and 9.
  const std::vector<std::uint16_t> ids = {0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3};
  CHECK(rank_imbalance({ids, 1}, 4, 1) == 1);
  CHECK(rank_imbalance({ids, 1}, 4, 2) == 9.0 / 6);
  CHECK(rank_imbalance({ids, 1}, 4, 4) == 6.0 / 3);
  Trace trace = tests::made_up_trace(6, 2, 1, 4);
  trace.ids = {0, 1, 2, 3, 0, 1, /* layer 1 */ 0, 0, 0, 1, 2, 2};
  const ImbalanceSummary summary = rank_imbalance(trace, 4, 2);
  CHECK(summary.worst == 4.0 / 3);
  CHECK(summary.mean == (4.0 / 3 + 4.0 / 3) / 2);
}

TEST_CASE("uniform routing has the fan-out of the closed form") {
  const std::int64_t tokens = 20000;
  const auto ids = uniform_ids(128, 8, tokens);
  for (const std::int32_t ranks : {4, 8, 16, 32, 64, 128}) {
    CAPTURE(ranks);
    const double measured = fan_out({ids, 8}, 128, ranks);
    // A token's fan-out varies by less than sqrt(top_k) around its mean.
    CHECK(std::abs(measured - uniform_fan_out(128, 8, ranks)) < 4 * std::sqrt(8.0 / static_cast<double>(tokens)));
  }
  CHECK(uniform_fan_out(128, 8, 1) == 1);
  CHECK(uniform_fan_out(128, 1, 16) == Approx(1));
  CHECK(uniform_fan_out(128, 8, 128) == Approx(8));
  CHECK(uniform_fan_out(8, 8, 4) == 4);
}

// The digits that were published of these recordings' largest passes (Qwen3-30B-A3B, about 2,000 tokens): each pair is
// the least and the greatest over the three recordings.
TEST_CASE("statistics of recorded routing equal the published ones") {
  const auto folder = tests::reference_data("traces/soryxie-vllm-qwen3-30b-a3b");
  if (!folder) return;
  std::vector<Trace> passes;
  for (const char* name : {"ep_states", "token_distri_8", "token_distri_16"}) {
    const Trace trace = read_trace_file(*folder + "/" + name + ".jsonl");
    CHECK(trace.layers == 48);
    CHECK(trace.top_k == 8);
    CHECK(trace.num_passes() == 32);
    passes.push_back(one_pass(trace, largest_pass(trace)));
  }
  CHECK(passes[0].tokens == 1960);
  CHECK(passes[1].tokens == 2050);
  CHECK(passes[2].tokens == 2080);

  struct Range {
    double least = 1e9, most = 0;
    void add(double value) {
      least = std::min(least, value);
      most = std::max(most, value);
    }
  };
  const auto rounds_to = [](const Range& range, double least, double most, double digit) {
    CHECK(std::abs(range.least - least) <= 0.5001 * digit);
    CHECK(std::abs(range.most - most) <= 0.5001 * digit);
  };
  Range load, worst_load, top, zipf, adjacent;
  double first = 0, middle = 0, last = 0;  // mean adjacent share by depth
  for (const Trace& pass : passes) {
    const auto layers = trace_statistics(pass, 128);
    const LayerStatistics mean = mean_statistics(layers);
    load.add(mean.max_over_mean);
    top.add(mean.top_tenth_share);
    zipf.add(mean.zipf_exponent);
    adjacent.add(mean.adjacent_share);
    for (const LayerStatistics& layer : layers) worst_load.add(layer.max_over_mean);
    first += layers.front().adjacent_share / 3;
    for (std::size_t layer = 16; layer < 32; ++layer) middle += layers[layer].adjacent_share / 16 / 3;
    last += layers.back().adjacent_share / 3;
  }
  rounds_to(load, 5.5, 7.0, 0.1);
  CHECK(std::abs(worst_load.most - 11.7) <= 0.05);
  rounds_to(top, 0.34, 0.41, 0.01);
  rounds_to(adjacent, 0.46, 0.46, 0.01);
  for (const auto& [share, about] : {std::pair(first, 0.10), std::pair(middle, 0.50), std::pair(last, 0.25)})
    CHECK(std::abs(share - about) < 0.05);
  CHECK(zipf.least > 1.2);  // not published: the tail is colder than any Zipf law that fits the head

  struct Published {
    std::int32_t ranks;
    double least, most;
  };
  for (const Published& p : std::vector<Published>{
           {4, 1.2, 1.2}, {8, 1.4, 1.5}, {16, 1.8, 2.05 /* published as 2.1 */}, {32, 2.4, 2.8}, {64, 3.5, 4.3}}) {
    CAPTURE(p.ranks);
    Range imbalance;
    for (const Trace& pass : passes) imbalance.add(rank_imbalance(pass, 128, p.ranks).mean);
    rounds_to(imbalance, p.least, p.most, 0.1);
  }

  // Skew moves load, not fan-out: within 1 % of uniform routing.
  for (const auto& row : std::vector<std::pair<std::int32_t, double>>{{8, 5.35}, {16, 6.6}, {32, 7.36}}) {
    const std::int32_t ranks = row.first;
    const double published = row.second;
    CAPTURE(ranks);
    double sum = 0;
    for (const Trace& pass : passes)
      for (std::int32_t layer = 0; layer < 48; ++layer) sum += fan_out(pass.layer(layer), 128, ranks);
    CHECK(sum / (48 * 3) == Approx(published).epsilon(0.005));
    CHECK(sum / (48 * 3) == Approx(uniform_fan_out(128, 8, ranks)).epsilon(0.01));
  }
}

}  // namespace
}  // namespace moesim::workloads
