#include "sim/step/explain.h"

#include <algorithm>
#include <cmath>

#include "base/statistics.h"
#include "sim/engine/critical_path.h"
#include "sim/lowering/expert_compute.h"

namespace moesim::step {
namespace {

using base::Bytes;
using base::Duration;
using results::Binding;

// How much of its capacity each resource delivered to one exchange while it carried anything of it.
std::vector<double> utilisation(const engine::TaskGraph& graph, const results::Timeline& timeline,
                                const engine::ExchangeEvents& events) {
  const engine::Exchange& exchange = graph.exchanges()[events.exchange.index()];
  const std::vector<double>& drained = timeline.drained[events.exchange.index()];
  const std::size_t resources = graph.resources().size();
  std::vector<double> usage(resources), first(resources, INFINITY), last(resources);
  for (std::size_t f = 0; f < exchange.flows.size(); ++f) {
    const engine::Flow& flow = exchange.flows[f];
    for (const engine::Use& use : graph.path_uses(flow.path)) {
      const std::size_t r = use.resource.index();
      usage[r] += flow.amount * use.per_unit;
      first[r] = std::min(first[r], timeline.event[events.start(flow.source).index()].value());
      last[r] = std::max(last[r], drained[f]);
    }
  }
  for (std::size_t r = 0; r < resources; ++r)
    usage[r] = last[r] > first[r] ? usage[r] / (graph.resources()[r].capacity * (last[r] - first[r])) : 0;
  return usage;
}

class Explainer {
 public:
  Explainer(const MoeLayer& layer, const MoeLayerGraph& tasks, const topology::Graph& topology,
            const results::Timeline& timeline)
      : layer_(layer),
        tasks_(tasks),
        timeline_(timeline),
        names_(gpu_names(*layer.cluster)),
        kind_(tasks.graph.resources().size()) {
    for (const engine::ExchangeEvents& events : tasks.graph.exchange_events())
      use_.push_back(utilisation(tasks.graph, timeline, events));
    for (std::size_t r = 0; r < kind_.size(); ++r)
      if (tasks.graph.resources()[r].kind == engine::ResourceKind::SmCopy) kind_[r] = "thread blocks";
    for (const auto& port : tasks.ports)
      kind_[port.resource.index()] = std::string(topology::to_string(topology.link(port.port.link).kind));
  }

  results::CriticalStep step(const engine::PathStep& step) const {
    return step.kind == engine::PathStep::Kind::Compute ? compute_step(step) : transfer_step(step);
  }

  results::Phase exchange_phase(const std::string& name, const lowering::LoweredExchange& lowered, Bytes per_token,
                                bool reversed) const {
    const engine::ExchangeEvents& events = lowered.events;
    const std::int32_t ranks = layer_.traffic->ranks;
    std::vector<double> times, sent(static_cast<std::size_t>(ranks)), received(static_cast<std::size_t>(ranks));
    double first = INFINITY, last = 0;
    for (std::int32_t rank = 0; rank < ranks; ++rank) {
      const double start = at(lowered.start[static_cast<std::size_t>(rank)]), done = at(events.done(rank));
      times.push_back(done - start);
      first = std::min(first, start);
      last = std::max(last, done);
      for (std::int32_t other = 0; other < ranks; ++other) {
        if (other == rank) continue;
        sent[static_cast<std::size_t>(rank)] += layer_.traffic->at(rank, other) * per_token.value();
        received[static_cast<std::size_t>(other)] += layer_.traffic->at(rank, other) * per_token.value();
      }
    }
    if (reversed) std::swap(sent, received);
    results::Phase phase = with_times(name, times);
    phase.sent = Bytes(base::mean(sent) * ranks);
    const double busiest = std::max(base::maximum(sent), base::maximum(received));
    if (last > first) phase.per_gpu = Bytes(busiest) / Duration(last - first);
    phase.imbalance = std::max(base::imbalance(sent), base::imbalance(received));
    double wait = 0;
    for (std::int32_t rank = 0; rank < ranks; ++rank) wait += (last - at(events.done(rank))) / ranks;
    phase.mean_wait = Duration(wait);
    if (last > first) {
      phase.logical = Bytes(lowered.logical_bytes / ranks) / Duration(last - first);
      phase.nic = Bytes(network_bytes(name) / ranks) / Duration(last - first);
    }
    return phase;
  }

  results::Phase delay_phase() const {
    std::vector<double> times;
    for (const Duration delay : layer_.start_delay) times.push_back(delay.value());
    return with_times("late start", times);
  }

  results::Phase compute_phase(const std::string& name, const std::vector<engine::ComputeEvents>& computes,
                               std::span<const double> loads) const {
    std::vector<double> times;
    for (const engine::ComputeEvents& events : computes) times.push_back(at(events.done) - at(events.start));
    results::Phase phase = with_times(name, times);
    phase.imbalance = base::imbalance(loads);
    return phase;
  }

  std::vector<results::LinkUse> links() const {
    std::vector<results::LinkUse> links;
    for (const auto& port : tasks_.ports) {
      const engine::Resource& resource = tasks_.graph.resources()[port.resource.index()];
      const Bytes bytes(timeline_.carried[port.resource.index()]);
      if (bytes.value() <= 0) continue;
      const base::Bandwidth raw(resource.capacity);
      links.push_back({resource.name, kind_[port.resource.index()], raw, bytes, bytes / raw / timeline_.makespan});
    }
    std::stable_sort(links.begin(), links.end(),
                     [](const auto& a, const auto& b) { return a.utilisation > b.utilisation; });
    return links;
  }

 private:
  double at(engine::EventId event) const { return timeline_.event[event.index()].value(); }

  // Bytes that leave a node in any exchange of a phase.
  double network_bytes(const std::string& phase) const {
    const auto is_network = [&](const engine::Use& use) { return kind_[use.resource.index()] == "network"; };
    double bytes = 0;
    for (const engine::Exchange& exchange : tasks_.graph.exchanges()) {
      if (phase_of(exchange.name) != phase) continue;
      for (const engine::Flow& flow : exchange.flows) {
        const auto uses = tasks_.graph.path_uses(flow.path);
        if (std::any_of(uses.begin(), uses.end(), is_network)) bytes += flow.amount;
      }
    }
    return bytes;
  }

  static results::Phase with_times(const std::string& name, const std::vector<double>& times) {
    results::Phase phase;
    phase.name = name;
    phase.fastest_rank = Duration(*std::min_element(times.begin(), times.end()));
    phase.mean_rank = Duration(base::mean(times));
    phase.slowest_rank = Duration(base::maximum(times));
    return phase;
  }

  results::CriticalStep compute_step(const engine::PathStep& step) const {
    const engine::Compute& compute = tasks_.graph.computes()[step.task];
    const std::string& gpu = names_[static_cast<std::size_t>(compute.rank)];
    const std::string phase = phase_of(compute.name);
    results::CriticalStep result{compute.name, phase, step.start, step.end, {}};
    const Duration took = step.end - step.start;
    if (phase == "late start") {
      result.binding = {compute.name, "launch", 1};
      return result;
    }
    if (phase == "dispatch" || phase == "combine" || (phase == kFusedPhase && compute.uses.empty())) {
      result.what = "start-up of " + phase + " on " + gpu;
      if (took > Duration(0)) result.binding = {result.what, "launch", 1};
      return result;
    }
    if (took <= Duration(0)) return result;
    if (compute.launch > took * 0.5) {
      result.binding = {"kernel launch on " + gpu, "launch", compute.launch / took};
      return result;
    }
    // What needs at least half of the time alone; if neither does, it is the rest: copies, scans, padding.
    const engine::Use& hbm = compute.uses.back();
    const double hbm_share = hbm.per_unit / tasks_.graph.resources()[hbm.resource.index()].capacity;
    const double tensor_share = tasks_.tensor_share[step.task];
    const double running = compute.alone / took;
    if (std::max(hbm_share, tensor_share) < 0.5) {
      const double rest = running * (1 - std::max(hbm_share, tensor_share));
      result.binding = {"work beside the matrix products on " + gpu, "thread blocks", rest};
    } else {
      result.binding = hbm_share > tensor_share ? Binding{"HBM of " + gpu, "hbm", running * hbm_share}
                                                : Binding{"tensor cores of " + gpu, "tensor", running * tensor_share};
    }
    return result;
  }

  results::CriticalStep transfer_step(const engine::PathStep& step) const {
    const engine::Exchange& exchange = tasks_.graph.exchanges()[step.task];
    const engine::Flow& flow = exchange.flows[step.flow];
    const std::string route =
        names_[static_cast<std::size_t>(flow.source)] + " -> " + names_[static_cast<std::size_t>(flow.receiver)];
    results::CriticalStep result{exchange.name + " " + route, phase_of(exchange.name), step.start, step.end, {}};
    const Duration latency = step.delivered ? tasks_.graph.path_latency(flow.path) : Duration(0);
    if (latency > (step.end - step.start) * 0.5) {
      result.binding = {"latency of " + route, "latency", latency / (step.end - step.start)};
      return result;
    }
    const std::vector<double>& use = use_[step.task];
    for (const engine::Use& u : tasks_.graph.path_uses(flow.path)) {
      const std::size_t r = u.resource.index();
      if (use[r] > result.binding.utilisation * (1 + 1e-9))
        result.binding = {tasks_.graph.resources()[r].name, kind_[r], std::min(use[r], 1.0)};
    }
    return result;
  }

  // What a task is part of, by its name: "dispatch: start", "dispatch: ring", "experts on gpu3", "shared expert on
  // gpu3".
  static std::string phase_of(const std::string& task) {
    for (const char* phase : {"dispatch", "combine", "shared expert", "late start", kFusedPhase})
      if (task.starts_with(phase)) return phase;
    return "experts";
  }

  const MoeLayer& layer_;
  const MoeLayerGraph& tasks_;
  const results::Timeline& timeline_;
  std::vector<std::string> names_;        // [GPUs]
  std::vector<std::string> kind_;         // [resources] of links and thread blocks
  std::vector<std::vector<double>> use_;  // [exchanges][resources]
};

}  // namespace

void explain(const MoeLayer& layer, const MoeLayerGraph& tasks, const topology::Graph& topology,
             const results::Timeline& timeline, results::Result& result) {
  const Explainer explainer(layer, tasks, topology, timeline);
  const std::vector<double> selections(layer.traffic->rank_selections.begin(), layer.traffic->rank_selections.end());
  const std::vector<double> own_tokens(selections.size(), static_cast<double>(layer.tokens_per_gpu));
  if (!layer.start_delay.empty()) result.phases.push_back(explainer.delay_phase());
  const bool fused = !tasks.fused.empty();
  if (!fused)
    result.phases.push_back(explainer.exchange_phase("dispatch", tasks.dispatch, layer.dispatch_bytes, false));
  if (!tasks.shared_experts.empty())
    result.phases.push_back(explainer.compute_phase("shared expert", tasks.shared_experts, own_tokens));
  if (fused) {
    result.phases.push_back(explainer.compute_phase(kFusedPhase, tasks.fused, selections));
  } else {
    result.phases.push_back(explainer.compute_phase("experts", tasks.experts, selections));
    result.phases.push_back(explainer.exchange_phase("combine", tasks.combine, layer.combine_bytes, true));
  }

  Duration longest(0);
  for (const engine::PathStep& path_step : engine::critical_path(tasks.graph, timeline)) {
    results::CriticalStep step = explainer.step(path_step);
    const Duration took = step.end - step.start;
    for (results::Phase& phase : result.phases) {
      if (phase.name != step.phase) continue;
      phase.critical += took;
      phase.binding = step.binding;
    }
    if (took > longest) {
      longest = took;
      result.binding = step.binding;
    }
    result.critical_path.push_back(std::move(step));
  }
  result.links = explainer.links();
}

}  // namespace moesim::step
