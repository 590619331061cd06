#include "sim/step/explain.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/statistics.h"
#include "sim/engine/critical_path.h"

namespace moesim::step {
namespace {

using base::Bytes;
using base::Duration;
using results::Binding;

// How much of its capacity each resource on one flow's route delivered to its exchange while it carried anything of it.
std::vector<double> utilisation(const engine::TaskGraph& graph, const results::Timeline& timeline,
                                std::size_t exchange_index, std::span<const engine::Use> route) {
  const engine::Exchange& exchange = graph.exchanges()[exchange_index];
  const engine::ExchangeEvents& events = graph.exchange_events()[exchange_index];
  const std::vector<double>& drained = timeline.drained[exchange_index];
  std::vector<double> usage(route.size()), first(route.size(), INFINITY), last(route.size());
  for (std::size_t f = 0; f < exchange.flows.size(); ++f) {
    const engine::Flow& flow = exchange.flows[f];
    graph.each_use(exchange, flow, [&](const engine::Use& use) {
      for (std::size_t u = 0; u < route.size(); ++u) {
        if (route[u].resource != use.resource) continue;
        usage[u] += flow.amount * use.per_unit;
        first[u] = std::min(first[u], timeline.event[events.start(flow.source).index()].value());
        last[u] = std::max(last[u], drained[f]);
      }
    });
  }
  for (std::size_t u = 0; u < route.size(); ++u) {
    const double capacity = graph.resources()[route[u].resource.index()].capacity;
    usage[u] = last[u] > first[u] ? usage[u] / (capacity * (last[u] - first[u])) : 0;
  }
  return usage;
}

results::Phase with_times(const std::string& name, const std::vector<double>& times) {
  results::Phase phase;
  phase.name = name;
  phase.fastest_rank = Duration(*std::min_element(times.begin(), times.end()));
  phase.mean_rank = Duration(base::mean(times));
  phase.slowest_rank = Duration(base::maximum(times));
  return phase;
}

}  // namespace

ExchangeOfTokens exchange_of_tokens(const MoeLayer& layer, const MoeLayerTasks& tasks, bool combine) {
  return {combine ? &tasks.combine : &tasks.dispatch,
          combine ? tasks.combine_part : tasks.dispatch_part,
          layer.traffic,
          combine ? layer.combine_bytes : layer.dispatch_bytes,
          combine,
          layer.kernel->gathers_all() ? layer.tokens : nullptr};
}

Explainer::Explainer(const StepGraph& step, const results::Timeline& timeline)
    : step_(&step), timeline_(&timeline), sharing_(step, timeline), kind_(step.graph().resources().size()) {
  for (std::size_t r = 0; r < kind_.size(); ++r)
    if (step.graph().resources()[r].kind == engine::ResourceKind::SmCopy) kind_[r] = "thread blocks";
  const topology::Graph& topology = step.network().router().graph();
  for (const auto& port : step.network().port_resources())
    kind_[port.resource.index()] = std::string(topology::to_string(topology.link(port.port.link).kind));
}

const std::string& Explainer::name(const StepPart& part, std::int32_t rank) const {
  const auto local = static_cast<std::size_t>(rank);
  return step_->names()[part.ranks.empty() ? local : static_cast<std::size_t>(part.ranks[local])];
}

results::Phase Explainer::exchange_phase(const std::string& name, const ExchangeOfTokens& exchange) const {
  const engine::ExchangeEvents& events = exchange.lowered->events;
  const workloads::Traffic& traffic = *exchange.traffic;
  const std::int32_t ranks = traffic.ranks;
  std::vector<double> times, sent(static_cast<std::size_t>(ranks)), received(static_cast<std::size_t>(ranks));
  const auto bytes = [&](std::int32_t from, std::int32_t to) {
    return exchange.bytes_per_token.value() * (exchange.gathered != nullptr
                                                   ? exchange.gathered->tokens[static_cast<std::size_t>(from)]
                                                   : traffic.at(from, to));
  };
  double first = INFINITY, last = 0;
  for (std::int32_t rank = 0; rank < ranks; ++rank) {
    const double start = at(exchange.lowered->start[static_cast<std::size_t>(rank)]), done = at(events.done(rank));
    times.push_back(done - start);
    first = std::min(first, start);
    last = std::max(last, done);
    for (std::int32_t other = 0; other < ranks; ++other) {
      if (other == rank) continue;
      sent[static_cast<std::size_t>(rank)] += bytes(rank, other);
      received[static_cast<std::size_t>(other)] += bytes(rank, other);
    }
  }
  if (exchange.reversed) std::swap(sent, received);
  results::Phase phase = with_times(name, times);
  phase.sent = Bytes(base::mean(sent) * ranks);
  const double busiest = std::max(base::maximum(sent), base::maximum(received));
  if (last > first) phase.per_gpu = Bytes(busiest) / Duration(last - first);
  phase.imbalance = std::max(base::imbalance(sent), base::imbalance(received));
  double wait = 0;
  for (std::int32_t rank = 0; rank < ranks; ++rank) wait += (last - at(events.done(rank))) / ranks;
  phase.mean_wait = Duration(wait);
  const auto load = [&](std::size_t rank) { return std::max(sent[rank], received[rank]); };
  std::size_t hot = 0;
  for (std::size_t rank = 1; rank < sent.size(); ++rank)
    if (load(rank) > load(hot)) hot = rank;
  if (busiest > 0) phase.skew = skew(exchange, hot, Duration(times[hot]));
  Meeting meeting{
      {}, exchange.lowered->start, {}, exchange.gathered != nullptr ? nullptr : exchange.traffic, exchange.reversed};
  for (std::int32_t rank = 0; rank < ranks; ++rank) meeting.done.push_back(events.done(rank));
  phase.mean_late = Duration(base::mean(late_senders(meeting, *timeline_)));
  if (last > first) {
    phase.logical = Bytes(exchange.lowered->logical_bytes / ranks) / Duration(last - first);
    phase.nic = Bytes(network_bytes(exchange.part) / ranks) / Duration(last - first);
  }
  return phase;
}

results::Skew Explainer::skew(const ExchangeOfTokens& exchange, std::size_t hot, Duration time) const {
  const engine::ExchangeEvents& events = exchange.lowered->events;
  double last = 0, others = 0;
  for (std::int32_t rank = 0; rank < events.ranks; ++rank) last = std::max(last, at(events.done(rank)));
  for (std::int32_t rank = 0; rank < events.ranks; ++rank)
    if (rank != static_cast<std::int32_t>(hot)) others += last - at(events.done(rank));
  const StepPart& part = step_->part_of_exchange(step_->exchanges_of(exchange.part).first);
  return {name(part, static_cast<std::int32_t>(hot)), time, Duration(others / std::max(1, events.ranks - 1)),
          hot_link(exchange.part)};
}

// The link that takes longest for what the part sends over it.
Binding Explainer::hot_link(std::size_t part) const {
  const engine::TaskGraph& graph = step_->graph();
  const auto [first, end] = step_->exchanges_of(part);
  std::vector<double> seconds(kind_.size());
  // Links are on paths; what ranks use beside them is none.
  for (std::size_t e = first; e < end; ++e)
    for (const engine::Flow& flow : graph.exchanges()[e].flows)
      for (const engine::Use& use : graph.path_uses(flow.path))
        seconds[use.resource.index()] += flow.amount * use.per_unit / graph.resources()[use.resource.index()].capacity;
  std::size_t hot = seconds.size();
  for (const auto& port : step_->network().port_resources()) {
    const std::size_t r = port.resource.index();
    if (seconds[r] > 0 && (hot == seconds.size() || seconds[r] > seconds[hot] * (1 + 1e-9))) hot = r;
  }
  if (hot == seconds.size()) return {};
  Binding link{graph.resources()[hot].name, kind_[hot], 0};
  const std::array<engine::Use, 1> route{{{engine::ResourceId(hot), 1}}};
  for (std::size_t e = first; e < end; ++e)
    link.utilisation = std::max(link.utilisation, std::min(1.0, utilisation(graph, *timeline_, e, route).front()));
  return link;
}

results::Phase Explainer::collective_phase(const std::string& name, const Meeting& meeting) const {
  std::vector<double> times;
  for (std::size_t rank = 0; rank < meeting.start.size(); ++rank)
    times.push_back(at(meeting.done[rank]) - at(meeting.start[rank]));
  results::Phase phase = with_times(name, times);
  phase.mean_late = Duration(base::mean(late_senders(meeting, *timeline_)));
  return phase;
}

results::Phase Explainer::compute_phase(const std::string& name, std::span<const engine::ComputeEvents> computes,
                                        std::span<const double> loads) const {
  std::vector<double> times;
  double last = 0;
  for (const engine::ComputeEvents& events : computes) {
    times.push_back(at(events.done) - at(events.start));
    last = std::max(last, at(events.done));
  }
  results::Phase phase = with_times(name, times);
  for (const engine::ComputeEvents& events : computes)
    phase.mean_wait += Duration((last - at(events.done)) / static_cast<double>(computes.size()));
  if (!loads.empty()) phase.imbalance = base::imbalance(loads);
  return phase;
}

std::vector<results::LinkUse> Explainer::links() const {
  std::vector<results::LinkUse> links;
  for (const auto& port : step_->network().port_resources()) {
    const engine::Resource& resource = step_->graph().resources()[port.resource.index()];
    const Bytes bytes(timeline_->carried[port.resource.index()]);
    if (bytes.value() <= 0) continue;
    const base::Bandwidth raw(resource.capacity);
    links.push_back({resource.name, kind_[port.resource.index()], raw, bytes, bytes / raw / timeline_->makespan});
  }
  std::stable_sort(links.begin(), links.end(),
                   [](const auto& a, const auto& b) { return a.utilisation > b.utilisation; });
  return links;
}

// Bytes of a part that leave a node.
double Explainer::network_bytes(std::size_t part) const {
  const auto is_network = [&](const engine::Use& use) { return kind_[use.resource.index()] == "network"; };
  const auto [first, end] = step_->exchanges_of(part);
  double bytes = 0;
  for (std::size_t e = first; e < end; ++e) {
    for (const engine::Flow& flow : step_->graph().exchanges()[e].flows) {
      const auto uses = step_->graph().path_uses(flow.path);
      if (std::any_of(uses.begin(), uses.end(), is_network)) bytes += flow.amount;
    }
  }
  return bytes;
}

results::CriticalStep Explainer::compute_step(std::size_t index, Duration start, Duration end) const {
  const engine::Compute& compute = step_->graph().computes()[index];
  const StepPart& part = step_->part_of_compute(index);
  const std::string& gpu = name(part, compute.rank);
  results::CriticalStep result{compute.name, part.phase, start, end, {}, {}};
  const Duration took = end - start;
  if (part.phase == "late start") {
    result.binding = {compute.name, "launch", 1};
    return result;
  }
  if (compute.uses.empty()) {
    if (compute.alone > Duration(0) || compute.launch > Duration(0)) {
      result.what = "start-up of " + part.phase + " on " + gpu;
      if (took > Duration(0)) result.binding = {result.what, "launch", 1};
      result.launch = took;
    }
    return result;
  }
  if (took <= Duration(0)) return result;
  result.launch = compute.launch;
  if (compute.launch > took * 0.5) {
    result.binding = {"kernel launch on " + gpu, "launch", compute.launch / took};
    return result;
  }
  // What needs at least half of the time alone; if neither does, it is the rest: copies, scans, padding.
  double hbm_share = 0;
  for (const engine::Use& use : compute.uses) {
    const engine::Resource& resource = step_->graph().resources()[use.resource.index()];
    if (resource.kind == engine::ResourceKind::Hbm) hbm_share = use.per_unit / resource.capacity;
  }
  const double tensor_share = step_->tensor_share(index);
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

results::CriticalStep Explainer::transfer_step(std::size_t index, std::size_t flow_index, bool delivered,
                                               Duration start, Duration end) const {
  const engine::TaskGraph& graph = step_->graph();
  const engine::Exchange& exchange = graph.exchanges()[index];
  const StepPart& part = step_->part_of_exchange(index);
  const engine::Flow& flow = exchange.flows[flow_index];
  const std::string route =
      name(part, flow.source) + " -> " + (flow.receiver < 0 ? std::string("all") : name(part, flow.receiver));
  results::CriticalStep result{exchange.name + " " + route, part.phase, start, end, {}, {}};
  const Duration latency = delivered ? graph.path_latency(flow.path) : Duration(0);
  if (latency > (end - start) * 0.5) {
    result.binding = {"latency of " + route, "latency", latency / (end - start)};
    return result;
  }
  const std::vector<engine::Use> uses = graph.uses(exchange, flow);
  const std::vector<double> busy = utilisation(graph, *timeline_, index, uses);
  std::size_t busiest = uses.size();
  for (std::size_t u = 0; u < uses.size(); ++u) {
    const std::size_t r = uses[u].resource.index();
    if (busy[u] <= result.binding.utilisation * (1 + 1e-9)) continue;
    result.binding = {graph.resources()[r].name, kind_[r], std::min(busy[u], 1.0)};
    busiest = u;
  }
  if (busiest < uses.size()) result.binding.shared = sharing_.others(index, uses[busiest].resource, start, end);
  return result;
}

void Explainer::explain_path(results::Result& result) const {
  // What binds: the kind of resource that most of the time goes to, named after its longest step.
  struct OfKind {
    Duration took, longest;
    Binding binding;
  };
  using Kinds = std::map<std::string, OfKind>;
  const auto add = [](Kinds& kinds, const Binding& binding, Duration took) {
    OfKind& kind = kinds[binding.kind];
    kind.took += took;
    if (took <= kind.longest) return;
    kind.longest = took;
    kind.binding = binding;
  };
  const auto most = [](const Kinds& kinds) {
    return std::max_element(kinds.begin(), kinds.end(),
                            [](const auto& a, const auto& b) { return a.second.took < b.second.took; })
        ->second.binding;
  };
  std::map<std::string, Kinds> of_phase;
  Kinds of_all;
  for (const engine::PathStep& step : engine::critical_path(step_->graph(), *timeline_)) {
    results::CriticalStep cause = step.kind == engine::PathStep::Kind::Compute
                                      ? compute_step(step.task, step.start, step.end)
                                      : transfer_step(step.task, step.flow, step.delivered, step.start, step.end);
    const Duration took = cause.end - cause.start;
    auto phase = std::find_if(result.phases.begin(), result.phases.end(),
                              [&](const results::Phase& p) { return p.name == cause.phase; });
    if (phase == result.phases.end()) {
      result.phases.emplace_back().name = cause.phase;
      phase = result.phases.end() - 1;
    }
    phase->critical += took;
    add(of_phase[cause.phase], cause.binding, took);
    add(of_all, cause.binding, took);
    result.critical_path.push_back(std::move(cause));
  }
  for (results::Phase& phase : result.phases)
    if (const auto kinds = of_phase.find(phase.name); kinds != of_phase.end()) phase.binding = most(kinds->second);
  if (!of_all.empty()) result.binding = most(of_all);
  if (std::any_of(result.critical_path.begin(), result.critical_path.end(),
                  [](const results::CriticalStep& step) { return !step.binding.shared.empty(); }))
    result.assumptions.emplace_back(kSharingNote);
}

void add_to_phase(const results::Phase& phase, results::Phase& sum) {
  sum.fastest_rank += phase.fastest_rank;
  sum.mean_rank += phase.mean_rank;
  sum.slowest_rank += phase.slowest_rank;
  sum.mean_wait += phase.mean_wait;
  sum.mean_late += phase.mean_late;
  sum.sent += phase.sent;
  sum.per_gpu = std::max(sum.per_gpu, phase.per_gpu);
  sum.logical = std::max(sum.logical, phase.logical);
  sum.nic = std::max(sum.nic, phase.nic);
  if (sum.skew.gpu.empty() || phase.imbalance > sum.imbalance) sum.skew = phase.skew;
  sum.imbalance = std::max(sum.imbalance, phase.imbalance);
  sum.error = std::max(sum.error, phase.error);
}

void explain(const MoeLayer& layer, const MoeLayerGraph& lowered, const results::Timeline& timeline,
             results::Result& result) {
  const Explainer explainer(lowered.step, timeline);
  const MoeLayerTasks& tasks = lowered.tasks;
  const std::vector<double> selections(layer.traffic->rank_selections.begin(), layer.traffic->rank_selections.end());
  const std::vector<double> own_tokens(selections.size(), static_cast<double>(layer.tokens_per_gpu));
  if (!layer.start_delay.empty()) {
    std::vector<double> delays;
    for (const Duration delay : layer.start_delay) delays.push_back(delay.value());
    result.phases.push_back(with_times("late start", delays));
  }
  const bool fused = !tasks.fused.empty();
  if (!fused) result.phases.push_back(explainer.exchange_phase("dispatch", exchange_of_tokens(layer, tasks, false)));
  if (!tasks.shared_experts.empty())
    result.phases.push_back(explainer.compute_phase("shared expert", tasks.shared_experts, own_tokens));
  if (fused) {
    result.phases.push_back(explainer.compute_phase(kFusedPhase, tasks.fused, selections));
  } else {
    result.phases.push_back(explainer.compute_phase("experts", tasks.experts, selections));
    result.phases.push_back(explainer.exchange_phase("combine", exchange_of_tokens(layer, tasks, true)));
  }
  explainer.explain_path(result);
  result.links = explainer.links();
}

}  // namespace moesim::step
