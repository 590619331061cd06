#include "sim/lowering/expert_compute.h"

#include <algorithm>

#include "base/error.h"

namespace moesim::lowering {

std::vector<GpuResources> add_gpu_resources(engine::TaskGraph& graph, const profile::Profile& profile,
                                            const std::vector<std::string>& gpu_names) {
  std::vector<GpuResources> gpus;
  if (profile.ideal) return gpus;
  const double hbm = profile.hbm_bandwidth.value.value();
  for (std::size_t rank = 0; rank < gpu_names.size(); ++rank) {
    const std::string& gpu = gpu_names[rank];
    gpus.push_back({static_cast<std::int32_t>(rank),
                    graph.add_resource({"SMs of " + gpu, engine::ResourceKind::Sms, profile.sms.value, {}}),
                    graph.add_resource({"HBM of " + gpu, engine::ResourceKind::Hbm, hbm, {}})});
  }
  return gpus;
}

base::FlopRate tensor_rate(const profile::Profile& profile, workloads::Dtype dtype) {
  using workloads::Dtype;
  if (dtype == Dtype::Bf16) return profile.bf16.value;
  const auto& rate = dtype == Dtype::Nvfp4 ? profile.fp4 : profile.fp8;
  if (!rate) {
    throw base::InputError(
        "", "", "GPU \"" + profile.name + "\" does not compute in " + std::string(workloads::to_string(dtype)),
        std::string("model weights in bf16") + (profile.fp8 ? " or fp8" : ""));
  }
  return rate->value;
}

ExpertCost expert_cost(const workloads::Model& model, const ExpertWork& work, const profile::Profile& profile) {
  // Routed experts work on what was dispatched, shared experts on the whole token.
  const double width = work.shared ? model.hidden : model.dispatch_width();
  const double ffn = work.shared ? model.shared_width() : model.expert_ffn;
  const double matrices = model.expert_matrices;
  const workloads::WeightFormat weights = work.shared ? model.other_weights : model.expert_weights;
  const auto selections = static_cast<double>(work.selections);
  ExpertCost cost;
  cost.flops = base::Flops(selections * matrices * 2 * width * ffn);
  cost.bytes = base::Bytes(work.experts_hit * matrices * width * ffn * workloads::bits_per_weight(weights) / 8 +
                           selections * 2 * (2 * width + matrices * ffn));
  if (profile.ideal) return cost;
  cost.tensor_time = cost.flops / tensor_rate(profile, multiplied_in(weights));
  cost.hbm_time = cost.bytes / profile.hbm_bandwidth.value;
  return cost;
}

ExpertTask expert_compute(std::string name, const workloads::Model& model, const ExpertWork& work,
                          const profile::Profile& profile, const GpuResources* gpu) {
  ExpertTask task;
  engine::Compute& compute = task.compute;
  compute.name = std::move(name);
  if (profile.ideal || work.selections == 0) return task;
  const ExpertCost cost = expert_cost(model, work, profile);
  compute.rank = gpu->rank;
  compute.launch = profile.launch.value;
  compute.alone = std::max(cost.tensor_time, cost.hbm_time);
  task.tensor_share = cost.tensor_time / compute.alone;
  // A grouped GEMM occupies all SMs; what it reads per second follows from its own time.
  compute.uses = {{gpu->sms, profile.sms.value}, {gpu->hbm, (cost.bytes / compute.alone).value()}};
  return task;
}

ExpertTask compute_task(std::string name, const KernelCost& cost, const profile::Profile& profile,
                        const GpuResources* gpu) {
  ExpertTask task;
  engine::Compute& compute = task.compute;
  compute.name = std::move(name);
  compute.launch = cost.launch;
  compute.alone = cost.total - cost.launch;
  if (gpu == nullptr) {
    MOESIM_CHECK(cost.total <= base::Duration(0), "work needs a GPU");
    return task;
  }
  compute.rank = gpu->rank;
  if (compute.alone <= base::Duration(0)) return task;
  const double share = std::min(1.0, cost.memory / compute.alone);
  compute.uses = {{gpu->sms, profile.sms.value}};
  if (share > 0) compute.uses.push_back({gpu->hbm, profile.hbm_bandwidth.value.value() * share});
  task.tensor_share = std::min(1.0, cost.tensor / compute.alone);
  return task;
}

}  // namespace moesim::lowering
