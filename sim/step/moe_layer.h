// One MoE layer on a cluster: dispatch, experts, combine. A receiver starts its experts when its tokens are in; a GPU
// sends results back when its experts are done; the shared expert runs on a GPU's own tokens while they travel.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "calibration/profile/profile.h"
#include "results/result.h"
#include "sim/engine/engine.h"
#include "sim/lowering/communication.h"
#include "sim/lowering/expert_layer.h"
#include "sim/step/step_graph.h"
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

// The ranks of a graph that a layer runs on.
struct LayerPlace {
  StepGraph* graph = nullptr;
  lowering::Network* network = nullptr;          // of these ranks
  std::span<const lowering::GpuResources> gpus;  // by rank; empty with an ideal profile
  std::int32_t layer = -1;                       // for the parts' names
  std::vector<std::int32_t> ranks;               // of the cluster, by rank; empty: all of them

  const lowering::GpuResources* gpu(std::size_t rank) const { return gpus.empty() ? nullptr : &gpus[rank]; }
  const std::string& name(std::size_t rank) const {
    return graph->names()[ranks.empty() ? rank : static_cast<std::size_t>(ranks[rank])];
  }
};

// A layer's tasks. Exchanges: done(rank) when the rank has all that it receives.
struct MoeLayerTasks {
  lowering::LoweredExchange dispatch;
  lowering::LoweredExchange combine;
  std::vector<engine::ComputeEvents> experts;         // [ranks]
  std::vector<engine::ComputeEvents> shared_experts;  // [ranks], empty without a shared expert
  std::vector<engine::ComputeEvents> fused;           // [ranks] of a fused kernel, which stands for the first three
  std::size_t dispatch_part = 0, combine_part = 0;    // of the graph
};

// Each adds one part of the layer. `begin` and `ready`: [ranks] when a rank may start, or empty (time 0). Experts wait
// for the dispatch, too.
void add_dispatch(const LayerPlace& place, const MoeLayer& layer, std::span<const engine::EventId> begin,
                  MoeLayerTasks& tasks);
void add_experts(const LayerPlace& place, const MoeLayer& layer, std::span<const engine::EventId> ready,
                 MoeLayerTasks& tasks);
void add_combine(const LayerPlace& place, const MoeLayer& layer, std::span<const engine::EventId> ready,
                 MoeLayerTasks& tasks);
void add_fused(const LayerPlace& place, const MoeLayer& layer, std::span<const engine::EventId> ready,
               MoeLayerTasks& tasks);

// The layer alone, on all GPUs of its cluster.
struct MoeLayerGraph {
  MoeLayerGraph(const MoeLayer& layer, const topology::Router& router) : step(*layer.cluster, *layer.profile, router) {}
  StepGraph step;
  MoeLayerTasks tasks;
};
// `router` must outlive the result.
std::unique_ptr<MoeLayerGraph> lower_moe_layer(const MoeLayer& layer, const topology::Router& router);

// Half-width of the 80 % interval of a phase's times, as a fraction; 0: none known.
double moe_phase_error(const MoeLayer& layer, const topology::Router& router, const std::string& phase);
// What results should say of the layer's kernels.
std::vector<std::string> moe_layer_assumptions(const MoeLayer& layer);

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
