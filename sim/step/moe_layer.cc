#include "sim/step/moe_layer.h"

#include <cmath>

#include "base/error.h"
#include "sim/engine/guard_rails.h"
#include "sim/lowering/expert_compute.h"
#include "sim/lowering/fused_moe.h"
#include "sim/step/batching.h"
#include "sim/step/explain.h"

namespace moesim::step {

using engine::EventId;

std::vector<std::string> gpu_names(const topology::Cluster& cluster) {
  std::vector<std::string> names;
  for (const topology::DeviceId gpu : cluster.gpus) names.push_back(cluster.graph.device(gpu).name);
  return names;
}

namespace {

constexpr double kNegligible = 0.01;  // of the total: a part without an interval may be so much

// The tokens of each rank's slots, contiguous by rank.
std::vector<std::span<const std::int32_t>> slots_of_ranks(const MoeLayer& layer) {
  const workloads::Traffic& traffic = *layer.traffic;
  std::vector<std::span<const std::int32_t>> slots(static_cast<std::size_t>(traffic.ranks));
  if (layer.placement == nullptr) {
    MOESIM_CHECK(layer.profile->ideal, "experts of unknown placement take no time only with an ideal profile");
    return slots;
  }
  const std::vector<std::int32_t>& rank_of = layer.placement->slot_rank;
  const std::span<const std::int32_t> all(traffic.slot_tokens);
  for (std::size_t begin = 0; begin < rank_of.size();) {
    std::size_t end = begin;
    while (end < rank_of.size() && rank_of[end] == rank_of[begin]) ++end;
    slots[static_cast<std::size_t>(rank_of[begin])] = all.subspan(begin, end - begin);
    begin = end;
  }
  return slots;
}

lowering::ExpertLayer expert_layer(const MoeLayer& layer) {
  lowering::ExpertLayer experts;
  experts.model = layer.model;
  experts.profile = layer.profile;
  experts.kernel = layer.expert_kernel;
  experts.phase = layer.phase;
  experts.tokens = layer.tokens_per_gpu * layer.traffic->ranks;
  experts.slots = static_cast<std::int32_t>(layer.traffic->slot_tokens.size());
  return experts;
}

// Shared expert, then the fused kernel, which takes all SMs.
void lower_fused(const MoeLayer& layer, const std::vector<EventId>& ready, std::span<const lowering::GpuResources> gpus,
                 lowering::Network& network, MoeLayerGraph& result) {
  const workloads::Model& model = *layer.model;
  lowering::FusedMoe fused;
  fused.name = kFusedPhase;
  fused.ranks = layer.traffic->ranks;
  fused.local_experts = layer.tokens->experts_per_rank;
  fused.copies = layer.tokens->copies;
  fused.dispatch_bytes = layer.dispatch_bytes.value();
  fused.combine_bytes = layer.combine_bytes.value();
  fused.matrices = {static_cast<double>(model.dispatch_width()), static_cast<double>(model.expert_ffn),
                    workloads::bits_per_weight(model.expert_weights) / 8, workloads::Dtype::Fp8};
  for (const std::span<const std::int32_t> slots : slots_of_ranks(layer)) {
    std::vector<lowering::ExpertLoad> loads;
    for (const std::int32_t tokens : slots)
      if (tokens > 0) loads.push_back({static_cast<double>(tokens), 1});
    fused.loads.push_back(lowering::merge_loads(loads, lowering::kFusedTile));
  }
  const auto& parameters = layer.profile->kernel(lowering::fused_moe_kernels().front().name);
  const auto events = lowering::fused_moe(network, fused, *layer.profile, parameters, ready, gpus);
  for (std::size_t rank = 0; rank < events.start.size(); ++rank)
    result.fused.push_back({{}, events.start[rank], events.done[rank]});
  const auto& computes = result.graph.computes();
  result.tensor_share.resize(computes.size(), 0);
  const std::string experts = fused.name + ": experts";
  for (std::size_t i = 0; i < computes.size(); ++i)
    if (computes[i].name == experts)
      result.tensor_share[i] = events.tensor_share[static_cast<std::size_t>(computes[i].rank)];
}

void set_phase_intervals(const MoeLayer& layer, const topology::Router& router, results::Result& result) {
  for (results::Phase& phase : result.phases) {
    if (phase.name == "experts") phase.error = std::expm1(lowering::expert_log_error(expert_layer(layer)));
    if (phase.name == "shared expert") phase.error = std::expm1(lowering::shared_expert_log_error(expert_layer(layer)));
    if (phase.name == kFusedPhase) phase.error = std::expm1(layer.kernel->log_error(router, *layer.profile, false));
    if (phase.name == "dispatch") phase.error = std::expm1(layer.kernel->log_error(router, *layer.profile, false));
    if (phase.name == "combine") phase.error = std::expm1(layer.kernel->log_error(router, *layer.profile, true));
  }
}

}  // namespace

void set_total_interval(results::Result& result) {
  double square = 0;
  bool all = true;
  for (const results::Phase& phase : result.phases) {
    const double share = phase.critical / result.total;
    all = all && (share < kNegligible || phase.error > 0);
    square += share * phase.error * share * phase.error;
  }
  result.error = all ? std::sqrt(square) : 0;
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

  const auto exchange = [&](const char* name, bool reversed, base::Bytes bytes) {
    return lowering::TokenExchange{name, &traffic, reversed, bytes, layer.tokens, &model, layer.profile, gpus};
  };
  const lowering::ExpertLayer experts = expert_layer(layer);
  const std::vector<std::span<const std::int32_t>> slots = slots_of_ranks(layer);

  std::vector<EventId> begin;  // [GPUs], or empty
  for (std::size_t rank = 0; rank < layer.start_delay.size(); ++rank) {
    engine::Compute delay{"late start on " + names[rank],
                          static_cast<std::int32_t>(rank),
                          layer.start_delay[rank],
                          base::Duration(0),
                          {}};
    begin.push_back(graph.add_compute(std::move(delay), {}).done);
  }
  const auto add_experts = [&](lowering::ExpertTask task, std::span<const EventId> waits) {
    result.tensor_share.resize(graph.computes().size(), 0);
    result.tensor_share.push_back(task.tensor_share);
    return graph.add_compute(std::move(task.compute), waits);
  };
  const bool fused = layer.kernel->fused();
  if (!fused) result.dispatch = layer.kernel->lower(network, exchange("dispatch", false, layer.dispatch_bytes), begin);
  std::vector<EventId> ready;  // [GPUs] when each may start to send results back, or its fused kernel
  for (std::int32_t rank = 0; rank < traffic.ranks; ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    const std::string on_gpu = " on " + names[r];
    std::vector<EventId> after;
    if (!fused) after.push_back(result.dispatch.events.done(rank));
    if (model.shared_experts > 0) {
      const auto shared = add_experts(
          lowering::shared_expert_compute("shared expert" + on_gpu, experts, layer.tokens_per_gpu, gpu(rank)),
          begin.empty() ? std::span<const EventId>() : std::span<const EventId>(&begin[r], 1));
      result.shared_experts.push_back(shared);
      after.push_back(shared.done);
    }
    if (fused) {
      ready.push_back(!after.empty() ? after.front() : begin.empty() ? engine::kOrigin : begin[r]);
      continue;
    }
    result.experts.push_back(
        add_experts(lowering::expert_layer_compute("experts" + on_gpu, experts, slots[r], gpu(rank)), after));
    ready.push_back(result.experts.back().done);
  }
  if (fused)
    lower_fused(layer, ready, gpus, network, result);
  else
    result.combine = layer.kernel->lower(network, exchange("combine", true, layer.combine_bytes), ready);
  result.ports = network.port_resources();
  return result;
}

results::Result simulate_moe_layer(const MoeLayer& layer, const engine::Engine& engine, double tolerance) {
  return simulate_moe_layer(layer, topology::Router(*layer.cluster), {&engine, tolerance, false});
}

results::Result simulate_moe_layer(const MoeLayer& layer, const topology::Router& router, const LayerRun& run) {
  const MoeLayerGraph tasks = lower_moe_layer(layer, router);
  const results::Timeline timeline = run.engine->run(tasks.graph);
  // A batched run moves completions by at most a few tolerances. A bound claims no schedule that links could carry.
  if (timeline.engine != "bound") engine::check_guard_rails(tasks.graph, timeline, 1e-9 + 4 * run.tolerance);
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
  set_phase_intervals(layer, router, result);
  set_total_interval(result);
  if (run.measure_batching && timeline.tolerance > 0)
    result.batching = measure_batching(tasks.graph, timeline, result.gpus, timeline.tolerance);

  for (const std::string& note : layer.kernel->assumptions()) result.assumptions.push_back(note);
  result.assumptions.push_back(
      lowering::expert_assumption(layer.expert_kernel, *layer.model, *layer.profile, layer.phase));
  if (!layer.profile->ideal && layer.model->shared_experts > 0) {
    result.assumptions.push_back(
        "the shared expert runs on a GPU's own tokens while they travel, as two matrix products");
  }
  if (layer.model->latent_width > 0)
    result.assumptions.push_back("experts work on " + std::to_string(layer.model->latent_width) + " of " +
                                 std::to_string(layer.model->hidden) +
                                 " elements; the projections to and from that width take no time");
  for (const std::string& note : layer.profile->assumptions()) result.assumptions.push_back(note);
  for (const std::string& note : layer.cluster->notes) result.assumptions.push_back(note);
  result.provenance.engine = timeline.engine;
  result.provenance.tolerance = timeline.tolerance;
  return result;
}

}  // namespace moesim::step
