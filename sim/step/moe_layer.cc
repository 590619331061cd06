#include "sim/step/moe_layer.h"

#include "sim/engine/guard_rails.h"
#include "sim/lowering/expert_compute.h"
#include "sim/step/explain.h"

namespace moesim::step {

using engine::EventId;

std::vector<std::string> gpu_names(const topology::Cluster& cluster) {
  std::vector<std::string> names;
  for (const topology::DeviceId gpu : cluster.gpus) names.push_back(cluster.graph.device(gpu).name);
  return names;
}

MoeLayerGraph lower_moe_layer(const MoeLayer& layer, const topology::Router& router) {
  MoeLayerGraph result;
  engine::TaskGraph& graph = result.graph;
  const workloads::Traffic& traffic = *layer.traffic;
  const workloads::Model& model = *layer.model;
  lowering::Network network(graph, router);
  const std::vector<std::string> names = gpu_names(*layer.cluster);
  const auto gpus = lowering::add_gpu_resources(graph, *layer.profile, names);
  const auto gpu = [&](std::int32_t rank) { return gpus.empty() ? nullptr : &gpus[static_cast<std::size_t>(rank)]; };

  result.dispatch = layer.kernel->lower(network, {"dispatch", &traffic, false, layer.dispatch_bytes}, {});
  std::vector<EventId> ready;  // [GPUs] when each may start to send results back
  for (std::int32_t rank = 0; rank < traffic.ranks; ++rank) {
    const std::string on_gpu = " on " + names[static_cast<std::size_t>(rank)];
    std::vector<EventId> after{result.dispatch.done(rank)};
    if (model.shared_experts > 0) {
      const lowering::ExpertWork work{layer.tokens_per_gpu * model.shared_experts, model.shared_experts};
      const auto shared = graph.add_compute(
          lowering::expert_compute("shared expert" + on_gpu, model, work, *layer.profile, gpu(rank)), {});
      result.shared_experts.push_back(shared);
      after.push_back(shared.done);
    }
    const auto r = static_cast<std::size_t>(rank);
    const lowering::ExpertWork work{traffic.rank_selections[r], traffic.rank_slots_hit[r]};
    result.experts.push_back(
        graph.add_compute(lowering::expert_compute("experts" + on_gpu, model, work, *layer.profile, gpu(rank)), after));
    ready.push_back(result.experts.back().done);
  }
  result.combine = layer.kernel->lower(network, {"combine", &traffic, true, layer.combine_bytes}, ready);
  result.ports = network.port_resources();
  return result;
}

results::Result simulate_moe_layer(const MoeLayer& layer, const engine::Engine& engine, double tolerance) {
  const topology::Router router(*layer.cluster);
  const MoeLayerGraph tasks = lower_moe_layer(layer, router);
  const results::Timeline timeline = engine.run(tasks.graph);
  // A batched run moves completions by at most a few tolerances.
  engine::check_guard_rails(tasks.graph, timeline, 1e-9 + 4 * tolerance);
  const results::Timeline bound = engine::make_engine("bound")->run(tasks.graph);

  results::Result result;
  result.cluster = layer.cluster->name;
  result.model = layer.model->name;
  result.gpus = layer.traffic->ranks;
  result.tokens_per_gpu = layer.tokens_per_gpu;
  result.total = timeline.makespan;
  result.lower_bound = bound.makespan;
  if (result.total > base::Duration(0))
    result.tokens_per_s_per_gpu = static_cast<double>(layer.tokens_per_gpu) / result.total.value();
  explain(layer, tasks, router.graph(), timeline, result);

  for (const std::string& note : layer.kernel->assumptions()) result.assumptions.push_back(note);
  if (layer.profile->ideal) {
    result.assumptions.push_back("profile \"ideal\": experts take no time");
  } else {
    result.assumptions.push_back("experts: roofline of the datasheet (raw tensor rate and HBM bandwidth)");
    if (layer.model->shared_experts > 0)
      result.assumptions.push_back("the shared expert runs on a GPU's own tokens while they travel");
  }
  for (const std::string& note : layer.profile->assumptions()) result.assumptions.push_back(note);
  for (const std::string& note : layer.cluster->notes) result.assumptions.push_back(note);
  result.provenance.engine = timeline.engine;
  result.provenance.tolerance = timeline.tolerance;
  return result;
}

}  // namespace moesim::step
