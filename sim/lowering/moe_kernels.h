// The small kernels around the experts of a MoE layer on one GPU: RMS norm, gate with top-k, permute (tokens packed by
// destination before dispatch) and unpermute-reduce (weighted sum of a token's results after combine).
//
//   t = t0 + smooth_max_p( bytes / (bw HBM), work, operations / (F peak) )
//
//   kernel             bytes                                   work, cycles of all SMs together     operations
//   rms_norm           T h (2 read + 2 written) 2 B            T x                                  -
//   gate_topk          T h 2 B + E h 2 B + T (E 4 B + k 8 B)   T k x (E / 32 + 10)                  2 T h E
//   permute            T h b + T k (h b + 8 B)                 T k x                                -
//   unpermute_reduce   T k (h 2 B + 8 B) + T h 2 B             T k x                                -
//
// T tokens, h hidden size, E experts, k selections per token, b bytes of a packed element. A norm adds the residual
// stream and writes it back. The gate's warp finds the largest of E / 32 scores per lane k times, each with a reduction
// over 32 lanes (10 instructions).
//
// Nothing of this is measured for the shipped profiles: their parameters are tagged `assumed`. `calibrate measure` fits
// permute and unpermute_reduce into a profile of its own.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/units.h"
#include "calibration/profile/kernel_parameters.h"
#include "calibration/profile/profile.h"
#include "sim/lowering/kernel_cost.h"

namespace moesim::lowering {

struct TokenShape {
  std::int64_t tokens = 0;
  std::int64_t hidden = 0;
  std::int64_t experts = 0;
  std::int64_t topk = 0;
  base::Bytes packed_element{2};  // of what permute writes: 2 bf16, 1 fp8
};

// "rms_norm", "gate_topk", "permute", "unpermute_reduce".
std::span<const profile::KernelModel> moe_kernels();

// The assumed parameters of a kernel named above, with an 80 % interval of a factor of 1.5.
profile::KernelParameters assumed_moe_parameters(std::string_view kernel);

// The profile's parameters of any kernel; the assumed ones of a kernel named above that it has none of.
profile::KernelParameters moe_parameters(std::string_view kernel, const profile::Profile& profile);

// Each takes the parameters of its kernel. None decreases with the tokens; no tokens cost the launch. With the profile
// "ideal" all take no time.
KernelCost rms_norm_cost(const TokenShape& shape, const profile::Profile& profile,
                         const profile::KernelParameters& parameters);
KernelCost gate_topk_cost(const TokenShape& shape, const profile::Profile& profile,
                          const profile::KernelParameters& parameters);
KernelCost permute_cost(const TokenShape& shape, const profile::Profile& profile,
                        const profile::KernelParameters& parameters);
KernelCost unpermute_reduce_cost(const TokenShape& shape, const profile::Profile& profile,
                                 const profile::KernelParameters& parameters);

}  // namespace moesim::lowering
