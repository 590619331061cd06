#include "tests/sim/engine/reference_engine.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>
#include <map>

#include "base/error.h"

namespace moesim::tests {
namespace {

using engine::Compute;
using engine::EventId;
using engine::Exchange;
using engine::Flow;
using engine::TaskGraph;
using engine::Use;
using Role = TaskGraph::Role;

constexpr long double kNever = std::numeric_limits<long double>::infinity();

struct Running {
  Mover mover;
  long double amount = 0;
  long double remaining = 0;
  std::function<void()> complete;
};

class Execution {
 public:
  explicit Execution(const TaskGraph& graph) : graph_(graph) {
    const std::size_t events = graph.num_events();
    pending_.resize(events);
    fired_.resize(events);
    fired_at_.resize(events);
    waiters_.resize(events);
    for (std::size_t e = 0; e < events; ++e) {
      pending_[e] = graph.prerequisites(EventId{e}).size();
      for (const EventId p : graph.prerequisites(EventId{e})) waiters_[p.index()].push_back(EventId{e});
    }
    for (const auto& events_of : graph.compute_events()) ++pending_[events_of.done.index()];
    for (std::size_t x = 0; x < graph.exchanges().size(); ++x) {
      const Exchange& exchange = graph.exchanges()[x];
      const auto& of = graph.exchange_events()[x];
      drained_.emplace_back(exchange.flows.size());
      for (const Flow& flow : exchange.flows) {
        ++pending_[of.sent(flow.source).index()];
        for (const std::int32_t r : graph.receivers(exchange, flow)) ++pending_[of.done(r).index()];
      }
    }
    held_.resize(graph.resources().size());
    carried_.resize(graph.resources().size());
    for (std::size_t r = 0; r < graph.resources().size(); ++r) {
      capacity_.push_back(graph.resources()[r].capacity);
      for (const auto& change : graph.resources()[r].changes)
        at(change.at.value(), [this, r, c = change.capacity] { capacity_[r] = c; });
    }
  }

  results::Timeline run() {
    for (std::size_t e = 0; e < pending_.size(); ++e)
      if (pending_[e] == 0) ready_.push_back(EventId{e});
    handle_present();
    while (num_fired_ < fired_.size() && advance()) handle_present();
    if (num_fired_ < fired_.size()) throw_stalled(graph_, fired_, base::Duration(static_cast<double>(now_)));
    results::Timeline timeline;
    timeline.engine = "reference";
    for (const long double t : fired_at_) timeline.event.emplace_back(static_cast<double>(t));
    for (const auto& exchange : drained_) timeline.drained.emplace_back(exchange.begin(), exchange.end());
    timeline.carried.assign(carried_.begin(), carried_.end());
    timeline.makespan = *std::max_element(timeline.event.begin(), timeline.event.end());
    return timeline;
  }

 private:
  void at(long double time, std::function<void()> action) { timers_.emplace(time, std::move(action)); }

  void satisfy(EventId event) {
    if (--pending_[event.index()] == 0) ready_.push_back(event);
  }

  // Everything that happens now: events fire, timers go off; neither takes time.
  void handle_present() {
    while (true) {
      if (!ready_.empty()) {
        const EventId event = ready_.front();
        ready_.pop_front();
        fire(event);
      } else if (!timers_.empty() && timers_.begin()->first <= now_) {
        const auto action = std::move(timers_.begin()->second);
        timers_.erase(timers_.begin());
        action();
      } else {
        return;
      }
    }
  }

  void fire(EventId event) {
    fired_[event.index()] = true;
    fired_at_[event.index()] = now_;
    ++num_fired_;
    const TaskGraph::Owner owner = graph_.owner(event);
    if (owner.role == Role::Start) start_flows(owner.index, owner.rank);
    if (owner.role == Role::Start || owner.role == Role::Sent || owner.role == Role::Done) change_holds(owner);
    if (owner.role == Role::ComputeStart) {
      at(now_ + graph_.computes()[owner.index].launch.value(), [this, c = owner.index] { start_compute(c); });
    }
    for (const EventId waiter : waiters_[event.index()]) satisfy(waiter);
  }

  void start_flows(std::uint32_t x, std::int32_t source) {
    const Exchange& exchange = graph_.exchanges()[x];
    for (std::size_t f = 0; f < exchange.flows.size(); ++f) {
      const Flow& flow = exchange.flows[f];
      if (flow.source != source) continue;
      running_.push_back({{graph_.uses(exchange, flow), flow.rate_cap}, flow.amount, flow.amount, [this, x, f] {
                            const Exchange& of = graph_.exchanges()[x];
                            drained_[x][f] = now_;
                            satisfy(graph_.exchange_events()[x].sent(of.flows[f].source));
                            at(now_ + graph_.path_latency(of.flows[f].path).value(), [this, x, f] { deliver(x, f); });
                          }});
    }
  }

  void deliver(std::size_t x, std::size_t f) {
    const Exchange& exchange = graph_.exchanges()[x];
    for (const std::int32_t r : graph_.receivers(exchange, exchange.flows[f]))
      satisfy(graph_.exchange_events()[x].done(r));
  }

  void start_compute(std::uint32_t c) {
    const Compute& compute = graph_.computes()[c];
    const long double alone = compute.alone.value();
    const EventId done = graph_.compute_events()[c].done;
    if (alone == 0) return satisfy(done);
    running_.push_back({{compute.uses, 1}, alone, alone, [this, done] { satisfy(done); }});
  }

  void change_holds(const TaskGraph::Owner& owner) {
    for (const auto& hold : graph_.exchanges()[owner.index].holds) {
      if (hold.rank != owner.rank) continue;
      if (owner.role == Role::Start) held_[hold.resource.index()] += hold.count;
      if (owner.role == (hold.until_done ? Role::Done : Role::Sent)) held_[hold.resource.index()] -= hold.count;
    }
  }

  // Moves to the next moment at which a timer goes off or somebody completes. False if there is none.
  bool advance() {
    std::vector<long double> capacity = capacity_;
    for (std::size_t r = 0; r < capacity.size(); ++r) capacity[r] = std::max(0.0L, capacity[r] - held_[r]);
    std::vector<Mover> movers;
    for (const Running& running : running_) movers.push_back(running.mover);
    const std::vector<long double> rates = progressive_filling(capacity, movers);
    const std::string violation = max_min_violation(capacity, movers, rates, 1e-12L);
    MOESIM_CHECK(violation.empty(), violation);

    long double step = timers_.empty() ? kNever : timers_.begin()->first - now_;
    for (std::size_t i = 0; i < running_.size(); ++i)
      if (rates[i] > 0) step = std::min(step, running_[i].remaining / rates[i]);
    if (step == kNever) return false;
    now_ = !timers_.empty() && now_ + step >= timers_.begin()->first ? timers_.begin()->first : now_ + step;

    std::vector<Running> still;
    std::vector<std::function<void()>> completed;
    for (std::size_t i = 0; i < running_.size(); ++i) {
      Running& running = running_[i];
      const long double left = std::max(0.0L, running.remaining - rates[i] * step);
      // Rounding leaves some 1e-19 of the amount; it must not be stranded by a capacity that falls to zero just now.
      const bool complete = left <= 1e-16L * running.amount;
      for (const Use& use : running.mover.uses)
        carried_[use.resource.index()] += use.per_unit * (running.remaining - (complete ? 0 : left));
      running.remaining = left;
      if (complete) completed.push_back(std::move(running.complete));
      if (!complete) still.push_back(std::move(running));
    }
    running_ = std::move(still);
    for (const auto& complete : completed) complete();
    return true;
  }

  const TaskGraph& graph_;
  long double now_ = 0;
  std::vector<std::size_t> pending_;  // [events] prerequisites and completions still missing
  std::vector<bool> fired_;
  std::vector<long double> fired_at_;
  std::size_t num_fired_ = 0;
  std::vector<std::vector<EventId>> waiters_;
  std::deque<EventId> ready_;
  std::multimap<long double, std::function<void()>> timers_;  // equal times go off in order of insertion
  std::vector<Running> running_;
  std::vector<long double> capacity_, held_, carried_;  // [resources]
  std::vector<std::vector<long double>> drained_;
};

class ReferenceEngine final : public engine::Engine {
 public:
  std::string_view name() const override { return "reference"; }
  results::Timeline run(const TaskGraph& graph) const override { return Execution(graph).run(); }
};

// What each resource carries at these rates.
std::vector<long double> loads(std::size_t resources, std::span<const Mover> movers, std::span<const long double> x) {
  std::vector<long double> load(resources);
  for (std::size_t i = 0; i < movers.size(); ++i)
    for (const Use& use : movers[i].uses) load[use.resource.index()] += use.per_unit * x[i];
  return load;
}

}  // namespace

std::vector<long double> progressive_filling(std::span<const long double> capacity, std::span<const Mover> movers) {
  std::vector<long double> rate(movers.size());
  std::vector<bool> frozen(movers.size());
  std::size_t num_frozen = 0;
  while (num_frozen < movers.size()) {
    // The common rate of those still rising at which each resource would be full.
    const std::vector<long double> used = loads(capacity.size(), movers, rate);
    std::vector<long double> rising(capacity.size());
    for (std::size_t i = 0; i < movers.size(); ++i)
      for (const Use& use : movers[i].uses)
        if (!frozen[i]) rising[use.resource.index()] += use.per_unit;
    std::vector<long double> full(capacity.size(), kNever);
    for (std::size_t r = 0; r < capacity.size(); ++r)
      if (rising[r] > 0) full[r] = std::max(0.0L, capacity[r] - used[r]) / rising[r];

    std::vector<long double> limit(movers.size(), kNever);
    long double level = kNever;
    for (std::size_t i = 0; i < movers.size(); ++i) {
      if (frozen[i]) continue;
      limit[i] = movers[i].cap;
      for (const Use& use : movers[i].uses) limit[i] = std::min(limit[i], full[use.resource.index()]);
      level = std::min(level, limit[i]);
    }
    MOESIM_CHECK(level < kNever, "a mover without any limit");
    for (std::size_t i = 0; i < movers.size(); ++i) {
      if (frozen[i] || limit[i] > level) continue;
      rate[i] = level;
      frozen[i] = true;
      ++num_frozen;
    }
  }
  return rate;
}

std::string max_min_violation(std::span<const long double> capacity, std::span<const Mover> movers,
                              std::span<const long double> rates, long double tolerance) {
  const std::vector<long double> load = loads(capacity.size(), movers, rates);
  std::vector<long double> fastest(capacity.size());
  for (std::size_t i = 0; i < movers.size(); ++i)
    for (const Use& use : movers[i].uses) {
      long double& f = fastest[use.resource.index()];
      f = std::max(f, rates[i]);
    }
  for (std::size_t r = 0; r < capacity.size(); ++r)
    if (load[r] > capacity[r] * (1 + tolerance)) return "resource " + std::to_string(r) + " is above its capacity";
  for (std::size_t i = 0; i < movers.size(); ++i) {
    if (rates[i] > movers[i].cap * (1 + tolerance)) return "mover " + std::to_string(i) + " is above its cap";
    bool has_bottleneck = rates[i] >= movers[i].cap * (1 - tolerance);
    for (const Use& use : movers[i].uses) {
      const std::size_t r = use.resource.index();
      has_bottleneck |= load[r] >= capacity[r] * (1 - tolerance) && rates[i] >= fastest[r] * (1 - tolerance);
    }
    if (!has_bottleneck) return "mover " + std::to_string(i) + " has no bottleneck";
  }
  return "";
}

std::unique_ptr<engine::Engine> make_reference_engine() { return std::make_unique<ReferenceEngine>(); }

}  // namespace moesim::tests
