#include "sim/engine/bound_engine.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace moesim::engine {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// The bound for one set of flows: each resource's load after its earliest start.
class Loads {
 public:
  explicit Loads(const TaskGraph& graph) : graph_(graph) {
    for (const Resource& resource : graph.resources()) {
      double largest = resource.capacity;
      for (const CapacityChange& change : resource.changes) largest = std::max(largest, change.capacity);
      capacity_.push_back(largest);
    }
    time_.resize(capacity_.size());
    first_.resize(capacity_.size());
    latency_.resize(capacity_.size());
  }

  // The fastest that a flow can be drained, alone on its path.
  double alone(const Flow& flow) const {
    double time = flow.amount / flow.rate_cap;
    for (const Use& use : graph_.path_uses(flow.path))
      time = std::max(time, flow.amount * use.per_unit / capacity_[use.resource.index()]);
    return time;
  }

  void add(const Flow& flow, double start, double latency) {
    for (const Use& use : graph_.path_uses(flow.path)) {
      const std::size_t r = use.resource.index();
      if (time_[r] == 0) {
        touched_.push_back(r);
        first_[r] = latency_[r] = kNever;
      }
      time_[r] += flow.amount * use.per_unit / capacity_[r];
      first_[r] = std::min(first_[r], start);
      latency_[r] = std::min(latency_[r], latency);
    }
    end_ = std::max(end_, start + alone(flow) + latency);
  }

  // No earlier can all added flows have ended; starts over.
  double take() {
    for (const std::size_t r : touched_) {
      end_ = std::max(end_, first_[r] + time_[r] + latency_[r]);
      time_[r] = 0;
    }
    touched_.clear();
    return std::exchange(end_, 0);
  }

 private:
  const TaskGraph& graph_;
  std::vector<double> capacity_, time_, first_, latency_;  // [resources]
  std::vector<std::size_t> touched_;
  double end_ = 0;
};

// Flow indices of one exchange by source or by receiver, in CSR form.
struct FlowsBy {
  std::vector<std::size_t> begin;  // [ranks + 1]
  std::vector<std::size_t> flows;

  std::span<const std::size_t> of(std::int32_t rank) const {
    const auto r = static_cast<std::size_t>(rank);
    return std::span(flows).subspan(begin[r], begin[r + 1] - begin[r]);
  }
};

template <class RanksOf>
FlowsBy group(const Exchange& exchange, RanksOf ranks_of) {
  FlowsBy by;
  by.begin.assign(static_cast<std::size_t>(exchange.ranks) + 1, 0);
  for (const Flow& flow : exchange.flows)
    for (const std::int32_t rank : ranks_of(flow)) ++by.begin[static_cast<std::size_t>(rank) + 1];
  for (std::size_t r = 1; r < by.begin.size(); ++r) by.begin[r] += by.begin[r - 1];
  by.flows.resize(by.begin.back());
  std::vector<std::size_t> next(by.begin.begin(), by.begin.end() - 1);
  for (std::size_t f = 0; f < exchange.flows.size(); ++f)
    for (const std::int32_t rank : ranks_of(exchange.flows[f])) by.flows[next[static_cast<std::size_t>(rank)]++] = f;
  return by;
}

class Run {
 public:
  explicit Run(const TaskGraph& graph)
      : graph_(graph),
        loads_(graph),
        time_(graph.num_events()),
        fired_(graph.num_events()),
        waits_(graph.num_events()),
        successors_(graph.num_events()) {
    for (std::size_t i = 0; i < graph.num_events(); ++i) {
      const EventId event{i};
      for (const EventId p : graph.prerequisites(event)) add_edge(p, event);
    }
    for (const ComputeEvents& events : graph.compute_events()) add_edge(events.start, events.done);
    for (std::size_t x = 0; x < graph.exchanges().size(); ++x) {
      const Exchange& exchange = graph.exchanges()[x];
      const ExchangeEvents& events = graph.exchange_events()[x];
      by_source_.push_back(group(exchange, [](const Flow& flow) { return std::span(&flow.source, 1); }));
      by_receiver_.push_back(group(exchange, [&](const Flow& flow) { return graph.receivers(exchange, flow); }));
      drained_.emplace_back(exchange.flows.size());
      for (const Flow& flow : exchange.flows)
        for (const std::int32_t r : graph.receivers(exchange, flow))
          add_edge(events.start(flow.source), events.done(r));
    }
  }

  results::Timeline timeline() {
    std::vector<EventId> ready;
    for (std::size_t i = 0; i < waits_.size(); ++i)
      if (waits_[i] == 0) ready.emplace_back(i);
    while (!ready.empty()) {
      const EventId event = ready.back();
      ready.pop_back();
      fired_[event.index()] = true;
      time_[event.index()] = std::max(time_[event.index()], own_bound(event));
      for (const EventId next : successors_[event.index()]) {
        double& time = time_[next.index()];
        time = std::max(time, time_[event.index()]);
        if (--waits_[next.index()] == 0) ready.push_back(next);
      }
    }
    results::Timeline timeline;
    timeline.engine = "bound";
    timeline.makespan = base::Duration(*std::max_element(time_.begin(), time_.end()));
    if (std::find(fired_.begin(), fired_.end(), false) != fired_.end())
      throw_stalled(graph_, fired_, timeline.makespan);
    for (const double time : time_) timeline.event.emplace_back(time);
    timeline.drained = std::move(drained_);
    timeline.carried = carried();
    return timeline;
  }

 private:
  void add_edge(EventId from, EventId to) {
    successors_[from.index()].push_back(to);
    ++waits_[to.index()];
  }

  // What the meaning of the event's owner adds to its prerequisites; all starts that it needs are known by now.
  double own_bound(EventId event) {
    using Role = TaskGraph::Role;
    const TaskGraph::Owner owner = graph_.owner(event);
    if (owner.role == Role::ComputeDone) {
      const Compute& compute = graph_.computes()[owner.index];
      return time_[graph_.compute_events()[owner.index].start.index()] + (compute.launch + compute.alone).value();
    }
    if (owner.role != Role::Sent && owner.role != Role::Done && owner.role != Role::AllDone) return 0;
    const Exchange& exchange = graph_.exchanges()[owner.index];
    const ExchangeEvents& events = graph_.exchange_events()[owner.index];
    const auto add = [&](std::size_t f, bool delivered) {
      const Flow& flow = exchange.flows[f];
      const double start = time_[events.start(flow.source).index()];
      loads_.add(flow, start, delivered ? graph_.path_latency(flow.path).value() : 0);
      drained_[owner.index][f] = start + loads_.alone(flow);
    };
    if (owner.role == Role::AllDone) {
      for (std::size_t f = 0; f < exchange.flows.size(); ++f) add(f, true);
    } else {
      const bool delivered = owner.role == Role::Done;
      for (const std::size_t f : (delivered ? by_receiver_ : by_source_)[owner.index].of(owner.rank)) add(f, delivered);
    }
    return loads_.take();
  }

  std::vector<double> carried() const {
    std::vector<double> carried(graph_.resources().size());
    for (const Exchange& exchange : graph_.exchanges())
      for (const Flow& flow : exchange.flows)
        for (const Use& use : graph_.path_uses(flow.path)) carried[use.resource.index()] += flow.amount * use.per_unit;
    for (const Compute& compute : graph_.computes())
      for (const Use& use : compute.uses) carried[use.resource.index()] += compute.alone.value() * use.per_unit;
    return carried;
  }

  const TaskGraph& graph_;
  Loads loads_;
  std::vector<double> time_;
  std::vector<bool> fired_;
  std::vector<std::size_t> waits_;
  std::vector<std::vector<EventId>> successors_;
  std::vector<FlowsBy> by_source_, by_receiver_;  // [exchanges]
  std::vector<std::vector<double>> drained_;
};

class BoundEngine : public Engine {
 public:
  std::string_view name() const override { return "bound"; }
  results::Timeline run(const TaskGraph& graph) const override { return Run(graph).timeline(); }
};

}  // namespace

std::unique_ptr<Engine> make_bound_engine(const EngineOptions&) { return std::make_unique<BoundEngine>(); }

}  // namespace moesim::engine
