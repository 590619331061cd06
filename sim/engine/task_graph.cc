#include "sim/engine/task_graph.h"

#include <cmath>

#include "base/error.h"

namespace moesim::engine {

TaskGraph::TaskGraph() : path_begin_{0} { add_event("origin"); }

ResourceId TaskGraph::add_resource(Resource resource) {
  MOESIM_CHECK(resource.capacity > 0 && std::isfinite(resource.capacity), "capacity of " + resource.name);
  double last = 0;
  for (const CapacityChange& change : resource.changes) {
    MOESIM_CHECK(change.at.value() >= last && change.capacity >= 0, "capacity changes of " + resource.name);
    last = change.at.value();
  }
  resources_.push_back(std::move(resource));
  return ResourceId(resources_.size() - 1);
}

PathId TaskGraph::add_path(std::span<const Use> uses, base::Duration latency) {
  MOESIM_CHECK(latency.value() >= 0, "a path's latency");
  for (const Use& use : uses)
    MOESIM_CHECK(use.resource.index() < resources_.size() && use.per_unit > 0, "a path's use of a resource");
  uses_.insert(uses_.end(), uses.begin(), uses.end());
  path_begin_.push_back(uses_.size());
  path_latency_.push_back(latency);
  return PathId(path_latency_.size() - 1);
}

std::span<const Use> TaskGraph::path_uses(PathId path) const {
  const std::size_t begin = path_begin_[path.index()];
  return std::span(uses_).subspan(begin, path_begin_[path.index() + 1] - begin);
}

EventId TaskGraph::new_event(Owner owner) {
  event_owner_.push_back(owner);
  prerequisites_.emplace_back();
  return EventId(event_owner_.size() - 1);
}

EventId TaskGraph::add_event(std::string_view name, std::span<const EventId> after) {
  const EventId event = new_event({Role::Barrier, static_cast<std::uint32_t>(barrier_names_.size()), 0});
  barrier_names_.emplace_back(name);
  for (const EventId prerequisite : after) wait_for(event, prerequisite);
  return event;
}

void TaskGraph::wait_for(EventId waiter, EventId prerequisite) {
  MOESIM_CHECK(waiter.index() < num_events() && prerequisite.index() < num_events(), "an edge between events");
  if (prerequisite != kOrigin) prerequisites_[waiter.index()].push_back(prerequisite);
}

ComputeEvents TaskGraph::add_compute(Compute compute, std::span<const EventId> after) {
  MOESIM_CHECK(compute.launch.value() >= 0 && compute.alone.value() >= 0 && std::isfinite(compute.alone.value()),
               "times of " + compute.name);
  for (const Use& use : compute.uses) {
    MOESIM_CHECK(use.resource.index() < resources_.size() && use.per_unit > 0 &&
                     use.per_unit <= resources_[use.resource.index()].capacity * (1 + 1e-12),
                 "resources used by " + compute.name);
  }
  const auto index = static_cast<std::uint32_t>(computes_.size());
  ComputeEvents events{ComputeId(index), new_event({Role::ComputeStart, index, compute.rank}),
                       new_event({Role::ComputeDone, index, compute.rank})};
  for (const EventId prerequisite : after) wait_for(events.start, prerequisite);
  computes_.push_back(std::move(compute));
  compute_events_.push_back(events);
  return events;
}

ExchangeEvents TaskGraph::add_exchange(Exchange exchange, std::span<const EventId> after) {
  MOESIM_CHECK(exchange.ranks > 0 && (after.empty() || after.size() == static_cast<std::size_t>(exchange.ranks)),
               "ranks of " + exchange.name);
  const auto is_rank = [&](std::int32_t rank) { return rank >= 0 && rank < exchange.ranks; };
  for (const std::vector<Use>* uses : {&exchange.source_use, &exchange.receiver_use}) {
    MOESIM_CHECK(uses->empty() || uses->size() == static_cast<std::size_t>(exchange.ranks),
                 "what ranks use in " + exchange.name);
    for (const Use& use : *uses)
      MOESIM_CHECK(use.per_unit == 0 || (use.resource.index() < resources_.size() && use.per_unit > 0),
                   "what ranks use in " + exchange.name);
  }
  for (const Flow& flow : exchange.flows) {
    MOESIM_CHECK(flow.amount > 0 && std::isfinite(flow.amount) && flow.rate_cap > 0, "a flow of " + exchange.name);
    MOESIM_CHECK(is_rank(flow.source) && flow.path.index() < num_paths(), "a flow of " + exchange.name);
    MOESIM_CHECK(flow.receiver < 0 ? static_cast<std::size_t>(-1 - flow.receiver) < exchange.receiver_groups.size()
                                   : is_rank(flow.receiver),
                 "a receiver of " + exchange.name);
    MOESIM_CHECK(flow.receiver >= 0 || exchange.receiver_use.empty(), "what several receivers use in " + exchange.name);
    bool limited = std::isfinite(flow.rate_cap);
    each_use(exchange, flow, [&](const Use&) { limited = true; });
    MOESIM_CHECK(limited, "an unlimited flow in " + exchange.name);
  }
  for (const auto& group : exchange.receiver_groups)
    for (const std::int32_t rank : group) MOESIM_CHECK(is_rank(rank), "a receiver of " + exchange.name);
  for (const SmHold& hold : exchange.holds) {
    MOESIM_CHECK(is_rank(hold.rank) && hold.resource.index() < resources_.size() && hold.count >= 0,
                 "SMs held by " + exchange.name);
  }
  const auto index = static_cast<std::uint32_t>(exchanges_.size());
  const ExchangeEvents events{ExchangeId(index), exchange.ranks, static_cast<std::uint32_t>(num_events())};
  for (const Role role : {Role::Start, Role::Sent, Role::Done})
    for (std::int32_t rank = 0; rank < exchange.ranks; ++rank) new_event({role, index, rank});
  new_event({Role::AllDone, index, 0});
  for (std::int32_t rank = 0; rank < exchange.ranks; ++rank) {
    if (!after.empty()) wait_for(events.start(rank), after[static_cast<std::size_t>(rank)]);
    wait_for(events.sent(rank), events.start(rank));
    wait_for(events.done(rank), events.start(rank));
    wait_for(events.all_done(), events.sent(rank));
    wait_for(events.all_done(), events.done(rank));
  }
  exchanges_.push_back(std::move(exchange));
  exchange_events_.push_back(events);
  return events;
}

std::vector<Use> TaskGraph::uses(const Exchange& exchange, const Flow& flow) const {
  std::vector<Use> uses;
  each_use(exchange, flow, [&](const Use& use) { uses.push_back(use); });
  return uses;
}

TaskGraph TaskGraph::with_plain_paths() const {
  TaskGraph plain = *this;
  for (Exchange& exchange : plain.exchanges_) {
    if (exchange.source_use.empty() && exchange.receiver_use.empty()) continue;
    for (Flow& flow : exchange.flows) flow.path = plain.add_path(uses(exchange, flow), path_latency(flow.path));
    exchange.source_use.clear();
    exchange.receiver_use.clear();
  }
  return plain;
}

std::span<const std::int32_t> TaskGraph::receivers(const Exchange& exchange, const Flow& flow) const {
  if (flow.receiver >= 0) return {&flow.receiver, 1};
  return exchange.receiver_groups[static_cast<std::size_t>(-1 - flow.receiver)];
}

std::string TaskGraph::describe(EventId event) const {
  const Owner o = owner(event);
  const std::string rank = "[" + std::to_string(o.rank) + "]";
  switch (o.role) {
    case Role::Barrier:
      return barrier_names_[o.index];
    case Role::ComputeStart:
      return "start" + rank + " of " + computes_[o.index].name;
    case Role::ComputeDone:
      return "done" + rank + " of " + computes_[o.index].name;
    case Role::Start:
      return "start" + rank + " of " + exchanges_[o.index].name;
    case Role::Sent:
      return "sent" + rank + " of " + exchanges_[o.index].name;
    case Role::Done:
      return "done" + rank + " of " + exchanges_[o.index].name;
    case Role::AllDone:
      return "end of " + exchanges_[o.index].name;
  }
  return "event";
}

}  // namespace moesim::engine
