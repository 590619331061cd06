// Each run happens in a forked process (forked.h): SimGrid allows one engine per process, does not restart its clock
// for a second one (its precision is absolute, so results would depend on what ran before), and runs in the main thread
// only.
//
// Nobody blocks on an event there. An event fires with its last prerequisite; a start event begins its source's
// transfers, a Compute is a delay, done[r] is a delay after the last flow towards r is drained. So SimGrid sees exactly
// the active flows, and a graph that stalls simply ends with events that have not fired.
#include "sim/engine/simgrid_engine.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "sim/engine/forked.h"
#include "sim/engine/simgrid_plan.h"
#include "sim/engine/simgrid_platform.h"

namespace moesim::engine {
namespace {

using Role = TaskGraph::Role;

constexpr double kNotYet = std::numeric_limits<double>::quiet_NaN();
constexpr double kRounding = 1e-12;  // relative; times or sums nearer than this are equal

// What a simulation yields, in SimGrid's seconds.
struct Times {
  std::vector<double> event;    // [events] kNotYet where one never fired
  std::vector<double> drained;  // [flows of all exchanges]
  double end = 0;
  std::string unsupported;  // what turned out on the way to be unsupported; the rest means nothing then

  std::string packed() const;
  void unpack(const std::string& bytes);  // event and drained have their sizes already
};

std::string Times::packed() const {
  if (!unsupported.empty()) return "U" + unsupported;
  std::string bytes = "T";
  bytes.append(reinterpret_cast<const char*>(&end), sizeof end);
  for (const auto* values : {&event, &drained})
    bytes.append(reinterpret_cast<const char*>(values->data()), values->size() * sizeof(double));
  return bytes;
}

void Times::unpack(const std::string& bytes) {
  MOESIM_CHECK(!bytes.empty(), "a simulation without a result");
  if (bytes.front() == 'U') {
    unsupported = bytes.substr(1);
    return;
  }
  const char* from = bytes.data() + 1;
  MOESIM_CHECK(bytes.size() == 1 + sizeof(double) * (1 + event.size() + drained.size()), "a truncated result");
  const auto take = [&](double* to, std::size_t count) {
    if (count > 0) std::memcpy(to, from, count * sizeof(double));
    from += count * sizeof(double);
  };
  take(&end, 1);
  take(event.data(), event.size());
  take(drained.data(), drained.size());
}

std::size_t count_flows(const TaskGraph& graph) {
  std::size_t flows = 0;
  for (const Exchange& exchange : graph.exchanges()) flows += exchange.flows.size();
  return flows;
}

// One simulation.
class Execution {
 public:
  Execution(const TaskGraph& graph, const SimgridPlan& plan);
  Times run();

 private:
  // Flows towards one receiver of an exchange.
  struct Arrival {
    std::size_t missing = 0;  // not yet drained
    double last = 0;          // when the last of the others is delivered
  };
  // What a compute takes of a resource.
  struct Busy {
    std::uint32_t compute;
    double until, amount;
  };

  void satisfy(EventId event);
  void fire_ready();
  void fire(EventId event);
  void start_flows(std::size_t x, std::int32_t source);
  void on_drained(std::size_t x, std::size_t f);
  void start_compute(std::uint32_t c);
  void work_alone(std::uint32_t c);
  void after(double delay, EventId then);

  const TaskGraph& graph_;
  const SimgridPlan& plan_;
  std::unique_ptr<SimgridPlatform> platform_;
  std::vector<std::size_t> first_flow_;         // [exchanges] into flow_order_ and times_.drained
  std::vector<std::uint32_t> flow_order_;       // the flows of each exchange, by source
  std::vector<std::vector<Arrival>> arrivals_;  // [exchanges][ranks]
  std::vector<std::vector<Busy>> busy_;         // [resources]
  std::vector<std::size_t> pending_;            // [events] prerequisites and completions still missing
  std::vector<std::vector<EventId>> waiters_;   // [events]
  std::vector<EventId> ready_;
  Times times_;
};

Execution::Execution(const TaskGraph& graph, const SimgridPlan& plan)
    : graph_(graph),
      plan_(plan),
      platform_(load_simgrid()(plan.routes.size())),
      busy_(graph.resources().size()),
      pending_(graph.num_events()),
      waiters_(graph.num_events()) {
  for (const double capacity : plan.link_capacity) platform_->add_link(capacity);
  for (const auto& links : plan.routes) platform_->add_route(links);
  for (std::size_t e = 0; e < pending_.size(); ++e) {
    pending_[e] = graph.prerequisites(EventId{e}).size();
    for (const EventId p : graph.prerequisites(EventId{e})) waiters_[p.index()].push_back(EventId{e});
  }
  for (const ComputeEvents& events : graph.compute_events()) ++pending_[events.done.index()];
  for (std::size_t x = 0; x < graph.exchanges().size(); ++x) {
    const Exchange& exchange = graph.exchanges()[x];
    const ExchangeEvents& events = graph.exchange_events()[x];
    auto& arrivals = arrivals_.emplace_back(static_cast<std::size_t>(exchange.ranks));
    first_flow_.push_back(flow_order_.size());
    for (std::size_t f = 0; f < exchange.flows.size(); ++f) {
      const Flow& flow = exchange.flows[f];
      flow_order_.push_back(static_cast<std::uint32_t>(f));
      ++pending_[events.sent(flow.source).index()];
      if (arrivals[static_cast<std::size_t>(flow.receiver)].missing++ == 0)
        ++pending_[events.done(flow.receiver).index()];
    }
    std::stable_sort(flow_order_.begin() + static_cast<std::ptrdiff_t>(first_flow_.back()), flow_order_.end(),
                     [&](auto a, auto b) { return exchange.flows[a].source < exchange.flows[b].source; });
  }
  times_.event.assign(graph.num_events(), kNotYet);
  times_.drained.assign(flow_order_.size(), kNotYet);
}

Times Execution::run() {
  for (std::size_t e = 0; e < pending_.size(); ++e)
    if (pending_[e] == 0) ready_.push_back(EventId{e});
  fire_ready();
  platform_->run();
  times_.end = platform_->now();
  return std::move(times_);
}

void Execution::satisfy(EventId event) {
  if (--pending_[event.index()] == 0) ready_.push_back(event);
}

void Execution::fire_ready() {
  while (!ready_.empty()) {
    const EventId event = ready_.back();
    ready_.pop_back();
    if (times_.unsupported.empty()) fire(event);
  }
}

void Execution::fire(EventId event) {
  times_.event[event.index()] = platform_->now();
  const TaskGraph::Owner owner = graph_.owner(event);
  if (owner.role == Role::Start) start_flows(owner.index, owner.rank);
  if (owner.role == Role::ComputeStart) start_compute(owner.index);
  for (const EventId waiter : waiters_[event.index()]) satisfy(waiter);
}

void Execution::start_flows(std::size_t x, std::int32_t source) {
  const Exchange& exchange = graph_.exchanges()[x];
  const auto begin = flow_order_.begin() + static_cast<std::ptrdiff_t>(first_flow_[x]);
  const auto of_source = [&](std::uint32_t f) { return exchange.flows[f].source; };
  const auto end = begin + static_cast<std::ptrdiff_t>(exchange.flows.size());
  auto at = std::partition_point(begin, end, [&](auto f) { return of_source(f) < source; });
  std::vector<SimgridPlatform::Transfer> transfers;
  std::vector<std::uint32_t> flows;
  for (; at != end && of_source(*at) == source; ++at) {
    const Flow& flow = exchange.flows[*at];
    const std::size_t route = plan_.route[flow.path.index()];
    if (route == SimgridPlan::kNoRoute) {  // shares nothing: only its cap limits it
      platform_->after(plan_.time(base::Duration(flow.amount / flow.rate_cap)),
                       [this, x, f = *at] { on_drained(x, f); });
      continue;
    }
    transfers.push_back({route, plan_.amount(flow.amount), plan_.rate(flow.rate_cap)});
    flows.push_back(*at);
  }
  if (transfers.empty()) return;
  platform_->transfer(std::move(transfers),
                      [this, x, flows = std::move(flows)](std::size_t i) { on_drained(x, flows[i]); });
}

void Execution::on_drained(std::size_t x, std::size_t f) {
  const Flow& flow = graph_.exchanges()[x].flows[f];
  const ExchangeEvents& events = graph_.exchange_events()[x];
  const double now = platform_->now();
  times_.drained[first_flow_[x] + f] = now;
  Arrival& arrival = arrivals_[x][static_cast<std::size_t>(flow.receiver)];
  arrival.last = std::max(arrival.last, now + plan_.time(graph_.path_latency(flow.path)));
  if (--arrival.missing == 0) after(arrival.last - now, events.done(flow.receiver));
  satisfy(events.sent(flow.source));
  fire_ready();
}

void Execution::start_compute(std::uint32_t c) {
  const Compute& compute = graph_.computes()[c];
  if (compute.launch.value() == 0) return work_alone(c);
  platform_->after(plan_.time(compute.launch), [this, c] {
    work_alone(c);
    fire_ready();
  });
}

// A compute takes its closed-form time if nobody competes with it, that is if all uses fit the capacity at all times.
void Execution::work_alone(std::uint32_t c) {
  const Compute& compute = graph_.computes()[c];
  const double now = platform_->now();
  for (const Use& use : compute.uses) {
    if (compute.alone.value() == 0) break;
    auto& busy = busy_[use.resource.index()];
    std::erase_if(busy, [&](const Busy& b) { return b.until <= now * (1 + kRounding); });
    busy.push_back({c, now + plan_.time(compute.alone), use.per_unit});
    double taken = 0;
    for (const Busy& b : busy) taken += b.amount;
    const Resource& resource = graph_.resources()[use.resource.index()];
    if (taken > resource.capacity * (1 + kRounding)) {
      times_.unsupported = "computes that compete for " + resource.name + " (" +
                           graph_.computes()[busy.front().compute].name + " and " + compute.name + ")";
    }
  }
  after(plan_.time(compute.alone), graph_.compute_events()[c].done);
}

void Execution::after(double delay, EventId then) {
  if (delay <= 0) return satisfy(then);
  platform_->after(delay, [this, then] {
    satisfy(then);
    fire_ready();
  });
}

// Amounts that pass through a resource do not depend on when.
std::vector<double> carried(const TaskGraph& graph) {
  std::vector<double> carried(graph.resources().size());
  for (const Exchange& exchange : graph.exchanges())
    for (const Flow& flow : exchange.flows)
      for (const Use& use : graph.path_uses(flow.path)) carried[use.resource.index()] += flow.amount * use.per_unit;
  for (const Compute& compute : graph.computes())
    for (const Use& use : compute.uses) carried[use.resource.index()] += compute.alone.value() * use.per_unit;
  return carried;
}

class SimgridEngine final : public Engine {
 public:
  std::string_view name() const override { return "simgrid"; }
  results::Timeline run(const TaskGraph& graph) const override { return run_plain(graph.with_plain_paths()); }

 private:
  results::Timeline run_plain(const TaskGraph& graph) const;
};

results::Timeline SimgridEngine::run_plain(const TaskGraph& graph) const {
  const SimgridPlan plan = plan_for_simgrid(graph);
  Times times;
  times.event.resize(graph.num_events());
  times.drained.resize(count_flows(graph));
  load_simgrid();  // once, not in every copy of this process
  times.unpack(run_forked([&] { return Execution(graph, plan).run().packed(); }));
  if (!times.unsupported.empty()) throw UnsupportedError(name(), times.unsupported);

  results::Timeline timeline;
  timeline.engine = name();
  std::vector<bool> fired;
  for (const double t : times.event) {
    fired.push_back(!std::isnan(t));
    timeline.event.push_back(plan.unscaled(t));
  }
  if (std::find(fired.begin(), fired.end(), false) != fired.end())
    throw_stalled(graph, fired, plan.unscaled(times.end));
  auto drained = times.drained.begin();
  for (const Exchange& exchange : graph.exchanges()) {
    auto& of_exchange = timeline.drained.emplace_back();
    for (std::size_t f = 0; f < exchange.flows.size(); ++f) of_exchange.push_back(plan.unscaled(*drained++).value());
  }
  timeline.carried = carried(graph);
  timeline.makespan = *std::max_element(timeline.event.begin(), timeline.event.end());
  return timeline;
}

}  // namespace

std::unique_ptr<Engine> make_simgrid_engine(const EngineOptions&) { return std::make_unique<SimgridEngine>(); }

}  // namespace moesim::engine
