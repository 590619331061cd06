#include "tests/sim/engine/timeline_checks.h"

#include <algorithm>
#include <cmath>

#include "base/units.h"

namespace moesim::tests {
namespace {

using engine::Exchange;
using engine::Flow;
using engine::Resource;
using engine::TaskGraph;
using engine::Use;

std::string unequal(const std::string& what, double a, double b) {
  return what + ": " + base::format_number(a, 17) + " and " + base::format_number(b, 17);
}

// A piece of work on one resource.
struct Task {
  double begin, end, amount;
};

std::vector<std::vector<Task>> tasks_by_resource(const TaskGraph& graph, const results::Timeline& timeline) {
  std::vector<std::vector<Task>> tasks(graph.resources().size());
  const auto at = [&](engine::EventId event) { return timeline.event[event.index()].value(); };
  for (std::size_t x = 0; x < graph.exchanges().size(); ++x) {
    const Exchange& exchange = graph.exchanges()[x];
    for (std::size_t f = 0; f < exchange.flows.size(); ++f) {
      const Flow& flow = exchange.flows[f];
      const double begin = at(graph.exchange_events()[x].start(flow.source)), end = timeline.drained[x][f];
      for (const Use& use : graph.uses(exchange, flow))
        tasks[use.resource.index()].push_back({begin, end, flow.amount * use.per_unit});
    }
  }
  for (std::size_t c = 0; c < graph.computes().size(); ++c) {
    const engine::Compute& compute = graph.computes()[c];
    const double begin = at(graph.compute_events()[c].start) + compute.launch.value();
    for (const Use& use : compute.uses) {
      tasks[use.resource.index()].push_back(
          {begin, at(graph.compute_events()[c].done), compute.alone.value() * use.per_unit});
    }
  }
  return tasks;
}

// The integral of the capacity.
double capacity_between(const Resource& resource, double begin, double end) {
  double sum = 0, from = begin, capacity = resource.capacity;
  for (const auto& change : resource.changes) {
    const double until = std::clamp(change.at.value(), from, end);
    sum += capacity * (until - from);
    from = until;
    capacity = change.capacity;
  }
  return sum + capacity * (end - from);
}

}  // namespace

bool agree(double a, double b, double tolerance) {
  return std::abs(a - b) <= tolerance * std::max(std::abs(a), std::abs(b));
}

std::string difference(const TaskGraph& graph, const results::Timeline& a, const results::Timeline& b,
                       double tolerance) {
  if (a.event.size() != b.event.size() || a.drained.size() != b.drained.size() || a.carried.size() != b.carried.size())
    return "timelines of different graphs";
  for (std::size_t e = 0; e < a.event.size(); ++e) {
    if (!agree(a.event[e].value(), b.event[e].value(), tolerance))
      return unequal(graph.describe(engine::EventId(e)), a.event[e].value(), b.event[e].value());
  }
  for (std::size_t x = 0; x < a.drained.size(); ++x) {
    for (std::size_t f = 0; f < a.drained[x].size(); ++f) {
      if (!agree(a.drained[x][f], b.drained[x][f], tolerance))
        return unequal("flow " + std::to_string(f) + " of " + graph.exchanges()[x].name, a.drained[x][f],
                       b.drained[x][f]);
    }
  }
  for (std::size_t r = 0; r < a.carried.size(); ++r) {
    if (!agree(a.carried[r], b.carried[r], tolerance))
      return unequal("carried by " + graph.resources()[r].name, a.carried[r], b.carried[r]);
  }
  return !agree(a.makespan.value(), b.makespan.value(), tolerance)
             ? unequal("makespan", a.makespan.value(), b.makespan.value())
             : "";
}

std::vector<double> demand(const TaskGraph& graph) {
  std::vector<double> sum(graph.resources().size());
  for (const Exchange& exchange : graph.exchanges())
    for (const Flow& flow : exchange.flows)
      for (const Use& use : graph.uses(exchange, flow)) sum[use.resource.index()] += flow.amount * use.per_unit;
  for (const engine::Compute& compute : graph.computes())
    for (const Use& use : compute.uses) sum[use.resource.index()] += compute.alone.value() * use.per_unit;
  return sum;
}

double lower_bound(const TaskGraph& graph) {
  const std::vector<double> asked = demand(graph);
  double bound = 0;
  for (std::size_t r = 0; r < asked.size(); ++r) {
    double capacity = graph.resources()[r].capacity;
    for (const auto& change : graph.resources()[r].changes) capacity = std::max(capacity, change.capacity);
    bound = std::max(bound, asked[r] / capacity);
  }
  return bound;
}

std::string overload(const TaskGraph& graph, const results::Timeline& timeline) {
  const auto tasks = tasks_by_resource(graph, timeline);
  for (std::size_t r = 0; r < tasks.size(); ++r) {
    std::vector<Task> by_end = tasks[r];
    std::sort(by_end.begin(), by_end.end(), [](const Task& a, const Task& b) { return a.end < b.end; });
    for (const Task& first : tasks[r]) {
      double amount = 0;
      for (const Task& task : by_end) {
        if (task.begin < first.begin) continue;
        amount += task.amount;
        const double fits = capacity_between(graph.resources()[r], first.begin, task.end);
        if (amount > fits * (1 + 1e-9) + 1e-9 * task.amount)
          return unequal(graph.resources()[r].name + " carries more than fits", amount, fits);
      }
    }
  }
  return "";
}

}  // namespace moesim::tests
