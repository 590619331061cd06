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
  experts.parameters = lowering::expert_parameters(experts);
  return experts;
}

}  // namespace

void add_fused(const LayerPlace& place, const MoeLayer& layer, std::span<const EventId> ready, MoeLayerTasks& tasks) {
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
  place.graph->begin(kFusedPhase, place.layer, place.ranks);
  const std::size_t first = place.graph->graph().computes().size();
  const auto events = lowering::fused_moe(*place.network, fused, *layer.profile, parameters, ready, place.gpus);
  for (std::size_t rank = 0; rank < events.start.size(); ++rank)
    tasks.fused.push_back({{}, events.start[rank], events.done[rank]});
  const auto& computes = place.graph->graph().computes();
  const std::string experts = fused.name + ": experts";
  for (std::size_t i = first; i < computes.size(); ++i)
    if (computes[i].name == experts)
      place.graph->set_tensor_share(i, events.tensor_share[static_cast<std::size_t>(computes[i].rank)]);
}

namespace {

lowering::TokenExchange exchange_of(const LayerPlace& place, const MoeLayer& layer, bool combine) {
  return {combine ? "combine" : "dispatch",
          layer.traffic,
          combine,
          combine ? layer.combine_bytes : layer.dispatch_bytes,
          layer.tokens,
          layer.model,
          layer.profile,
          place.gpus};
}

}  // namespace

void add_dispatch(const LayerPlace& place, const MoeLayer& layer, std::span<const EventId> begin,
                  MoeLayerTasks& tasks) {
  place.graph->begin("dispatch", place.layer, place.ranks);
  tasks.dispatch_part = place.graph->parts().size() - 1;
  tasks.dispatch = layer.kernel->lower(*place.network, exchange_of(place, layer, false), begin);
}

void add_combine(const LayerPlace& place, const MoeLayer& layer, std::span<const EventId> ready, MoeLayerTasks& tasks) {
  place.graph->begin("combine", place.layer, place.ranks);
  tasks.combine_part = place.graph->parts().size() - 1;
  tasks.combine = layer.kernel->lower(*place.network, exchange_of(place, layer, true), ready);
}

void add_experts(const LayerPlace& place, const MoeLayer& layer, std::span<const EventId> ready, MoeLayerTasks& tasks) {
  place.graph->begin("experts", place.layer, place.ranks);
  const lowering::ExpertLayer experts = expert_layer(layer);
  const std::vector<std::span<const std::int32_t>> slots = slots_of_ranks(layer);
  for (std::size_t rank = 0; rank < slots.size(); ++rank) {
    std::vector<EventId> after{tasks.dispatch.events.done(static_cast<std::int32_t>(rank))};
    if (!ready.empty()) after.push_back(ready[rank]);
    tasks.experts.push_back(place.graph->add(
        lowering::expert_layer_compute("experts on " + place.name(rank), experts, slots[rank], place.gpu(rank)),
        after));
  }
}

double moe_phase_error(const MoeLayer& layer, const topology::Router& router, const std::string& phase) {
  if (phase == "experts") return std::expm1(lowering::expert_log_error(expert_layer(layer)));
  if (phase == "shared expert") return std::expm1(lowering::shared_expert_log_error(expert_layer(layer)));
  if (phase == kFusedPhase || phase == "dispatch")
    return std::expm1(layer.kernel->log_error(router, *layer.profile, false));
  if (phase == "combine") return std::expm1(layer.kernel->log_error(router, *layer.profile, true));
  return 0;
}

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

std::unique_ptr<MoeLayerGraph> lower_moe_layer(const MoeLayer& layer, const topology::Router& router) {
  auto result = std::make_unique<MoeLayerGraph>(layer, router);
  StepGraph& step = result->step;
  const LayerPlace place{&step, &step.network(), step.gpus(), -1, {}};
  MoeLayerTasks& tasks = result->tasks;
  const auto ranks = static_cast<std::size_t>(layer.traffic->ranks);
  const auto of_rank = [](const std::vector<EventId>& events, std::size_t rank) {
    return events.empty() ? std::span<const EventId>() : std::span<const EventId>(&events[rank], 1);
  };

  std::vector<EventId> begin;  // [GPUs], or empty
  step.begin("late start");
  for (std::size_t rank = 0; rank < layer.start_delay.size(); ++rank) {
    engine::Compute delay{"late start on " + place.name(rank),
                          static_cast<std::int32_t>(rank),
                          layer.start_delay[rank],
                          base::Duration(0),
                          {}};
    begin.push_back(step.graph().add_compute(std::move(delay), {}).done);
  }
  const bool fused = layer.kernel->fused();
  if (!fused) add_dispatch(place, layer, begin, tasks);
  std::vector<EventId> shared;  // [GPUs], or empty
  if (layer.model->shared_experts > 0) {
    step.begin("shared expert");
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      tasks.shared_experts.push_back(
          step.add(lowering::shared_expert_compute("shared expert on " + place.name(rank), expert_layer(layer),
                                                   layer.tokens_per_gpu, place.gpu(rank)),
                   of_rank(begin, rank)));
      shared.push_back(tasks.shared_experts.back().done);
    }
  }
  if (fused) {
    add_fused(place, layer, shared.empty() ? begin : shared, tasks);
    return result;
  }
  add_experts(place, layer, shared, tasks);
  std::vector<EventId> ready;
  for (const engine::ComputeEvents& events : tasks.experts) ready.push_back(events.done);
  add_combine(place, layer, ready, tasks);
  return result;
}

std::vector<std::string> moe_layer_assumptions(const MoeLayer& layer) {
  std::vector<std::string> notes = layer.kernel->assumptions();
  notes.push_back(lowering::expert_assumption(layer.expert_kernel, *layer.model, *layer.profile, layer.phase));
  if (layer.model->latent_width > 0)
    notes.push_back("experts work on " + std::to_string(layer.model->latent_width) + " of " +
                    std::to_string(layer.model->hidden) +
                    " elements; the projections to and from that width take no time");
  return notes;
}

results::Result simulate_moe_layer(const MoeLayer& layer, const engine::Engine& engine, double tolerance) {
  return simulate_moe_layer(layer, topology::Router(*layer.cluster), {&engine, tolerance, false});
}

results::Result simulate_moe_layer(const MoeLayer& layer, const topology::Router& router, const LayerRun& run) {
  const auto lowered = lower_moe_layer(layer, router);
  const engine::TaskGraph& graph = lowered->step.graph();
  const results::Timeline timeline = run.engine->run(graph);
  // A batched run moves completions by at most a few tolerances. A bound claims no schedule that links could carry.
  if (timeline.engine != "bound") engine::check_guard_rails(graph, timeline, 1e-9 + 4 * run.tolerance);
  const results::Timeline bound = engine::make_engine("bound")->run(graph);

  results::Result result;
  result.cluster = layer.cluster->name;
  result.model = layer.model->name;
  result.gpus = layer.traffic->ranks;
  result.tokens_per_gpu = layer.tokens_per_gpu;
  result.total = timeline.makespan;
  result.lower_bound = bound.makespan;
  if (result.total > base::Duration(0))
    result.tokens_per_s_per_gpu = static_cast<double>(layer.tokens_per_gpu) / result.total.value();
  explain(layer, *lowered, timeline, result);
  for (results::Phase& phase : result.phases) phase.error = moe_phase_error(layer, router, phase.name);
  set_total_interval(result);
  if (run.measure_batching && timeline.tolerance > 0)
    result.batching = measure_batching(graph, timeline, result.gpus, timeline.tolerance);

  for (const std::string& note : moe_layer_assumptions(layer)) result.assumptions.push_back(note);
  if (!layer.profile->ideal && layer.model->shared_experts > 0) {
    result.assumptions.push_back(
        "the shared expert runs on a GPU's own tokens while they travel, as two matrix products");
  }
  for (const std::string& note : layer.profile->assumptions()) result.assumptions.push_back(note);
  for (const std::string& note : layer.cluster->notes) result.assumptions.push_back(note);
  result.provenance.engine = timeline.engine;
  result.provenance.tolerance = timeline.tolerance;
  return result;
}

}  // namespace moesim::step
