#include "sim/engine/simgrid_plan.h"

#include <algorithm>
#include <optional>
#include <span>

#include "sim/engine/engine.h"

namespace moesim::engine {
namespace {

constexpr double kRounding = 1e-12;  // relative
constexpr int kLargestWeight = 64;   // a link is listed that often in a route at most

[[noreturn]] void refuse(const std::string& feature) { throw UnsupportedError("simgrid", feature); }

// Which paths flows take, and what uses each resource.
struct Demand {
  explicit Demand(const TaskGraph& graph);

  std::vector<bool> path;                    // [paths]
  std::vector<bool> computes;                // [resources]
  std::vector<std::vector<double>> weights;  // [resources] of the paths taken
};

Demand::Demand(const TaskGraph& graph)
    : path(graph.num_paths()), computes(graph.resources().size()), weights(graph.resources().size()) {
  for (const Exchange& exchange : graph.exchanges())
    for (const Flow& flow : exchange.flows) path[flow.path.index()] = true;
  for (std::size_t p = 0; p < path.size(); ++p) {
    if (!path[p]) continue;
    for (const Use& use : graph.path_uses(PathId(p))) weights[use.resource.index()].push_back(use.per_unit);
  }
  for (const Compute& compute : graph.computes())
    for (const Use& use : compute.uses) computes[use.resource.index()] = true;
}

void refuse_unsupported(const TaskGraph& graph, const Demand& demand) {
  for (const Exchange& exchange : graph.exchanges()) {
    for (const SmHold& hold : exchange.holds)
      if (hold.count > 0) refuse("SM holds (" + exchange.name + ")");
    for (const Flow& flow : exchange.flows)
      if (flow.receiver < 0) refuse("multicast (" + exchange.name + ")");
  }
  for (std::size_t r = 0; r < graph.resources().size(); ++r) {
    const Resource& resource = graph.resources()[r];
    const bool flows = !demand.weights[r].empty();
    if (!resource.changes.empty() && (flows || demand.computes[r])) refuse("capacity changes (" + resource.name + ")");
    if (flows && demand.computes[r]) refuse("flows and computes on one resource (" + resource.name + ")");
  }
}

// How often `quantum` goes into `weight`, if a small whole number of times.
std::optional<std::size_t> whole_multiple(double weight, double quantum) {
  const double times = std::round(weight / quantum);
  if (times < 1 || times > kLargestWeight || std::abs(weight / quantum - times) > kRounding * times) return {};
  return static_cast<std::size_t>(times);
}

// The largest number of which all weights are small whole multiples. Dividing the weights and the capacity of a
// resource by it leaves sum a x <= C what it is.
double quantum_of(std::span<const double> weights, const std::string& resource) {
  const double least = *std::min_element(weights.begin(), weights.end());
  for (int parts = 1; parts <= kLargestWeight; ++parts) {
    const double quantum = least / parts;
    if (std::all_of(weights.begin(), weights.end(), [&](double w) { return whole_multiple(w, quantum).has_value(); }))
      return quantum;
  }
  refuse("weights that are not small whole multiples of one number (" + resource + ")");
}

void add_network(const TaskGraph& graph, const Demand& demand, SimgridPlan& plan) {
  std::vector<double> quantum(graph.resources().size());
  std::vector<std::size_t> link(graph.resources().size());
  for (std::size_t r = 0; r < link.size(); ++r) {
    if (demand.weights[r].empty()) continue;
    quantum[r] = quantum_of(demand.weights[r], graph.resources()[r].name);
    link[r] = plan.link_capacity.size();
    plan.link_capacity.push_back(plan.rate(graph.resources()[r].capacity / quantum[r]));
  }
  for (std::size_t p = 0; p < graph.num_paths(); ++p) {
    plan.route.push_back(SimgridPlan::kNoRoute);
    if (!demand.path[p] || graph.path_uses(PathId(p)).empty()) continue;
    plan.route[p] = plan.routes.size();
    auto& links = plan.routes.emplace_back();
    for (const Use& use : graph.path_uses(PathId(p))) {
      const std::size_t r = use.resource.index();
      links.insert(links.end(), *whole_multiple(use.per_unit, quantum[r]), link[r]);
    }
  }
}

void choose_scale(const TaskGraph& graph, SimgridPlan& plan) {
  std::vector<double> load(graph.resources().size());
  double largest = 0, time = 0;
  for (const Exchange& exchange : graph.exchanges()) {
    double capped = 0, latency = 0;
    for (const Flow& flow : exchange.flows) {
      largest = std::max(largest, flow.amount);
      capped = std::max(capped, flow.amount / flow.rate_cap);
      latency = std::max(latency, graph.path_latency(flow.path).value());
      for (const Use& use : graph.path_uses(flow.path)) load[use.resource.index()] += flow.amount * use.per_unit;
    }
    time += capped + latency;
  }
  for (const Compute& compute : graph.computes()) time += (compute.launch + compute.alone).value();
  double busiest = 0;
  for (std::size_t r = 0; r < load.size(); ++r) busiest = std::max(busiest, load[r] / graph.resources()[r].capacity);
  time += busiest;
  if (largest > 0) plan.amount_exponent = 61 - std::ilogb(largest);
  if (time > 0) plan.time_exponent = 6 - std::ilogb(time);
  for (const Exchange& exchange : graph.exchanges()) {
    for (const Flow& flow : exchange.flows) {
      const double exact = std::ldexp(flow.amount, plan.amount_exponent);
      if (std::abs(std::round(exact) - exact) > 1e-10 * exact)
        refuse("amounts that differ by a factor above 1e8 (" + exchange.name + ")");
    }
  }
}

}  // namespace

SimgridPlan plan_for_simgrid(const TaskGraph& graph) {
  const Demand demand(graph);
  refuse_unsupported(graph, demand);
  SimgridPlan plan;
  choose_scale(graph, plan);
  add_network(graph, demand, plan);
  return plan;
}

}  // namespace moesim::engine
