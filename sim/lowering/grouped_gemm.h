// The expert layer of one rank as a framework runs it: sort the tokens by expert, permute, two grouped matrix products
// with the activation between, weighted sum. Every rank is given the tokens of all ranks together.
//
//   t = t0 + lambda (hidden + inter) + [T > 256] t3 + tE * local experts
//     + experts(tile)                                                (expert_loads.h)
//     + ct * selections * (2 hidden + 3 inter) / HBM rate
//     + cg * 2 bytes * T * hidden / (20 GB/s * SMs)
//     + cm * 2 bytes * tokens of the fullest expert * hidden / (20 GB/s)
//
// lambda: the serial loops over k that one tile cannot avoid. t3: up to 256 tokens one fused kernel sorts them, beyond
// three kernels do (TensorRT-LLM). tE: experts looked at whether they have tokens or not. ct: bytes moved per element
// of a selection: permute, quantise, activate, sum. cg: every rank scans and writes all tokens T, also those of others.
// cm: an expert's tokens are laid out by its own share of the thread blocks, 1/cm SMs' worth, so that the fullest
// expert is waited for however few tokens the others have. The tile of rows is chosen from the *mean* tokens per
// expert, before the routing is known: a power of two from 16 to 256 for bf16 and fp8 (CUTLASS pairs two groups of 128
// rows), to 128 for formats with scales per block. A skewed routing then needs several tiles where the mean needs one.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "calibration/profile/kernel_parameters.h"
#include "calibration/profile/profile.h"
#include "sim/lowering/expert_loads.h"
#include "sim/lowering/kernel_cost.h"
#include "workloads/model.h"

namespace moesim::lowering {

struct GroupedGemmShape {
  std::int64_t tokens = 0;  // T, of all ranks together
  std::int32_t top_k = 0;
  std::int32_t experts = 0;        // of all ranks
  std::int32_t local_experts = 0;  // of this rank
  ExpertMatrices matrices;
  std::vector<ExpertLoad> loads;  // of this rank's experts
  double fullest = 0;             // tokens of its fullest expert
};

// One parameter set per number format of the products: "grouped_gemm_bf16", "_fp8", "_fp8_block", "_nvfp4". Weights of
// fewer bits than what is multiplied (int4 or mxfp4 with bf16) take the set of the products.
std::span<const profile::KernelModel> grouped_gemm_kernels();
std::string_view grouped_gemm_kernel(workloads::Dtype multiply);

// Rows of a tile, from tokens * top_k / experts.
double grouped_gemm_tile(std::int64_t tokens, std::int32_t top_k, std::int32_t experts, workloads::Dtype multiply);

// No tokens cost the launch t0. Throws InputError if the GPU does not compute in that format.
KernelCost grouped_gemm_cost(const GroupedGemmShape& shape, const profile::Profile& profile,
                             const profile::KernelParameters& parameters);

}  // namespace moesim::lowering
