#include "tests/sim/engine/graph_changes.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/random.h"

namespace moesim::tests {
namespace {

using engine::EventId;
using engine::Exchange;
using engine::PathId;
using engine::ResourceId;
using engine::TaskGraph;
using engine::Use;
using Role = TaskGraph::Role;

class Changer {
 public:
  Changer(const TaskGraph& original, const GraphChanges& changes)
      : original_(original), changes_(changes), random_(changes.shuffle_seed.value_or(0), "graph_changes") {}

  ChangedGraph change() {
    add_resources();
    add_paths();
    add_nodes();
    add_edges();
    return std::move(changed_);
  }

 private:
  // order[new position] = old position.
  std::vector<std::size_t> order_of(std::size_t count) {
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), std::size_t{0});
    if (changes_.shuffle_seed)
      for (std::size_t i = count; i > 1; --i) std::swap(order[i - 1], order[random_.below(i)]);
    return order;
  }

  void add_resources() {
    changed_.resource.resize(original_.resources().size());
    for (const std::size_t old : order_of(original_.resources().size())) {
      engine::Resource resource = original_.resources()[old];
      const double factor = changes_.capacity_factor.empty() ? 1 : changes_.capacity_factor[old];
      resource.capacity *= factor;
      for (auto& change : resource.changes) change.capacity *= factor;
      changed_.resource[old] = changed_.graph.add_resource(std::move(resource));
    }
  }

  std::vector<Use> in_new_names(std::span<const Use> uses) {
    std::vector<Use> result;
    for (const std::size_t old : order_of(uses.size()))
      result.push_back({changed_.resource[uses[old].resource.index()], uses[old].per_unit});
    return result;
  }

  void add_paths() {
    path_.resize(original_.num_paths());
    for (const std::size_t old : order_of(original_.num_paths())) {
      const auto uses = in_new_names(original_.path_uses(PathId(old)));
      path_[old] = changed_.graph.add_path(uses, original_.path_latency(PathId(old)));
    }
  }

  void add_nodes() {
    changed_.event.assign(original_.num_events(), engine::kOrigin);
    changed_.flow.resize(original_.exchanges().size());
    for (std::size_t e = 1; e < original_.num_events(); ++e) {
      const TaskGraph::Owner owner = original_.owner(EventId(e));
      if (owner.role == Role::Barrier) changed_.event[e] = changed_.graph.add_event(original_.describe(EventId(e)));
      if (owner.role == Role::ComputeStart) add_compute(owner.index);
      if (owner.role == Role::Start && owner.rank == 0) add_exchange(owner.index);
    }
  }

  void add_compute(std::uint32_t index) {
    engine::Compute compute = original_.computes()[index];
    compute.uses = in_new_names(compute.uses);
    const auto events = changed_.graph.add_compute(std::move(compute), {});
    changed_.event[original_.compute_events()[index].start.index()] = events.start;
    changed_.event[original_.compute_events()[index].done.index()] = events.done;
  }

  void add_exchange(std::uint32_t index) {
    const Exchange& old = original_.exchanges()[index];
    Exchange exchange = old;
    std::vector<std::int32_t> rank(static_cast<std::size_t>(old.ranks));  // [old rank] new rank
    const auto ranks = order_of(rank.size());
    for (std::size_t r = 0; r < ranks.size(); ++r) rank[ranks[r]] = static_cast<std::int32_t>(r);
    const auto renamed = [&](std::int32_t r) { return rank[static_cast<std::size_t>(r)]; };
    exchange.flows.clear();
    changed_.flow[index].resize(old.flows.size());
    for (const std::size_t f : order_of(old.flows.size())) {
      engine::Flow flow = old.flows[f];
      flow.path = path_[flow.path.index()];
      flow.source = renamed(flow.source);
      if (flow.receiver >= 0) flow.receiver = renamed(flow.receiver);
      flow.rate_cap *= changes_.cap_factor;
      changed_.flow[index][f] = exchange.flows.size();
      exchange.flows.push_back(flow);
    }
    for (auto [uses, of_old] :
         {std::pair(&exchange.source_use, &old.source_use), std::pair(&exchange.receiver_use, &old.receiver_use)}) {
      for (std::size_t r = 0; r < of_old->size(); ++r) {
        Use use = (*of_old)[r];
        if (use.per_unit > 0) use.resource = changed_.resource[use.resource.index()];
        (*uses)[static_cast<std::size_t>(rank[r])] = use;
      }
    }
    for (auto& group : exchange.receiver_groups)
      for (std::int32_t& r : group) r = renamed(r);
    for (auto& hold : exchange.holds) {
      hold.rank = renamed(hold.rank);
      hold.resource = changed_.resource[hold.resource.index()];
    }
    const auto events = changed_.graph.add_exchange(std::move(exchange));
    const auto& old_events = original_.exchange_events()[index];
    for (std::int32_t r = 0; r < old.ranks; ++r) {
      changed_.event[old_events.start(r).index()] = events.start(renamed(r));
      changed_.event[old_events.sent(r).index()] = events.sent(renamed(r));
      changed_.event[old_events.done(r).index()] = events.done(renamed(r));
    }
    changed_.event[old_events.all_done().index()] = events.all_done();
  }

  void add_edges() {
    for (std::size_t e = 0; e < original_.num_events(); ++e) {
      const TaskGraph::Owner waiter = original_.owner(EventId(e));
      for (const EventId prerequisite : original_.prerequisites(EventId(e))) {
        const Role role = original_.owner(prerequisite).role;
        const bool within_exchange =
            (waiter.role == Role::Sent || waiter.role == Role::Done || waiter.role == Role::AllDone) &&
            (role == Role::Start || role == Role::Sent || role == Role::Done) &&
            original_.owner(prerequisite).index == waiter.index;
        if (!within_exchange)  // add_exchange makes those
          changed_.graph.wait_for(changed_.event[e], changed_.event[prerequisite.index()]);
      }
    }
  }

  const TaskGraph& original_;
  const GraphChanges& changes_;
  base::RandomStream random_;
  ChangedGraph changed_;
  std::vector<PathId> path_;  // [old paths] new path
};

}  // namespace

ChangedGraph changed(const TaskGraph& graph, const GraphChanges& changes) { return Changer(graph, changes).change(); }

results::Timeline ChangedGraph::in_original_names(const results::Timeline& timeline) const {
  results::Timeline original = timeline;
  for (std::size_t e = 0; e < event.size(); ++e) original.event[e] = timeline.event[event[e].index()];
  for (std::size_t r = 0; r < resource.size(); ++r) original.carried[r] = timeline.carried[resource[r].index()];
  for (std::size_t x = 0; x < flow.size(); ++x)
    for (std::size_t f = 0; f < flow[x].size(); ++f) original.drained[x][f] = timeline.drained[x][flow[x][f]];
  return original;
}

}  // namespace moesim::tests
