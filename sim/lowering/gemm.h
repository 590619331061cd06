// Dense matrix product C[m, n] = A[m, k] B[k, n] (bf16 out) on one GPU; A are activations, B weights.
//
//   t = t0 + quantise + min over tiles (bm, bn) and splits s of
//         smooth_max_p( smooth_max_8( waves * unit, 2 m n k / sustained ), stream ) + [s > 1] (cs + 4 m n s / HBM)
//   waves  = ceil( ceil(m/bm) ceil(n/bn) s / SMs )
//   unit   = smooth_max_4( 2 bm bn ks SMs / peak, (rows of A and B) ks b / fetch, lambda ks ) + 2 bm bn / store
//   stream = bytes of A, B and C over HBM (bw), or over L2 (l2) as far as they are still there
//
// ks = k / s; b: bytes of an operand's element; lambda in cycles. A wave of tiles fills every SM once. An SM multiplies
// at its share of the datasheet's tensor rate (in fp8_block at the share `promote` of it: partial sums are scaled on
// the ordinary cores), fetches its operands through L2, and its loop over k advances by no less than lambda per
// element; then it stores the tile. An SM's paths grow with its tensor rate: fetch = r * bf16 rate, store likewise, so
// that both carry over between architectures. Two SMs may share the fetched columns of a tile pair (thread-block
// clusters of Hopper, CTA pairs of Blackwell). Split-K has its own launch and its partial sums go through memory.
//
// All SMs together sustain the share F (W / TFLOP/s)^power of the tensor rate, in terms of useful work: the power limit
// counts operations, not waves, so a last wave of few tiles runs at a higher clock, and a chip with less power per
// operation clocks down further.
//
// Operands that outgrow L2 are read again: tiles are walked in strips of 4 tiles, so A is read once per strip of
// columns (or B once per strip of rows, what is less) unless it fits into the share `keep` of L2:
//   traffic = B + A (1 + (strips - 1) x^2 / (1 + x^2)),  x = A / (keep L2)
// Products in fp8, fp8_block and nvfp4 quantise A first: `quantise` is qb bytes per element over HBM, a share qf of it
// where A fits into the share ql of L2.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "calibration/profile/kernel_parameters.h"
#include "calibration/profile/profile.h"
#include "sim/lowering/kernel_cost.h"
#include "workloads/model.h"

namespace moesim::lowering {

struct GemmShape {
  std::int64_t m = 0, n = 0, k = 0;
  workloads::Dtype dtype = workloads::Dtype::Bf16;
  // How many weight matrices of this size are multiplied in turn before the same one comes again, as in a benchmark's
  // loop; 0: so many that none is still in L2, as in a model of many layers.
  double weights_in_turn = 0;
};

// One kernel per number format: "gemm_bf16", "gemm_fp8", "gemm_fp8_block", "gemm_nvfp4".
std::span<const profile::KernelModel> gemm_kernels();
std::string_view gemm_kernel(workloads::Dtype dtype);

// `parameters` are those of gemm_kernel(shape.dtype). Never decreasing in m, n and k; a product of no elements costs
// the launch. Throws InputError if the GPU does not compute in that format.
KernelCost gemm_cost(const GemmShape& shape, const profile::Profile& profile,
                     const profile::KernelParameters& parameters);

}  // namespace moesim::lowering
