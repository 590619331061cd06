#include "sim/lowering/expert_layer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "sim/lowering/fused_moe.h"
#include "sim/lowering/gemm.h"
#include "sim/lowering/grouped_gemm.h"
#include "sim/lowering/wide_ep_experts.h"

namespace moesim::lowering {
namespace {

constexpr std::array<std::string_view, 4> kNames{"roofline", "grouped_gemm", "wide_ep", "fused"};

WideEpPhase wide_ep_phase(std::string_view phase) {
  return phase == "decode" ? WideEpPhase::Decode : WideEpPhase::Context;
}

std::string_view parameter_set(ExpertKernel kernel, const workloads::Model& model, std::string_view phase) {
  if (kernel == ExpertKernel::Fused) return fused_moe_kernels().front().name;
  return kernel == ExpertKernel::WideEp ? wide_ep_kernel(wide_ep_phase(phase)) : grouped_gemm_kernel(model.weights);
}

std::vector<ExpertLoad> loads_of(std::span<const std::int32_t> slot_tokens) {
  std::vector<std::int32_t> sorted(slot_tokens.begin(), slot_tokens.end());
  std::sort(sorted.begin(), sorted.end());
  std::vector<ExpertLoad> loads;
  for (const std::int32_t tokens : sorted) {
    if (tokens == 0) continue;
    if (loads.empty() || loads.back().tokens != tokens) loads.push_back({static_cast<double>(tokens), 0});
    loads.back().experts += 1;
  }
  return loads;
}

KernelCost cost_of(const ExpertLayer& layer, std::span<const std::int32_t> slot_tokens) {
  const workloads::Model& model = *layer.model;
  const auto local = static_cast<std::int32_t>(slot_tokens.size());
  if (layer.kernel == ExpertKernel::WideEp) {
    const WideEpShape shape{wide_ep_phase(layer.phase),
                            layer.tokens,
                            local,
                            static_cast<double>(model.dispatch_width()),
                            static_cast<double>(model.expert_ffn),
                            loads_of(slot_tokens)};
    return wide_ep_cost(shape, *layer.profile, layer.parameters);
  }
  const ExpertMatrices matrices{static_cast<double>(model.dispatch_width()), static_cast<double>(model.expert_ffn),
                                workloads::bits_per_weight(model.expert_weights) / 8, model.weights};
  auto loads = loads_of(slot_tokens);
  const double fullest = loads.empty() ? 0 : loads.back().tokens;
  const GroupedGemmShape shape{layer.tokens, model.top_k, layer.slots, local, matrices, std::move(loads), fullest};
  return grouped_gemm_cost(shape, *layer.profile, layer.parameters);
}

}  // namespace

std::string_view to_string(ExpertKernel kernel) { return kNames[static_cast<std::size_t>(kernel)]; }

std::vector<std::string> expert_kernels() {
  std::vector<std::string> names{"auto"};
  names.insert(names.end(), kNames.begin(), kNames.end() - 1);  // "fused" comes with its communication kernel
  return names;
}

ExpertKernel choose_expert_kernel(std::string_view name, const workloads::Model& model, const profile::Profile& profile,
                                  std::string_view communication) {
  const bool block = model.weights == workloads::Dtype::Fp8Block;
  if (communication == "fused_moe") {
    if (name != "auto" && name != "fused")
      throw base::InputError("", "", "experts are part of the communication kernel \"fused_moe\"", "\"auto\"");
    const bool fp4 = model.expert_weights == workloads::WeightFormat::Nvfp4 ||
                     model.expert_weights == workloads::WeightFormat::Mxfp4;
    if (!fp4 || model.expert_matrices != 3) {
      throw base::InputError("", "", "communication kernel \"fused_moe\" multiplies gated experts in fp4 by fp8 tokens",
                             "a model with nvfp4 or mxfp4 weights, or another communication kernel");
    }
    return ExpertKernel::Fused;
  }
  if (name == "auto") {
    // The calibrated kernels multiply by three matrices: experts without a gate have two.
    if (profile.ideal || model.expert_matrices != 3) return ExpertKernel::Roofline;
    return block && communication.starts_with("deepep") ? ExpertKernel::WideEp : ExpertKernel::GroupedGemm;
  }
  const auto* const found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end() || name == "fused") {
    throw base::InputError(
        "", "", "unknown expert kernel \"" + std::string(name) + "\"" + base::suggestion(name, expert_kernels()),
        "auto, roofline, grouped_gemm or wide_ep");
  }
  const auto kernel = static_cast<ExpertKernel>(found - kNames.begin());
  if (kernel != ExpertKernel::Roofline && profile.ideal)
    throw base::InputError("", "", "expert kernel \"" + std::string(name) + "\" needs a GPU's profile", "\"roofline\"");
  if (kernel != ExpertKernel::Roofline && model.expert_matrices != 3) {
    throw base::InputError(
        "", "",
        "expert kernel \"" + std::string(name) + "\" is of experts with a gate; those of " + model.name + " have none",
        "\"roofline\"");
  }
  if (kernel == ExpertKernel::WideEp && !block) {
    throw base::InputError("", "",
                           "expert kernel \"wide_ep\" multiplies fp8_block weights, the model's are " +
                               std::string(workloads::to_string(model.weights)),
                           "\"grouped_gemm\"");
  }
  return kernel;
}

std::string expert_assumption(ExpertKernel kernel, const workloads::Model& model, const profile::Profile& profile,
                              std::string_view phase) {
  if (profile.ideal) return "profile \"ideal\": experts take no time";
  if (kernel == ExpertKernel::Roofline) return "experts: roofline of the datasheet (raw tensor rate and HBM bandwidth)";
  const std::string_view set = parameter_set(kernel, model, phase);
  const auto parameters = profile.kernel(set);
  constexpr std::array<std::string_view, 3> kFrom{"fitted on this GPU", "fitted on its family",
                                                  "fitted on other families"};
  return "experts: kernel " + std::string(set) + ", " +
         std::string(kFrom[static_cast<std::size_t>(parameters.relation())]) + ", 80 % interval +- " +
         base::format_number(100 * std::expm1(parameters.log_error()), 2) + " %";
}

profile::KernelParameters expert_parameters(const ExpertLayer& layer) {
  if (layer.kernel == ExpertKernel::Roofline || layer.profile->ideal) return {};
  return layer.profile->kernel(parameter_set(layer.kernel, *layer.model, layer.phase));
}

ExpertTask expert_layer_compute(std::string name, const ExpertLayer& layer, std::span<const std::int32_t> slot_tokens,
                                const GpuResources* gpu) {
  std::int64_t selections = 0;
  std::int32_t hit = 0;
  for (const std::int32_t tokens : slot_tokens) {
    selections += tokens;
    hit += tokens > 0 ? 1 : 0;
  }
  if (layer.kernel == ExpertKernel::Roofline || layer.profile->ideal || selections == 0)
    return expert_compute(std::move(name), *layer.model, {selections, hit}, *layer.profile, gpu);
  return compute_task(std::move(name), cost_of(layer, slot_tokens), *layer.profile, gpu);
}

ExpertTask shared_expert_compute(std::string name, const ExpertLayer& layer, std::int64_t own_tokens,
                                 const GpuResources* gpu) {
  const workloads::Model& model = *layer.model;
  if (layer.kernel == ExpertKernel::Roofline || layer.profile->ideal || own_tokens == 0) {
    return expert_compute(std::move(name), model, {own_tokens * model.shared_experts, model.shared_experts, true},
                          *layer.profile, gpu);
  }
  const workloads::Dtype dtype = multiplied_in(model.other_weights);
  const auto parameters = layer.profile->kernel(gemm_kernel(dtype));
  const std::int64_t inter = std::int64_t{model.shared_width()} * model.shared_experts;
  const KernelCost up = gemm_cost({own_tokens, 2 * inter, model.hidden, dtype}, *layer.profile, parameters);
  const KernelCost down = gemm_cost({own_tokens, model.hidden, inter, dtype}, *layer.profile, parameters);
  return compute_task(std::move(name), up + down, *layer.profile, gpu);
}

double expert_log_error(const ExpertLayer& layer) { return layer.parameters.log_error(); }

double shared_expert_log_error(const ExpertLayer& layer) {
  if (layer.kernel == ExpertKernel::Roofline || layer.profile->ideal) return 0;
  return layer.profile->kernel(gemm_kernel(multiplied_in(layer.model->other_weights))).log_error();
}

}  // namespace moesim::lowering
