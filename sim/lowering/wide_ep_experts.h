// The expert layer of wide expert parallelism (SGLang with DeepGEMM): tokens have been dispatched, each rank computes
// those of its own experts in fp8_block. Two kernels:
//
// Decode, a masked layout launched from a graph: every local expert's slots are gone through.
//   t = t0 + tE * local experts + experts(128) + ct * selections * (2 hidden + 3 inter) / HBM rate
// Context, a contiguous layout with quantisation and permutation launched one by one: the host's launches hide the
// GPU's work until that takes longer.
//   t = t0 (+)_pf ( tE * local experts + experts(128) + ct ... + cg * 2 bytes * T * hidden / (20 GB/s * SMs) )
// experts(tile): see expert_loads.h; (+)_pf: smooth_max of kernel_cost.h. T counts the tokens of all ranks.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "calibration/profile/kernel_parameters.h"
#include "calibration/profile/profile.h"
#include "sim/lowering/expert_loads.h"
#include "sim/lowering/kernel_cost.h"

namespace moesim::lowering {

enum class WideEpPhase : std::uint8_t { Decode, Context };

inline constexpr double kWideEpTile = 128;  // rows of DeepGEMM's tile, and the alignment of its layouts

struct WideEpShape {
  WideEpPhase phase = WideEpPhase::Decode;
  std::int64_t tokens = 0;  // T, of all ranks together
  std::int32_t local_experts = 0;
  double hidden = 0, inter = 0;
  std::vector<ExpertLoad> loads;  // of this rank's experts
};

// "wide_ep_decode", "wide_ep_context"
std::span<const profile::KernelModel> wide_ep_kernels();
std::string_view wide_ep_kernel(WideEpPhase phase);

// No tokens cost the launch t0. Throws InputError if the GPU does not compute in fp8.
KernelCost wide_ep_cost(const WideEpShape& shape, const profile::Profile& profile,
                        const profile::KernelParameters& parameters);

}  // namespace moesim::lowering
