// C2: kernel, dtype, hidden, inter, topk, experts, tp, ep, dist, tokens_global, latency_us.
#include <array>

#include "sim/lowering/grouped_gemm.h"
#include "validation/expert_routing.h"
#include "validation/formats.h"
#include "validation/kinds.h"

namespace moesim::validation {
namespace {

using calibration::Table;
using workloads::Dtype;

// Weights of fewer bits are widened to the format of the products; 4-bit weights carry a scale per 32 elements (one
// byte, mxfp4) or per 128 (two bytes, int4).
struct Format {
  std::string_view name;
  double weight_bytes;
  Dtype multiply;
};
constexpr std::array<Format, 6> kWeightOnly{{
    {"int8_wo", 1, Dtype::Bf16},
    {"int4_wo", 0.5 + 2.0 / 128, Dtype::Bf16},
    {"w4a16_mxfp4", 0.5 + 1.0 / 32, Dtype::Bf16},
    {"w4afp8", 0.5 + 2.0 / 128, Dtype::Fp8},
    {"w4a8_mxfp4_fp8", 0.5 + 1.0 / 32, Dtype::Fp8},
    {"w4a8_mxfp4_mxfp8", 0.5 + 1.0 / 32, Dtype::Fp8},
}};

std::optional<Format> expert_format(std::string_view name) {
  if (const auto dtype = format_named(name)) return Format{name, workloads::bits_per_weight(*dtype) / 8, *dtype};
  for (const Format& format : kWeightOnly)
    if (format.name == name) return format;
  return std::nullopt;
}

Samples read(const Table& table, const System& system) {
  Samples result;
  RoutingCache cache;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const double measured = table.time_us(row, "latency_us");
    lowering::GroupedGemmShape shape;
    shape.tokens = table.integer(row, "tokens_global", 1);
    shape.top_k = static_cast<std::int32_t>(table.integer(row, "topk", 1));
    shape.experts = static_cast<std::int32_t>(table.integer(row, "experts", 1));
    const auto ep = static_cast<std::int32_t>(table.integer(row, "ep", 1));
    shape.matrices.hidden = static_cast<double>(table.integer(row, "hidden", 1));
    shape.matrices.inter =
        static_cast<double>(table.integer(row, "inter", 1)) / static_cast<double>(table.integer(row, "tp", 1));
    const std::string& dtype = table.text(row, "dtype");
    const auto format = expert_format(dtype);
    const auto routing = routing_named(table.text(row, "dist"));
    if (!format) {
      result.skipped.push_back({row, "grouped GEMM in " + dtype + " is not modelled"});
    } else if (!computes_in(system.profile(), format->multiply)) {
      result.skipped.push_back({row, system.name() + " has no tensor cores for " + dtype});
    } else if (!routing) {
      result.skipped.push_back({row, "routing \"" + table.text(row, "dist") + "\" is not modelled"});
    } else if (shape.experts % ep != 0 || shape.top_k > shape.experts) {
      result.skipped.push_back({row, "experts that the ranks do not divide, or fewer than top-k"});
    } else {
      shape.local_experts = shape.experts / ep;
      shape.matrices.weight_bytes = format->weight_bytes;
      shape.matrices.multiply = format->multiply;
      const double tile = lowering::grouped_gemm_tile(shape.tokens, shape.top_k, shape.experts, format->multiply);
      const auto loads = cache.loads(*routing, {shape.tokens, shape.top_k, shape.experts, ep, tile});
      Sample sample;
      sample.row = row;
      sample.measured_us = measured;
      sample.kernel = lowering::grouped_gemm_kernel(format->multiply);
      sample.group = dtype + ", " + table.text(row, "dist");
      sample.size = static_cast<double>(shape.tokens);
      sample.size_unit = "tokens";
      sample.error_class = routing->kind == ExpertRouting::Kind::PowerLaw ? "skewed" : "";
      sample.predict = [shape, loads](const System& on, const profile::KernelParameters& parameters) {
        lowering::GroupedGemmShape routed = shape;
        return over_draws(*loads, [&](const RankLoads& rank) {
          routed.loads = rank.experts;
          routed.fullest = rank.fullest;
          return lowering::grouped_gemm_cost(routed, on.profile(), parameters).total;
        });
      };
      result.samples.push_back(std::move(sample));
    }
  }
  return result;
}

Part fit_if(bool fit) { return fit ? Part::Fit : Part::Test; }

}  // namespace

TableKind grouped_gemm_kind() {
  TableKind kind;
  kind.name = "C2";
  kind.title = "grouped expert GEMM";
  kind.columns = {"kernel", "dtype", "hidden", "inter",         "topk",      "experts",
                  "tp",     "ep",    "dist",   "tokens_global", "latency_us"};
  kind.time_columns = {"latency_us"};
  const auto models = lowering::grouped_gemm_kernels();
  kind.kernels.assign(models.begin(), models.end());
  kind.read = read;
  kind.splits = {
      {"ep * tp < 8, larger held out", Split::By::Shape,
       [](const System&, const Table& t, std::size_t row) {
         return fit_if(t.integer(row, "ep") * t.integer(row, "tp") < 8);
       }},
      {"tokens <= 1024, more held out", Split::By::Size,
       [](const System&, const Table& t, std::size_t row) { return fit_if(t.integer(row, "tokens_global") <= 1024); }},
      {"8 experts, others held out", Split::By::Shape,
       [](const System&, const Table& t, std::size_t row) { return fit_if(t.integer(row, "experts") == 8); }},
      {"256 experts, others held out", Split::By::Shape,
       [](const System&, const Table& t, std::size_t row) { return fit_if(t.integer(row, "experts") == 256); }},
      {"balanced, power law held out", Split::By::Shape,
       [](const System&, const Table& t, std::size_t row) { return fit_if(t.text(row, "dist") == "balanced"); }},
  };
  kind.goal_median = 0.07;
  kind.goal_p90 = 0.20;
  kind.limits =
      "nvfp4 streams its weights at one of two rates, a factor of two apart, depending on the tactic that the tuner "
      "picked for each tp and ep; nothing in a row tells which, so the middle is predicted and the interval is wide. "
      "fp8_block is another kernel on Blackwell (DeepGEMM) than on Hopper and does not transfer between them; bf16 and "
      "fp8 are the same kernel on both and do. Fitted to 1024 tokens or fewer, the rate at many tokens is not "
      "identified: arithmetic hides behind the weights there. "
      "Hopper's fp8_block slows down beyond 32768 selections of wide experts (tp 1, ep 1 or 2), where buffers outgrow "
      "every cache: not modelled. bf16 and fp8 are measured with 8 experts only. Weights of 4 or 8 bits that are "
      "widened to bf16 or fp8 (int4_wo, w4afp8, w4a16_mxfp4 and the like) are measured nowhere: their bytes and the "
      "products' format are all that is known, and the work of widening is not in the prediction. A power-law row is "
      "one draw: its loads are known only as a distribution.";
  return kind;
}

}  // namespace moesim::validation
