// N6: phase, dtype, hidden, inter, topk, experts, ep, dist, tokens_per_rank, tokens_global, latency_us.
#include <cmath>

#include "sim/engine/engine.h"
#include "sim/lowering/fused_moe.h"
#include "sim/lowering/moe_tokens.h"
#include "validation/expert_routing.h"
#include "validation/formats.h"
#include "validation/kinds.h"

namespace moesim::validation {
namespace {

using calibration::Table;

constexpr double kFp4Bytes = 0.5 + 1.0 / 32;  // of a weight, with one scale byte per 32

struct Shape {
  std::int32_t ranks = 0, experts = 0, top_k = 0;
  double hidden = 0, inter = 0, tokens_per_rank = 0;
};

double selections_of(const std::vector<lowering::ExpertLoad>& loads) {
  double selections = 0;
  for (const lowering::ExpertLoad& load : loads) selections += load.tokens * load.experts;
  return selections;
}

// The most loaded rank is rank 0; the others share the rest alike. A token's choices fall on a rank with the rank's
// share of all selections, so it is copied there with probability 1 - (1 - share)^k.
base::Duration time_of(const Shape& shape, const std::vector<lowering::ExpertLoad>& loads, const System& on,
                       const profile::KernelParameters& parameters) {
  lowering::FusedMoe layer;
  layer.name = "fused";
  layer.ranks = shape.ranks;
  layer.local_experts = static_cast<double>(shape.experts) / shape.ranks;
  layer.dispatch_bytes = shape.hidden;
  layer.combine_bytes = 2 * shape.hidden;
  layer.matrices = {shape.hidden, shape.inter, kFp4Bytes, workloads::Dtype::Fp8};
  const auto n = static_cast<std::size_t>(shape.ranks);
  const double all = shape.tokens_per_rank * shape.ranks * shape.top_k;
  const double hot = all > 0 ? std::min(1.0, selections_of(loads) / all) : 0;
  const double rest = n > 1 ? (1 - hot) / static_cast<double>(n - 1) : 0;
  for (std::size_t from = 0; from < n; ++from)
    for (std::size_t to = 0; to < n; ++to)
      layer.copies.push_back(shape.tokens_per_rank * (1 - std::pow(1 - (to == 0 ? hot : rest), shape.top_k)));
  std::vector<lowering::ExpertLoad> others = loads;
  for (lowering::ExpertLoad& load : others) load.tokens *= hot > 0 ? std::min(1.0, rest / hot) : 1;
  layer.loads.assign(n, others);
  layer.loads[0] = loads;

  engine::TaskGraph graph;
  const auto cluster = on.cluster(shape.ranks);
  lowering::Network network(graph, *cluster->router);
  const engine::EventId end = lowering::fused_moe(network, layer, on.profile(), parameters).end;
  return engine::make_engine(engine::default_engine())->run(graph).event[end.index()];
}

Samples read(const Table& table, const System& system) {
  Samples result;
  RoutingCache cache;
  const bool nvlink = system.has_nvlink();
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const double measured = table.time_us(row, "latency_us");
    Shape shape;
    shape.ranks = static_cast<std::int32_t>(table.integer(row, "ep", 1));
    shape.experts = static_cast<std::int32_t>(table.integer(row, "experts", 1));
    shape.top_k = static_cast<std::int32_t>(table.integer(row, "topk", 1));
    shape.hidden = static_cast<double>(table.integer(row, "hidden", 1));
    shape.inter = static_cast<double>(table.integer(row, "inter", 1));
    const std::int64_t tokens = table.integer(row, "tokens_global", 1);
    shape.tokens_per_rank = static_cast<double>(tokens) / shape.ranks;
    const auto routing = routing_named(table.text(row, "dist"));
    const std::string& dtype = table.text(row, "dtype");
    if (dtype != "fp8_fp4") {
      result.skipped.push_back({row, "a fused MoE kernel in " + dtype + " is not modelled"});
    } else if (!computes_in(system.profile(), workloads::Dtype::Fp8)) {
      result.skipped.push_back({row, system.name() + " has no tensor cores for fp8"});
    } else if (!nvlink) {
      result.skipped.push_back({row, system.name() + " has no NVLink, over which the kernel exchanges tokens"});
    } else if (!routing) {
      result.skipped.push_back({row, "routing \"" + table.text(row, "dist") + "\" is not modelled"});
    } else if (shape.experts % shape.ranks != 0 || shape.top_k > shape.experts) {
      result.skipped.push_back({row, "experts that the ranks do not divide, or fewer than top-k"});
    } else {
      const auto loads = cache.loads(*routing, {tokens, shape.top_k, shape.experts, shape.ranks, lowering::kFusedTile});
      Sample sample;
      sample.row = row;
      sample.measured_us = measured;
      sample.kernel = lowering::fused_moe_kernels().front().name;
      sample.group = table.text(row, "phase") + ", EP" + std::to_string(shape.ranks) + ", " + table.text(row, "dist");
      sample.size = static_cast<double>(tokens);
      sample.size_unit = "tokens";
      sample.error_class = routing->kind == ExpertRouting::Kind::PowerLaw ? "skewed" : "";
      sample.predict = [shape, loads](const System& on, const profile::KernelParameters& parameters) {
        return over_draws(*loads, [&](const RankLoads& rank) { return time_of(shape, rank.experts, on, parameters); });
      };
      result.samples.push_back(std::move(sample));
    }
  }
  return result;
}

Part fit_if(bool fit) { return fit ? Part::Fit : Part::Test; }

}  // namespace

TableKind fused_moe_kind() {
  TableKind kind;
  kind.name = "N6";
  kind.title = "fused dispatch, grouped GEMM and combine";
  kind.columns = {"phase", "dtype", "hidden",          "inter",         "topk",      "experts",
                  "ep",    "dist",  "tokens_per_rank", "tokens_global", "latency_us"};
  kind.time_columns = {"latency_us"};
  const auto models = lowering::fused_moe_kernels();
  kind.kernels.assign(models.begin(), models.end());
  kind.read = read;
  kind.splits = {
      {"EP4, EP8 held out", Split::By::Shape,
       [](const System&, const Table& t, std::size_t row) { return fit_if(t.integer(row, "ep") < 8); }},
      {"balanced, power law held out", Split::By::Shape,
       [](const System&, const Table& t, std::size_t row) { return fit_if(t.text(row, "dist") == "balanced"); }},
      {"up to 1024 tokens per rank, more held out", Split::By::Size,
       [](const System&, const Table& t, std::size_t row) {
         return fit_if(t.integer(row, "tokens_per_rank") <= 1024);
       }},
  };
  kind.goal_median = 0.08;
  kind.goal_p90 = 0.20;
  kind.limits =
      "Power-law rows are one draw: its most loaded rank has up to 1.3 times the load of the average draw. 256 tokens "
      "per "
      "expert cost 15 % more per token than 192 or 512 (the choice of tiles is not modelled).";
  return kind;
}

}  // namespace moesim::validation
