#include "sim/lowering/grouped_gemm.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace moesim::lowering {
namespace {

using profile::ParameterSpec;
using profile::Scope;
using workloads::Dtype;

constexpr std::int64_t kFusedSort = 256;  // tokens that the fused sorting kernel takes
constexpr double kSmallestTile = 16, kLargestTile = 256, kLargestBlockTile = 128;
constexpr double kBytesPerElement = 2;  // of a token, bf16

constexpr std::array<ParameterSpec, 11> declare(double t0, double memory, double overlap, double copied,
                                                double scan_sigma) {
  return {{
      {"t0", "us", t0, 5, 80, 0.2, Scope::Family, "launches of the layer's kernels, tokens or not"},
      {"t3", "us", 8, 0.3, 40, 0.3, Scope::Family, "three sorting kernels instead of one beyond 256 tokens"},
      {"tE", "us", 0.3, 0.02, 2, scan_sigma, Scope::Family, "looking at one local expert, with or without tokens"},
      {"lambda", "ns", 0.5, 0.02, 3, 0.5, Scope::Family, "serial loop of one tile, per element of k"},
      {"bw", "1", memory, 0.4, 0.98, 0.05, Scope::Family, "share of the datasheet's HBM rate of streamed weights"},
      {"F", "1", 0.9, 0.6, 0.95, 0.03, Scope::Family, "share of the datasheet's tensor rate that full tiles reach"},
      {"p", "1", overlap, 1.2, 12, 0.05, Scope::Shared, "how well an expert's weights and arithmetic overlap"},
      {"rho", "1", 0.15, 0.005, 1, 0.5, Scope::Family, "cost of an expert's weights for each further tile of rows"},
      {"ct", "B", copied, 0.3, 40, 0.7, Scope::Family, "HBM traffic per element of a selection: permute to sum"},
      {"cg", "1", 1.5, 0.2, 30, 0.1, Scope::Family, "passes of the SMs over all tokens of all ranks"},
      {"cm", "1", 0.03, 0.0005, 1, 1.5, Scope::Family, "passes of one SM over the tokens of the fullest expert"},
  }};
}
// The layer scans its experts alike in every format. Where only models of 8 experts are measured the scan cannot be
// told from the launch, so that it stays near what models of 256 experts show for fp8_block and nvfp4.
constexpr double kFewExperts = 0.15, kManyExperts = 0.5;
constexpr auto kBf16 = declare(23, 0.9, 1.5, 4, kFewExperts);
constexpr auto kFp8 = declare(23, 0.9, 1.5, 4, kFewExperts);
constexpr auto kFp8Block = declare(23, 0.9, 4, 8, kManyExperts);
constexpr auto kNvfp4 = declare(28, 0.7, 3, 8, kManyExperts);

constexpr std::string_view kMechanism =
    "Launches, a scan of the local experts, the serial loop of a tile; per expert with tokens the smooth maximum of "
    "streaming its weights and of its tiles' arithmetic, with the weights read again (from L2) for every further tile; "
    "the tile is chosen from the mean tokens per expert before the routing is known; memory traffic per selection and "
    "SM work per token of all ranks and, serially, per token of the fullest expert; three sorting kernels instead of "
    "one beyond 256 tokens.";

const std::array<profile::KernelModel, 4> kModels{{
    {"grouped_gemm_bf16", kMechanism, kBf16},
    {"grouped_gemm_fp8", kMechanism, kFp8},
    {"grouped_gemm_fp8_block", kMechanism, kFp8Block},
    {"grouped_gemm_nvfp4", kMechanism, kNvfp4},
}};

}  // namespace

std::span<const profile::KernelModel> grouped_gemm_kernels() { return kModels; }

std::string_view grouped_gemm_kernel(Dtype multiply) { return kModels[static_cast<std::size_t>(multiply)].name; }

double grouped_gemm_tile(std::int64_t tokens, std::int32_t top_k, std::int32_t experts, Dtype multiply) {
  MOESIM_CHECK(experts > 0, "no experts");
  const double mean = static_cast<double>(tokens) * top_k / experts;
  const double largest = multiply == Dtype::Bf16 || multiply == Dtype::Fp8 ? kLargestTile : kLargestBlockTile;
  double tile = kSmallestTile;
  while (tile < mean && tile < largest) tile *= 2;
  return tile;
}

KernelCost grouped_gemm_cost(const GroupedGemmShape& shape, const profile::Profile& profile,
                             const profile::KernelParameters& parameters) {
  MOESIM_CHECK(shape.tokens >= 0 && shape.local_experts >= 0, "negative sizes of an expert layer");
  KernelCost cost;
  cost.launch = base::Duration(parameters.at("t0") * 1e-6);
  cost.total = cost.launch;
  if (shape.tokens == 0) return cost;
  const ExpertMatrices& matrices = shape.matrices;
  const ExpertsTime experts = experts_time(
      matrices, shape.loads, grouped_gemm_tile(shape.tokens, shape.top_k, shape.experts, matrices.multiply),
      {parameters.at("bw"), parameters.at("F"), parameters.at("rho"), parameters.at("p")}, profile);
  const auto tokens = static_cast<double>(shape.tokens);
  const double fixed = (shape.tokens > kFusedSort ? parameters.at("t3") : 0) * 1e-6 +
                       parameters.at("tE") * 1e-6 * shape.local_experts +
                       parameters.at("lambda") * 1e-9 * (matrices.hidden + matrices.inter);
  const double copied = parameters.at("ct") * experts.selections * (2 * matrices.hidden + 3 * matrices.inter) /
                        profile.hbm_bandwidth.value.value();
  const double scanned = parameters.at("cg") * sm_copy_time(kBytesPerElement * tokens * matrices.hidden, profile);
  const double in_turn = parameters.at("cm") * kBytesPerElement * shape.fullest * matrices.hidden / kBytesPerSm;
  cost.tensor = base::Duration(experts.tensor);
  cost.memory = base::Duration(experts.memory + copied);
  cost.total = cost.launch + base::Duration(fixed + experts.total + copied + scanned + in_turn);
  return cost;
}

}  // namespace moesim::lowering
