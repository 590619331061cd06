// Dense matrix product C[m, n] = A[m, k] B[k, n] (bf16 out) on one GPU.
//
//   t = t0 + qz m k + min over tiles (bm, bn) and splits s of
//         smooth_max_p( waves * unit, HBM ) + [s > 1] (cs + 4 m n s / HBM rate)
//   waves = ceil( ceil(m/bm) ceil(n/bn) s / SMs )
//   unit  = smooth_max_4( 2 bm bn ks SMs / (F peak), (min(m, bm) + min(n, bn)) ks b / r, lambda ks ) + tau,  ks = k / s
//   HBM   = ((m + n) k b + 2 m n) / (bw * HBM rate)
//
// b: bytes of an operand's element. A wave of tiles fills every SM once; an SM multiplies at its share of the tensor
// rate, fetches its operands through L2 at r, and a tile's loop over k has a serial latency lambda per element; tau is
// a tile's prologue and epilogue. Split-K has its own launch and its partial sums go through memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "calibration/profile/kernel_parameters.h"
#include "calibration/profile/profile.h"
#include "sim/lowering/kernel_cost.h"
#include "workloads/model.h"

namespace moesim::lowering {

struct GemmShape {
  std::int64_t m = 0, n = 0, k = 0;
  workloads::Dtype dtype = workloads::Dtype::Bf16;
};

// One kernel per number format: "gemm_bf16", "gemm_fp8", "gemm_fp8_block", "gemm_nvfp4".
std::span<const profile::KernelModel> gemm_kernels();
std::string_view gemm_kernel(workloads::Dtype dtype);

// `parameters` are those of gemm_kernel(shape.dtype). Throws InputError if the GPU does not compute in that format.
KernelCost gemm_cost(const GemmShape& shape, const profile::Profile& profile,
                     const profile::KernelParameters& parameters);

}  // namespace moesim::lowering
