// Dispatch, grouped expert GEMM and combine in one kernel, pipelined by chunks of tokens: while the experts work on one
// chunk, the next arrives and the results of the one before travel back.
//
//   start          t0 + tE * local experts
//   dispatch i     a share of the copies, after those of chunk i - 1
//   experts i      a chunk's share of experts(tile) (expert_loads.h), after dispatch i and experts i - 1
//   combine i      the results of the chunk, after experts i
// Links reach `share` of their raw rate in each direction. The rank whose experts have most tokens is the last.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/profile/kernel_parameters.h"
#include "calibration/profile/profile.h"
#include "sim/lowering/expert_loads.h"
#include "sim/lowering/network.h"

namespace moesim::lowering {

inline constexpr double kFusedTile = 32;  // rows to which an expert's tokens are padded

struct FusedMoe {
  std::string name;
  std::int32_t ranks = 0;
  double local_experts = 0;
  std::vector<double> copies;  // [ranks][ranks] distinct tokens, source-major; the diagonal stays
  double dispatch_bytes = 0;   // of one copy
  double combine_bytes = 0;
  ExpertMatrices matrices;
  std::vector<std::vector<ExpertLoad>> loads;  // [ranks]
};

// "fused_moe_fp8_fp4": fp8 activations, fp4 weights.
std::span<const profile::KernelModel> fused_moe_kernels();

// The event of the whole kernel's end on all ranks.
engine::EventId fused_moe(Network& network, const FusedMoe& layer, const profile::Profile& profile,
                          const profile::KernelParameters& parameters);

}  // namespace moesim::lowering
