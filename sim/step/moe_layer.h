// One MoE layer on a cluster: dispatch, experts, combine. A receiver starts its experts when its tokens are in; a GPU
// sends results back when its experts are done; the shared expert runs on a GPU's own tokens while they travel.
#pragma once

#include <string>
#include <vector>

#include "calibration/profile/profile.h"
#include "results/result.h"
#include "sim/engine/engine.h"
#include "sim/lowering/communication.h"
#include "sim/lowering/expert_layer.h"
#include "topology/cluster.h"
#include "workloads/model.h"
#include "workloads/traffic.h"

namespace moesim::step {

struct MoeLayer {
  const topology::Cluster* cluster = nullptr;
  const workloads::Model* model = nullptr;
  const profile::Profile* profile = nullptr;
  const workloads::Traffic* traffic = nullptr;  // of as many ranks as the cluster has GPUs
  const lowering::CommunicationKernel* kernel = nullptr;
  std::int64_t tokens_per_gpu = 0;
  base::Bytes dispatch_bytes;  // per token and receiving GPU
  base::Bytes combine_bytes;
  // For what is not ideal:
  const workloads::Placement* placement = nullptr;  // of the experts; needed unless the profile is ideal
  const lowering::MoeTokens* tokens = nullptr;
  lowering::ExpertKernel expert_kernel = lowering::ExpertKernel::Roofline;
  std::string phase = "decode";
  std::vector<base::Duration> start_delay{};  // [GPUs] when each is ready for the layer; empty: all at 0
};

// Device names of the cluster's GPUs, by rank: how results name them.
std::vector<std::string> gpu_names(const topology::Cluster& cluster);

// The layer as tasks, and where its parts are.
struct MoeLayerGraph {
  engine::TaskGraph graph;
  lowering::LoweredExchange dispatch;
  lowering::LoweredExchange combine;
  std::vector<engine::ComputeEvents> experts;         // [GPUs]
  std::vector<double> tensor_share;                   // [computes] lowering::ExpertTask; 0 for those without
  std::vector<engine::ComputeEvents> shared_experts;  // [GPUs], empty without a shared expert
  std::vector<engine::ComputeEvents> fused;           // [GPUs] of a fused kernel, which stands for the first three
  std::vector<lowering::Network::PortResource> ports;
};
// `router` must outlive the result.
MoeLayerGraph lower_moe_layer(const MoeLayer& layer, const topology::Router& router);

// The 80 % interval of the total from those of the phases on the critical path, taken as independent; none if one of
// them has none.
void set_total_interval(results::Result& result);

struct LayerRun {
  const engine::Engine* engine = nullptr;
  double tolerance = 0;           // of `engine`
  bool measure_batching = false;  // with a tolerance: run a sample exactly too, see batching.h
};
// Runs it and fills everything of Result that follows from the layer: times, phases, causes, links, assumptions.
// The guard rails are checked. `router` is of the layer's cluster; several layers may be run at once.
results::Result simulate_moe_layer(const MoeLayer& layer, const topology::Router& router, const LayerRun& run);
// The same for one layer alone.
results::Result simulate_moe_layer(const MoeLayer& layer, const engine::Engine& engine, double tolerance);

}  // namespace moesim::step
