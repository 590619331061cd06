// C3: phase, dtype, hidden, inter, topk, experts, ep, dist, tokens_global, latency_us.
#include "sim/lowering/wide_ep_experts.h"
#include "validation/expert_routing.h"
#include "validation/formats.h"
#include "validation/kinds.h"

namespace moesim::validation {
namespace {

using calibration::Table;
using lowering::WideEpPhase;

Samples read(const Table& table, const System& system) {
  Samples result;
  RoutingCache cache;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const double measured = table.time_us(row, "latency_us");
    lowering::WideEpShape shape;
    shape.phase =
        table.one_of(row, "phase", {"generation", "context"}) == 0 ? WideEpPhase::Decode : WideEpPhase::Context;
    shape.tokens = table.integer(row, "tokens_global", 1);
    shape.hidden = static_cast<double>(table.integer(row, "hidden", 1));
    shape.inter = static_cast<double>(table.integer(row, "inter", 1));
    const auto top_k = static_cast<std::int32_t>(table.integer(row, "topk", 1));
    const auto experts = static_cast<std::int32_t>(table.integer(row, "experts", 1));
    const auto ep = static_cast<std::int32_t>(table.integer(row, "ep", 1));
    const std::string& dtype = table.text(row, "dtype");
    auto routing = routing_named(table.text(row, "dist"));
    if (dtype != "fp8_block") {
      result.skipped.push_back({row, "wide-EP experts in " + dtype + " are not modelled"});
    } else if (!computes_in(system.profile(), workloads::Dtype::Fp8Block)) {
      result.skipped.push_back({row, system.name() + " has no tensor cores for " + dtype});
    } else if (!routing) {
      result.skipped.push_back({row, "routing \"" + table.text(row, "dist") + "\" is not modelled"});
    } else if (experts % ep != 0 || top_k > experts) {
      result.skipped.push_back({row, "experts that the ranks do not divide, or fewer than top-k"});
    } else {
      // In "uniform" rows of the context phase experts are filled 128 tokens at a time.
      if (routing->kind == ExpertRouting::Kind::Even && shape.phase == WideEpPhase::Context)
        routing->kind = ExpertRouting::Kind::EvenInTiles;
      shape.local_experts = experts / ep;
      const auto loads = cache.loads(*routing, {shape.tokens, top_k, experts, ep, lowering::kWideEpTile});
      Sample sample;
      sample.row = row;
      sample.measured_us = measured;
      sample.kernel = lowering::wide_ep_kernel(shape.phase);
      sample.group = table.text(row, "phase") + ", " + table.text(row, "dist");
      sample.size = static_cast<double>(shape.tokens);
      sample.size_unit = "tokens";
      sample.error_class = routing->kind == ExpertRouting::Kind::PowerLaw ? "skewed" : "";
      sample.predict = [shape, loads](const System& on, const profile::KernelParameters& parameters) {
        lowering::WideEpShape routed = shape;
        return over_draws(*loads, [&](const RankLoads& rank) {
          routed.loads = rank.experts;
          return lowering::wide_ep_cost(routed, on.profile(), parameters).total;
        });
      };
      result.samples.push_back(std::move(sample));
    }
  }
  return result;
}

Part fit_if(bool fit) { return fit ? Part::Fit : Part::Test; }

// Tokens of all ranks at which the rows of a phase and EP degree are cut in two.
std::int64_t middle(const Table& table, std::size_t row) {
  const std::int64_t ep = table.integer(row, "ep", 1);
  return table.text(row, "phase") == "context" ? 512 * ep : 16 * ep;
}

}  // namespace

TableKind wide_ep_kind() {
  TableKind kind;
  kind.name = "C3";
  kind.title = "wide-EP experts";
  kind.columns = {"phase", "dtype", "hidden", "inter", "topk", "experts", "ep", "dist", "tokens_global", "latency_us"};
  kind.time_columns = {"latency_us"};
  const auto models = lowering::wide_ep_kernels();
  kind.kernels.assign(models.begin(), models.end());
  kind.read = read;
  kind.splits = {
      {"ep < 16, larger held out", Split::By::Shape,
       [](const System&, const Table& t, std::size_t row) { return fit_if(t.integer(row, "ep") < 16); }},
      {"tokens <= 512 per rank (context) or 16 (decode), more held out", Split::By::Size,
       [](const System&, const Table& t, std::size_t row) {
         return fit_if(t.integer(row, "tokens_global") <= middle(t, row));
       }},
      {"uniform, power law held out", Split::By::Shape,
       [](const System&, const Table& t, std::size_t row) { return fit_if(t.text(row, "dist") == "uniform"); }},
  };
  kind.goal_median = 0.06;
  kind.goal_p90 = 0.20;
  kind.limits =
      "With few tokens one power-law draw decides how many experts of the timed rank are hit: the interval over draws "
      "says so. The context phase begins with some 300 to 400 us of launches by the host, which differ between hosts "
      "and do not follow from a datasheet.";
  return kind;
}

}  // namespace moesim::validation
