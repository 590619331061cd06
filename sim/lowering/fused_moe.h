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
#include "sim/lowering/expert_compute.h"
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

struct FusedEvents {
  std::vector<engine::EventId> start;  // [ranks]
  std::vector<engine::EventId> done;   // [ranks] all results of the rank's own tokens are back
  engine::EventId end;                 // done on all ranks
  std::vector<double> tensor_share;    // [ranks] of the time of its experts, as ExpertTask has it
};

// The tasks' names begin with layer.name: "NAME: start", "NAME: dispatch", "NAME: experts", "NAME: combine".
// start[rank] waits for after[rank] (all at time 0 if empty). `gpus` (by rank, or empty): whose SMs and HBM it takes.
FusedEvents fused_moe(Network& network, const FusedMoe& layer, const profile::Profile& profile,
                      const profile::KernelParameters& parameters, std::span<const engine::EventId> after = {},
                      std::span<const GpuResources> gpus = {});

}  // namespace moesim::lowering
