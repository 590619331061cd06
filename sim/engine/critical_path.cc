#include "sim/engine/critical_path.h"

#include <algorithm>
#include <optional>

namespace moesim::engine {
namespace {

using Role = TaskGraph::Role;

// The flow of the exchange that made `owner`'s event fire when it did: the last one drained (Sent) or delivered (Done).
struct LastFlow {
  std::size_t flow = 0;
  double end = -1;
};

std::optional<LastFlow> last_flow(const TaskGraph& graph, const results::Timeline& timeline, TaskGraph::Owner owner) {
  const Exchange& exchange = graph.exchanges()[owner.index];
  const std::vector<double>& drained = timeline.drained[owner.index];
  LastFlow last;
  for (std::size_t f = 0; f < exchange.flows.size(); ++f) {
    const Flow& flow = exchange.flows[f];
    double end = drained[f];
    if (owner.role == Role::Sent) {
      if (flow.source != owner.rank) continue;
    } else {
      const auto receivers = graph.receivers(exchange, flow);
      if (std::find(receivers.begin(), receivers.end(), owner.rank) == receivers.end()) continue;
      end += graph.path_latency(flow.path).value();
    }
    if (end > last.end) last = {f, end};
  }
  if (last.end < 0) return std::nullopt;
  return last;
}

EventId latest_prerequisite(const TaskGraph& graph, const results::Timeline& timeline, EventId event) {
  EventId latest = kOrigin;
  for (const EventId p : graph.prerequisites(event))
    if (timeline.event[p.index()] > timeline.event[latest.index()]) latest = p;
  return latest;
}

}  // namespace

std::vector<PathStep> critical_path(const TaskGraph& graph, const results::Timeline& timeline) {
  const auto last = std::max_element(timeline.event.begin(), timeline.event.end());
  EventId event{static_cast<std::size_t>(last - timeline.event.begin())};
  std::vector<PathStep> steps;
  while (event != kOrigin) {
    const TaskGraph::Owner owner = graph.owner(event);
    const base::Duration end = timeline.event[event.index()];
    if (owner.role == Role::ComputeDone) {
      event = graph.compute_events()[owner.index].start;
      steps.push_back({PathStep::Kind::Compute, owner.index, 0, false, timeline.event[event.index()], end});
      continue;
    }
    if (owner.role == Role::Sent || owner.role == Role::Done) {
      const auto flow = last_flow(graph, timeline, owner);
      const ExchangeEvents& events = graph.exchange_events()[owner.index];
      const base::Duration own_start = timeline.event[events.start(owner.rank).index()];
      if (flow && flow->end > own_start.value()) {
        event = events.start(graph.exchanges()[owner.index].flows[flow->flow].source);
        steps.push_back({PathStep::Kind::Flow, owner.index, flow->flow, owner.role == Role::Done,
                         timeline.event[event.index()], end});
        continue;
      }
    }
    event = latest_prerequisite(graph, timeline, event);
  }
  std::reverse(steps.begin(), steps.end());
  return steps;
}

}  // namespace moesim::engine
