#include "sim/lowering/wide_ep_experts.h"

#include <array>

#include "base/error.h"

namespace moesim::lowering {
namespace {

using profile::ParameterSpec;
using profile::Scope;

constexpr double kBytesPerElement = 2;  // of a token, bf16

constexpr ParameterSpec kScan{"tE", "us", 0.5,           0.02,
                              3,    0.5,  Scope::Family, "one local expert's slots, with or without tokens"};
constexpr ParameterSpec kMemory{"bw", "1",  0.86,          0.5,
                                0.98, 0.05, Scope::Family, "share of the datasheet's HBM rate of streamed weights"};
constexpr ParameterSpec tensor(double sigma) {
  return {"F", "1", 0.8, 0.4, 0.95, sigma, Scope::Family, "share of the datasheet's tensor rate that full tiles reach"};
}
constexpr ParameterSpec kOverlap{
    "p", "1", 3, 1.2, 8, 0.3, Scope::Shared, "how well an expert's weights and arithmetic overlap"};
constexpr ParameterSpec copied(double start) {
  return {"ct", "B", start, 0.3, 40, 0.7, Scope::Family, "HBM traffic per element of a selection"};
}

constexpr std::array kDecode{ParameterSpec{"t0", "us", 25, 10, 50, 0.2, Scope::Family, "launch of the masked kernels"},
                             kScan,
                             kMemory,
                             tensor(0.05),
                             kOverlap,
                             copied(4)};
constexpr std::array kContext{
    ParameterSpec{"t0", "us", 350, 100, 800, 0.3, Scope::Family, "the host's launches of all kernels of the layer"},
    kScan,
    kMemory,
    tensor(0.1),
    kOverlap,
    copied(4),
    ParameterSpec{"cg", "1", 1.5, 0.1, 30, 0.5, Scope::Family, "passes of the SMs over all tokens of all ranks"},
    ParameterSpec{"pf", "1", 2.5, 1.2, 8, 0.3, Scope::Shared, "how well launches hide the work"}};

const std::array<profile::KernelModel, 2> kModels{{
    {"wide_ep_decode",
     "Launch, every local expert's slots, and per expert with tokens the smooth maximum of streaming its weights and "
     "of "
     "its tiles' arithmetic.",
     kDecode},
    {"wide_ep_context",
     "The smooth maximum of the host's launches and the GPU's work: local experts, per expert with tokens weights "
     "against arithmetic in tiles of 128 rows, memory traffic per selection, SM work per token of all ranks.",
     kContext},
}};

}  // namespace

std::span<const profile::KernelModel> wide_ep_kernels() { return kModels; }

std::string_view wide_ep_kernel(WideEpPhase phase) { return kModels[static_cast<std::size_t>(phase)].name; }

KernelCost wide_ep_cost(const WideEpShape& shape, const profile::Profile& profile,
                        const profile::KernelParameters& parameters) {
  MOESIM_CHECK(shape.tokens >= 0 && shape.local_experts >= 0, "negative sizes of an expert layer");
  KernelCost cost;
  cost.launch = base::Duration(parameters.at("t0") * 1e-6);
  cost.total = cost.launch;
  if (shape.tokens == 0) return cost;
  constexpr auto kDtype = workloads::Dtype::Fp8Block;
  const ExpertMatrices matrices{shape.hidden, shape.inter, workloads::bits_per_weight(kDtype) / 8, kDtype};
  const ExpertsTime experts = experts_time(matrices, shape.loads, kWideEpTile,
                                           {parameters.at("bw"), parameters.at("F"), 0, parameters.at("p")}, profile);
  const double copied = parameters.at("ct") * experts.selections * (2 * shape.hidden + 3 * shape.inter) /
                        profile.hbm_bandwidth.value.value();
  const double work = parameters.at("tE") * 1e-6 * shape.local_experts + experts.total + copied;
  cost.tensor = base::Duration(experts.tensor);
  cost.memory = base::Duration(experts.memory + copied);
  if (shape.phase == WideEpPhase::Decode) {
    cost.total = cost.launch + base::Duration(work);
  } else {
    const double scanned = parameters.at("cg") *
                           sm_copy_time(kBytesPerElement * static_cast<double>(shape.tokens) * shape.hidden, profile);
    cost.total = base::Duration(smooth_max(cost.launch.value(), work + scanned, parameters.at("pf")));
  }
  return cost;
}

}  // namespace moesim::lowering
