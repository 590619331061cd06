#include "sim/engine/guard_rails.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/error.h"

namespace moesim::engine {
namespace {

double largest_capacity(const Resource& resource) {
  double largest = resource.capacity;
  for (const CapacityChange& change : resource.changes) largest = std::max(largest, change.capacity);
  return largest;
}

[[noreturn]] void impossible(const std::string& what) { throw base::InternalError("impossible result: " + what); }

class Checker {
 public:
  Checker(const TaskGraph& graph, const results::Timeline& timeline, double slack)
      : graph_(graph), timeline_(timeline), slack_(slack) {
    for (const Resource& resource : graph.resources()) capacity_.push_back(largest_capacity(resource));
    usage_.resize(capacity_.size());
    first_.resize(capacity_.size());
    last_.resize(capacity_.size());
  }

  void check_events() const {
    MOESIM_CHECK(timeline_.event.size() == graph_.num_events(), "a timeline of another graph");
    for (std::size_t i = 0; i < graph_.num_events(); ++i) {
      const EventId event{i};
      if (!std::isfinite(at(event)) || at(event) < 0) impossible(graph_.describe(event) + " has no time");
      for (const EventId p : graph_.prerequisites(event)) {
        if (at(event) < at(p) * (1 - slack_))
          impossible(graph_.describe(event) + " comes before " + graph_.describe(p) + ", which it waits for");
      }
    }
  }

  void check_exchange(std::size_t index) {
    const Exchange& exchange = graph_.exchanges()[index];
    const ExchangeEvents& events = graph_.exchange_events()[index];
    const std::vector<double>& drained = timeline_.drained[index];
    std::vector<double>&usage = usage_, &first = first_, &last = last_;
    std::vector<std::size_t> used;
    for (std::size_t f = 0; f < exchange.flows.size(); ++f) {
      const Flow& flow = exchange.flows[f];
      const double start = at(events.start(flow.source));
      double fastest = flow.rate_cap;
      graph_.each_use(exchange, flow, [&](const Use& use) {
        const std::size_t r = use.resource.index();
        fastest = std::min(fastest, capacity_[r] / use.per_unit);
        if (usage[r] == 0) {
          used.push_back(r);
          first[r] = start;
          last[r] = 0;
        }
        usage[r] += flow.amount * use.per_unit;
        first[r] = std::min(first[r], start);
        last[r] = std::max(last[r], drained[f]);
      });
      // Relative to the clock as well: a duration is a difference of times that were rounded.
      if ((drained[f] - start) * (1 + slack_) + 1e-14 * drained[f] < flow.amount / fastest)
        impossible(name(exchange, flow) + " took " + base::to_string(base::Duration(drained[f] - start)) +
                   ", less than its links allow (" + base::to_string(base::Duration(flow.amount / fastest)) + ")");
      for (const std::int32_t receiver : graph_.receivers(exchange, flow)) {
        if (at(events.done(receiver)) < (drained[f] + graph_.path_latency(flow.path).value()) * (1 - slack_))
          impossible(name(exchange, flow) + " is done before its last byte arrives");
      }
    }
    for (const std::size_t r : used) {
      const double carried = std::exchange(usage[r], 0);
      if (carried > capacity_[r] * ((last[r] - first[r]) * (1 + slack_) + 1e-14 * last[r]))
        impossible(graph_.resources()[r].name + " carried more than its capacity in " + exchange.name);
    }
  }

  void check_computes() const {
    for (std::size_t c = 0; c < graph_.computes().size(); ++c) {
      const Compute& compute = graph_.computes()[c];
      const ComputeEvents& events = graph_.compute_events()[c];
      const double took = at(events.done) - at(events.start);
      if (took * (1 + slack_) + 1e-14 * at(events.done) < (compute.launch + compute.alone).value())
        impossible(compute.name + " took less than its time alone");
    }
  }

  void check_resources() const {
    for (std::size_t r = 0; r < capacity_.size(); ++r) {
      if (timeline_.carried[r] > capacity_[r] * timeline_.makespan.value() * (1 + slack_))
        impossible(graph_.resources()[r].name + " carried more than its capacity");
    }
  }

 private:
  double at(EventId event) const { return timeline_.event[event.index()].value(); }
  static std::string name(const Exchange& exchange, const Flow& flow) {
    return exchange.name + " from " + std::to_string(flow.source);
  }

  const TaskGraph& graph_;
  const results::Timeline& timeline_;
  double slack_;
  std::vector<double> capacity_;
  std::vector<double> usage_, first_, last_;  // [resources] of an exchange; usage 0 between exchanges
};

}  // namespace

void check_guard_rails(const TaskGraph& graph, const results::Timeline& timeline, double slack) {
  Checker checker(graph, timeline, slack);
  checker.check_events();
  for (std::size_t i = 0; i < graph.exchanges().size(); ++i) checker.check_exchange(i);
  checker.check_computes();
  checker.check_resources();
}

}  // namespace moesim::engine
