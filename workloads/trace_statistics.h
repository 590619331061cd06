// What a trace is like: skew, imbalance, locality, fan-out.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "workloads/placement.h"
#include "workloads/trace.h"

namespace moesim::workloads {

// Of one layer, over all tokens given. The load of an expert is the number of tokens that chose it.
struct LayerStatistics {
  double max_over_mean = 1;    // most loaded expert over the mean of all experts
  double zipf_exponent = 0;    // minus the slope of log(load) over log(rank), experts in falling order of load, ranks 1
                               // to min(200, experts), unloaded experts left out; 0 with fewer than two loaded experts
  double top_tenth_share = 0;  // share of the selections that the round(experts / 10) most loaded experts carry
  double adjacent_share = 0;   // mean over adjacent tokens of the share of experts that the second has of the first
};
LayerStatistics layer_statistics(const LayerRouting& routing, std::int32_t experts);
// The same from the loads of all experts; adjacent_share stays 0.
LayerStatistics load_statistics(std::span<const std::int64_t> expert_loads);
// Every layer of a trace. `experts` must exceed every id.
std::vector<LayerStatistics> trace_statistics(const Trace& trace, std::int32_t experts);
// The mean over layers of each number.
LayerStatistics mean_statistics(const std::vector<LayerStatistics>& layers);

std::vector<std::int64_t> expert_loads(const LayerRouting& routing, std::int32_t experts);
// Most loaded rank over the mean, expert e on rank floor(e * ranks / experts) (contiguous, no replicas; ranks divide
// experts).
double rank_imbalance(const LayerRouting& routing, std::int32_t experts, std::int32_t ranks);
double rank_imbalance(std::span<const std::int64_t> expert_loads, std::int32_t ranks);
// With replicas: the tokens of an expert are shared evenly by its slots.
double rank_imbalance(std::span<const std::int64_t> expert_loads, const Placement& placement);
// Of all layers.
struct ImbalanceSummary {
  double mean = 1;
  double worst = 1;
};
ImbalanceSummary rank_imbalance(const Trace& trace, std::int32_t experts, std::int32_t ranks);

// Mean number of distinct ranks that hold a token's experts, same placement.
double fan_out(const LayerRouting& routing, std::int32_t experts, std::int32_t ranks);
// The same for uniform routing without group limits: R (1 - C(E - E/R, k) / C(E, k)).
double uniform_fan_out(std::int32_t experts, std::int32_t top_k, std::int32_t ranks);

// The same with the placement's replicas, of which token t uses number t mod count.
double fan_out(const LayerRouting& routing, const Placement& placement);
double uniform_fan_out(std::int32_t top_k, const Placement& placement);

// How well the experts of one layer foretell those of the next: the share of the next layer's experts that are hit when
// the top_k experts with most co-occurrences with the present layer's are predicted, and when the top_k most popular
// are. Even tokens are counted, odd tokens predicted; means over the pairs of neighbouring layers.
struct LayerCorrelation {
  double from_layer_before = 0;
  double from_popularity = 0;
};
LayerCorrelation layer_correlation(const Trace& trace, std::int32_t experts);

// Whether the hot experts of different parts of a trace are the same: of the round(experts / 10) most loaded experts of
// a quarter of the tokens, the share that is among those of another quarter; mean over layers and pairs of quarters.
// Chance alone gives about a tenth.
double hot_expert_overlap(const Trace& trace, std::int32_t experts);

// One more than the largest id: the least number of experts the trace may have.
std::int32_t experts_seen(const Trace& trace);

}  // namespace moesim::workloads
