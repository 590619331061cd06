#include "sim/step/model_step.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/engine/engine.h"
#include "sim/engine/guard_rails.h"
#include "sim/step/batching.h"
#include "sim/step/model_step_tasks.h"

namespace moesim::step {
namespace {

constexpr std::array<const char*, 13> kPhaseOrder{
    "late start", "attention", "TP collective",     "gate",      "dispatch", "shared expert",     "experts",
    kFusedPhase,  "combine",   "latent projection", "dense FFN", "head",     "send to next stage"};

std::size_t order_of(const std::string& phase) {
  return static_cast<std::size_t>(std::find(kPhaseOrder.begin(), kPhaseOrder.end(), phase) - kPhaseOrder.begin());
}

results::Phase sum_of(const Explainer& explainer, const PhaseTasks& tasks) {
  results::Phase sum;
  sum.name = tasks.name;
  for (std::size_t i = 0; i < tasks.computes.size(); ++i) {
    const auto loads = tasks.loads.empty() ? std::span<const double>() : std::span<const double>(tasks.loads[i]);
    add_to_phase(explainer.compute_phase(tasks.name, tasks.computes[i], loads), sum);
  }
  for (const ExchangeOfTokens& exchange : tasks.exchanges)
    add_to_phase(explainer.exchange_phase(tasks.name, exchange), sum);
  if (tasks.exchanges.empty())
    for (const Meeting& meeting : tasks.meetings) add_to_phase(explainer.collective_phase(tasks.name, meeting), sum);
  sum.error = std::expm1(tasks.log_error);
  return sum;
}

// Launches and start-ups on the critical path.
base::Duration launches(const results::Result& result) {
  base::Duration sum;
  for (const results::CriticalStep& cause : result.critical_path) sum += cause.launch;
  return sum;
}

// See results::Serving::waiting.
base::Duration waiting(const ModelStep& step, const ModelStepTasks& tasks, const results::Timeline& timeline) {
  const auto at = [&](engine::EventId event) { return timeline.event[event.index()].value(); };
  std::vector<std::vector<std::int32_t>> stages;
  for (std::int32_t s = 0; s < step.plan.pp; ++s) stages.push_back(workloads::stage_group(step.plan, s));
  std::vector<Stretch> waits, computing;
  for (const PhaseTasks& phase : tasks.phases) {
    for (std::size_t i = 0; i < phase.computes.size(); ++i) {
      const auto& ranks = stages[static_cast<std::size_t>(phase.stage[i])];
      for (std::size_t r = 0; r < ranks.size(); ++r)
        computing.push_back({ranks[r], at(phase.computes[i][r].start), at(phase.computes[i][r].done)});
    }
    for (const Meeting& meeting : phase.meetings) {
      const std::vector<double> late = late_senders(meeting, timeline);
      for (std::size_t r = 0; r < late.size(); ++r)
        if (late[r] > 0) waits.push_back({meeting.ranks[r], at(meeting.start[r]), at(meeting.start[r]) + late[r]});
    }
  }
  return base::Duration(idle_time(waits, std::move(computing)) / step.plan.stage_gpus());
}

bool communicates(const std::string& phase) {
  return phase == "dispatch" || phase == "combine" || phase == "TP collective" || phase == "send to next stage";
}

}  // namespace

std::string_view to_string(Overlap overlap) {
  constexpr std::array<std::string_view, 3> kNames{"none", "shared_expert", "two_batch"};
  return kNames[static_cast<std::size_t>(overlap)];
}

results::Result simulate_model_step(const ModelStep& step, const topology::Router& router, const LayerRun& run) {
  const auto tasks = lower_model_step(step, router);
  const engine::TaskGraph& graph = tasks->graph.graph();
  const results::Timeline timeline = run.engine->run(graph);
  if (timeline.engine != "bound") engine::check_guard_rails(graph, timeline, 1e-9 + 4 * run.tolerance);

  results::Result result;
  result.cluster = step.cluster->name;
  result.model = step.model->name;
  result.gpus = step.plan.gpus;
  result.total = timeline.makespan;
  result.lower_bound =
      timeline.engine == "bound" ? timeline.makespan : engine::make_engine("bound")->run(graph).makespan;
  const Explainer explainer(tasks->graph, timeline);
  for (const PhaseTasks& phase : tasks->phases) result.phases.push_back(sum_of(explainer, phase));
  explainer.explain_path(result);
  std::stable_sort(result.phases.begin(), result.phases.end(), [](const results::Phase& a, const results::Phase& b) {
    return order_of(a.name) < order_of(b.name);
  });
  result.links = explainer.links();
  results::Serving& serving = result.serving.emplace();
  serving.launch = launches(result);
  for (const results::Phase& phase : result.phases)
    if (communicates(phase.name)) serving.exposed += phase.critical;
  serving.waiting = waiting(step, *tasks, timeline);
  set_total_interval(result);

  const lowering::DecoderCosts costs(*step.model, *step.profile, step.plan.tp);
  for (const std::string& note : costs.assumptions()) result.assumptions.push_back(note);
  if (step.routing != nullptr && !step.routing->empty()) {
    if (step.kernel != nullptr) {
      for (const std::string& note : step.kernel->assumptions()) result.assumptions.push_back(note);
    } else {
      result.assumptions.emplace_back(
          "one copy of attention: every GPU has all tokens, so that experts need no dispatch");
    }
    result.assumptions.push_back(
        lowering::expert_assumption(step.expert_kernel, *step.model, *step.profile, step.phase));
  }
  if (step.plan.tp > 1 && !step.profile->ideal)
    result.assumptions.emplace_back(
        "tensor-parallel collectives up to 8 MB inside an NVLink domain write into each other's memory: start-up from "
        "NCCL's flags, not measured");
  if (step.launch == Launch::Eager)
    result.assumptions.push_back("eager mode: " + base::to_string(kHostLaunch) + " of the host for each kernel");
  for (const std::string& note : step.profile->assumptions()) result.assumptions.push_back(note);
  for (const std::string& note : step.cluster->notes) result.assumptions.push_back(note);
  result.provenance.engine = timeline.engine;
  result.provenance.tolerance = timeline.tolerance;
  return result;
}

}  // namespace moesim::step
