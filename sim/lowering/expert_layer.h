// Which cost model a rank's experts have, and the Compute it gives: the calibrated kernels on the real tokens per
// expert (grouped_gemm.h, wide_ep_experts.h), or the roofline of the datasheet (expert_compute.h).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/lowering/expert_compute.h"

namespace moesim::lowering {

enum class ExpertKernel : std::uint8_t { Roofline, GroupedGemm, WideEp, Fused };
std::string_view to_string(ExpertKernel kernel);  // "roofline", "grouped_gemm", "wide_ep", "fused"
std::vector<std::string> expert_kernels();        // the names that a scenario may give, "auto" first

// "auto": wide EP (DeepGEMM) for fp8_block weights behind a DeepEP kernel, else the grouped GEMM; the roofline where
// the profile is ideal. `Fused` is that of the communication kernel "fused_moe", which needs 4-bit weights, and no
// other can be chosen there. Throws InputError, without place, for an unknown name or what cannot be.
ExpertKernel choose_expert_kernel(std::string_view name, const workloads::Model& model, const profile::Profile& profile,
                                  std::string_view communication);

// What the results should say of it.
std::string expert_assumption(ExpertKernel kernel, const workloads::Model& model, const profile::Profile& profile,
                              std::string_view phase);

struct ExpertLayer {
  const workloads::Model* model = nullptr;
  const profile::Profile* profile = nullptr;
  ExpertKernel kernel = ExpertKernel::Roofline;
  std::string_view phase;                  // "decode", "prefill"
  std::int64_t tokens = 0;                 // of all ranks together
  std::int32_t slots = 0;                  // of all ranks
  profile::KernelParameters parameters{};  // expert_parameters() of the above, looked up once for all ranks
};

// What the kernel's cost needs of the profile; nothing for the roofline.
profile::KernelParameters expert_parameters(const ExpertLayer& layer);

// `slot_tokens`: selections that each slot of the rank computes. `gpu` may be null with an ideal profile.
ExpertTask expert_layer_compute(std::string name, const ExpertLayer& layer, std::span<const std::int32_t> slot_tokens,
                                const GpuResources* gpu);

// The shared expert on a rank's own tokens: two matrix products (gemm.h), or the roofline.
ExpertTask shared_expert_compute(std::string name, const ExpertLayer& layer, std::int64_t own_tokens,
                                 const GpuResources* gpu);

// Half-width of the 80 % interval of log(true / predicted) of the kernel's time; 0 for the roofline, which has none.
double expert_log_error(const ExpertLayer& layer);
double shared_expert_log_error(const ExpertLayer& layer);

}  // namespace moesim::lowering
