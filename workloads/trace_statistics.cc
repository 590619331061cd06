#include "workloads/trace_statistics.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "base/error.h"
#include "base/statistics.h"

namespace moesim::workloads {
namespace {

double zipf_exponent(const std::vector<double>& falling_loads) {
  const std::size_t count = std::min<std::size_t>(200, falling_loads.size());
  const std::span<const double> loads = std::span(falling_loads).first(count);
  if (count < 2 || loads[1] <= 0) return 0;
  std::vector<double> ranks(count);
  std::iota(ranks.begin(), ranks.end(), 1.0);
  return -base::log_log_slope(ranks, loads);
}

double adjacent_share(const LayerRouting& routing, std::int32_t experts) {
  const std::int64_t tokens = routing.tokens();
  if (tokens < 2) return 0;
  std::vector<std::int64_t> last(static_cast<std::size_t>(experts), -2);
  std::int64_t shared = 0;
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (const std::uint16_t e : routing.slice(t, 1).experts) {
      if (last[e] == t - 1) ++shared;
      last[e] = t;
    }
  }
  return static_cast<double>(shared) / static_cast<double>((tokens - 1) * routing.top_k);
}

}  // namespace

std::vector<std::int64_t> expert_loads(const LayerRouting& routing, std::int32_t experts) {
  std::vector<std::int64_t> loads(static_cast<std::size_t>(experts), 0);
  for (const std::uint16_t e : routing.experts) ++loads.at(e);
  return loads;
}

LayerStatistics layer_statistics(const LayerRouting& routing, std::int32_t experts) {
  LayerStatistics statistics = load_statistics(expert_loads(routing, experts));
  statistics.adjacent_share = adjacent_share(routing, experts);
  return statistics;
}

LayerStatistics load_statistics(std::span<const std::int64_t> expert_loads) {
  std::vector<double> loads(expert_loads.begin(), expert_loads.end());
  std::sort(loads.begin(), loads.end(), std::greater<>());
  LayerStatistics statistics;
  statistics.max_over_mean = base::imbalance(loads);
  statistics.zipf_exponent = zipf_exponent(loads);
  const auto tenth = static_cast<std::ptrdiff_t>(std::lround(static_cast<double>(loads.size()) / 10));
  const double total = std::accumulate(loads.begin(), loads.end(), 0.0);
  if (total > 0) statistics.top_tenth_share = std::accumulate(loads.begin(), loads.begin() + tenth, 0.0) / total;
  return statistics;
}

std::vector<LayerStatistics> trace_statistics(const Trace& trace, std::int32_t experts) {
  std::vector<LayerStatistics> layers;
  for (std::int32_t layer = 0; layer < trace.layers; ++layer)
    layers.push_back(layer_statistics(trace.layer(layer), experts));
  return layers;
}

LayerStatistics mean_statistics(const std::vector<LayerStatistics>& layers) {
  LayerStatistics mean;
  if (layers.empty()) return mean;
  for (double LayerStatistics::*member : {&LayerStatistics::max_over_mean, &LayerStatistics::zipf_exponent,
                                          &LayerStatistics::top_tenth_share, &LayerStatistics::adjacent_share}) {
    double sum = 0;
    for (const LayerStatistics& layer : layers) sum += layer.*member;
    mean.*member = sum / static_cast<double>(layers.size());
  }
  return mean;
}

double rank_imbalance(const LayerRouting& routing, std::int32_t experts, std::int32_t ranks) {
  return rank_imbalance(expert_loads(routing, experts), ranks);
}

double rank_imbalance(std::span<const std::int64_t> loads, std::int32_t ranks) {
  return rank_imbalance(loads, default_placement(static_cast<std::int32_t>(loads.size()), ranks));
}

double rank_imbalance(std::span<const std::int64_t> loads, const Placement& placement) {
  MOESIM_CHECK(static_cast<std::int32_t>(loads.size()) == placement.experts, "a load of each expert");
  std::vector<double> rank_loads(static_cast<std::size_t>(placement.ranks), 0);
  for (std::size_t slot = 0; slot < placement.slot_expert.size(); ++slot) {
    const auto expert = static_cast<std::size_t>(placement.slot_expert[slot]);
    rank_loads[static_cast<std::size_t>(placement.slot_rank[slot])] +=
        static_cast<double>(loads[expert]) / (placement.first[expert + 1] - placement.first[expert]);
  }
  return base::imbalance(rank_loads);
}

ImbalanceSummary rank_imbalance(const Trace& trace, std::int32_t experts, std::int32_t ranks) {
  std::vector<double> layers;
  for (std::int32_t layer = 0; layer < trace.layers; ++layer)
    layers.push_back(rank_imbalance(trace.layer(layer), experts, ranks));
  return {base::mean(layers), base::maximum(layers)};
}

double fan_out(const LayerRouting& routing, std::int32_t experts, std::int32_t ranks) {
  return fan_out(routing, default_placement(experts, ranks));
}

double uniform_fan_out(std::int32_t experts, std::int32_t top_k, std::int32_t ranks) {
  return uniform_fan_out(top_k, default_placement(experts, ranks));
}

double fan_out(const LayerRouting& routing, const Placement& placement) {
  std::vector<std::int64_t> last(static_cast<std::size_t>(placement.ranks), -1);
  std::int64_t distinct = 0;
  for (std::int64_t t = 0; t < routing.tokens(); ++t) {
    for (const std::uint16_t e : routing.slice(t, 1).experts) {
      const std::int32_t begin = placement.first.at(e), count = placement.first.at(std::size_t{e} + 1) - begin;
      const std::int32_t slot = placement.slots[static_cast<std::size_t>(begin + t % count)];
      std::int64_t& rank = last[static_cast<std::size_t>(placement.slot_rank[static_cast<std::size_t>(slot)])];
      distinct += rank != t ? 1 : 0;
      rank = t;
    }
  }
  return routing.tokens() > 0 ? static_cast<double>(distinct) / static_cast<double>(routing.tokens()) : 0;
}

double uniform_fan_out(std::int32_t top_k, const Placement& placement) {
  std::int32_t period = 1;  // after so many tokens the replicas are the same again
  for (std::size_t e = 0; e < static_cast<std::size_t>(placement.experts); ++e)
    period = std::lcm(period, placement.first[e + 1] - placement.first[e]);
  double sum = 0;
  for (std::int32_t t = 0; t < period; ++t) {
    std::vector<std::int32_t> used(static_cast<std::size_t>(placement.ranks), 0);  // experts that the token finds there
    for (std::size_t e = 0; e < static_cast<std::size_t>(placement.experts); ++e) {
      const std::int32_t begin = placement.first[e], count = placement.first[e + 1] - begin;
      const std::int32_t at = begin + t % count;
      const std::int32_t slot = placement.slots[static_cast<std::size_t>(at)];
      ++used[static_cast<std::size_t>(placement.slot_rank[static_cast<std::size_t>(slot)])];
    }
    for (const std::int32_t experts : used) {
      double none = 1;
      for (std::int32_t i = 0; i < top_k; ++i)
        none *= std::max(0.0, static_cast<double>(placement.experts - experts - i)) / (placement.experts - i);
      sum += 1 - none;
    }
  }
  return sum / period;
}

LayerCorrelation layer_correlation(const Trace& trace, std::int32_t experts) {
  const auto n = static_cast<std::size_t>(experts), k = static_cast<std::size_t>(trace.top_k);
  std::vector<std::uint32_t> together(n * n), score(n);
  std::vector<std::size_t> order(n);
  std::vector<char> popular(n);
  std::int64_t hits = 0, popular_hits = 0, all = 0;
  // The first k of `order`: the experts with the highest score, of equal ones the first.
  const auto rank = [&](const std::vector<std::uint32_t>& by) {
    std::iota(order.begin(), order.end(), 0);
    std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k) - 1, order.end(),
                     [&](std::size_t a, std::size_t b) { return by[a] != by[b] ? by[a] > by[b] : a < b; });
  };
  for (std::int32_t layer = 0; layer + 1 < trace.layers; ++layer) {
    const LayerRouting from = trace.layer(layer), to = trace.layer(layer + 1);
    std::fill(together.begin(), together.end(), 0);
    std::fill(score.begin(), score.end(), 0);
    for (std::int64_t t = 0; t < trace.tokens; t += 2) {
      for (const std::uint16_t next : to.slice(t, 1).experts) {
        ++score.at(next);
        for (const std::uint16_t e : from.slice(t, 1).experts) ++together[e * n + next];
      }
    }
    rank(score);
    std::fill(popular.begin(), popular.end(), 0);
    for (std::size_t i = 0; i < k; ++i) popular[order[i]] = 1;
    for (std::int64_t t = 1; t < trace.tokens; t += 2) {
      std::fill(score.begin(), score.end(), 0);
      for (const std::uint16_t e : from.slice(t, 1).experts)
        for (std::size_t next = 0; next < n; ++next) score[next] += together[e * n + next];
      rank(score);
      const auto chosen = to.slice(t, 1).experts;
      for (const std::uint16_t e : chosen) {
        popular_hits += popular[e];
        hits += std::find(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), e) !=
                        order.begin() + static_cast<std::ptrdiff_t>(k)
                    ? 1
                    : 0;
      }
      all += trace.top_k;
    }
  }
  if (all == 0) return {};
  return {static_cast<double>(hits) / static_cast<double>(all),
          static_cast<double>(popular_hits) / static_cast<double>(all)};
}

double hot_expert_overlap(const Trace& trace, std::int32_t experts) {
  constexpr std::int64_t kParts = 4;
  const std::int64_t part = trace.tokens / kParts;
  const auto tenth = static_cast<std::size_t>(std::lround(experts / 10.0));
  if (part == 0 || tenth == 0) return 0;
  double sum = 0;
  for (std::int32_t layer = 0; layer < trace.layers; ++layer) {
    std::vector<int> lists(static_cast<std::size_t>(experts), 0);  // how many of the four name the expert
    for (std::int64_t p = 0; p < kParts; ++p) {
      const auto loads = expert_loads(trace.layer(layer).slice(p * part, part), experts);
      std::vector<std::size_t> order(loads.size());
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return loads[a] > loads[b]; });
      for (std::size_t i = 0; i < tenth; ++i) ++lists[order[i]];
    }
    for (const int n : lists) sum += n * (n - 1) / 2.0;  // pairs of lists that share it
  }
  return sum / (trace.layers * static_cast<double>(tenth) * (kParts * (kParts - 1) / 2.0));
}

std::int32_t experts_seen(const Trace& trace) {
  const auto largest = std::max_element(trace.ids.begin(), trace.ids.end());
  return largest == trace.ids.end() ? 0 : *largest + 1;
}

}  // namespace moesim::workloads
