// The experts' feed-forward work of one rank as a Compute: a roofline on the datasheet's rates.
#pragma once

#include <string>
#include <vector>

#include "base/units.h"
#include "calibration/profile/profile.h"
#include "sim/engine/task_graph.h"
#include "sim/lowering/kernel_cost.h"
#include "workloads/model.h"

namespace moesim::lowering {

// The SMs and HBM of one GPU. With the profile "ideal" there are none and every Compute takes no time.
struct GpuResources {
  std::int32_t rank = 0;
  engine::ResourceId sms;
  engine::ResourceId hbm;
};
std::vector<GpuResources> add_gpu_resources(engine::TaskGraph& graph, const profile::Profile& profile,
                                            const std::vector<std::string>& gpu_names);  // by rank

struct ExpertWork {
  std::int64_t selections = 0;   // (token, expert) pairs computed on this rank
  std::int32_t experts_hit = 0;  // experts whose weights must be read
  bool shared = false;           // shared experts, not routed ones
};

// Roofline: launch + max(flops / tensor rate, bytes / HBM bandwidth), where
//   flops = selections * matrices * 2 * width * ffn       (matrices: gate, up and down, or without gate 2)
//   bytes = experts_hit * matrices * width * ffn * stored bytes of a weight + selections * 2 * (2 * width + matrices *
//           ffn)
// (bf16 activations: width in and out, gate and up written, their product read). width and ffn are the model's
// dispatch_width() and expert_ffn, of shared experts hidden and shared_width(). No work costs nothing.
struct ExpertCost {
  base::Flops flops;
  base::Bytes bytes;
  base::Duration tensor_time;
  base::Duration hbm_time;
};
ExpertCost expert_cost(const workloads::Model& model, const ExpertWork& work, const profile::Profile& profile);

// A Compute, and the share of its time (without launch) for which the tensor cores alone would be needed.
struct ExpertTask {
  engine::Compute compute;
  double tensor_share = 0;
};
ExpertTask expert_compute(std::string name, const workloads::Model& model, const ExpertWork& work,
                          const profile::Profile& profile, const GpuResources* gpu);

// A calibrated kernel as a Compute: it occupies all SMs, and of HBM the share of its time that its bytes need. `gpu`
// may be null for a cost of nothing.
ExpertTask compute_task(std::string name, const KernelCost& cost, const profile::Profile& profile,
                        const GpuResources* gpu);

// The profile's dense rate for weights of this type; an InputError names the types that the GPU has.
base::FlopRate tensor_rate(const profile::Profile& profile, workloads::Dtype dtype);

}  // namespace moesim::lowering
