#include "sim/engine/fluid_engine.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <unordered_map>

#include "base/error.h"
#include "sim/engine/flow_classes.h"
#include "sim/engine/fluid_network.h"
#include "sim/engine/timers.h"

namespace moesim::engine {
namespace {

using Role = TaskGraph::Role;

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr std::uint32_t kCompute = std::numeric_limits<std::uint32_t>::max();  // in place of an exchange

// Time-ordered work other than the ends of flows.
enum class Action : std::uint8_t { Capacity, Satisfy, StartCompute };

// The bounds of every resource's capacity over the run.
struct CapacityRange {
  std::vector<double> now, least, most;

  explicit CapacityRange(const TaskGraph& graph) {
    for (const Resource& resource : graph.resources()) {
      double low = resource.capacity, high = resource.capacity;
      for (const CapacityChange& change : resource.changes) {
        low = std::min(low, change.capacity);
        high = std::max(high, change.capacity);
      }
      now.push_back(resource.capacity);
      least.push_back(low);
      most.push_back(high);
    }
    for (const Exchange& exchange : graph.exchanges())
      for (const SmHold& hold : exchange.holds)
        if (hold.count > 0) least[hold.resource.index()] = 0;
  }
};

class Execution {
 public:
  Execution(const TaskGraph& graph, const EngineOptions& options)
      : graph_(graph),
        options_(options),
        classes_(graph),
        range_(graph),
        network_(classes_.routes(), range_.now, range_.least, range_.most, {options.tolerance, options.certify}) {
    const std::size_t events = graph.num_events();
    pending_.resize(events);
    undelivered_.resize(events);
    delivered_at_.resize(events);
    fired_.resize(events);
    timeline_.event.resize(events);
    index_waiters();
    for (const ComputeEvents& of : graph.compute_events()) ++pending_[of.done.index()];
    sources_.resize(graph.exchanges().size());
    for (std::size_t x = 0; x < graph.exchanges().size(); ++x) {
      const Exchange& exchange = graph.exchanges()[x];
      const ExchangeEvents& of = graph.exchange_events()[x];
      timeline_.drained.emplace_back(exchange.flows.size());
      for (const Flow& flow : exchange.flows) {
        ++pending_[of.sent(flow.source).index()];
        for (const std::int32_t r : graph.receivers(exchange, flow)) ++undelivered_[of.done(r).index()];
      }
      for (std::int32_t r = 0; r < exchange.ranks; ++r)
        if (undelivered_[of.done(r).index()] > 0) ++pending_[of.done(r).index()];
    }
    if (options.replay) find_repeated();
    held_.resize(graph.resources().size());
    for (std::uint32_t r = 0; r < graph.resources().size(); ++r) {
      base_capacity_.push_back(graph.resources()[r].capacity);
      for (const CapacityChange& change : graph.resources()[r].changes)
        timers_.add(change.at.value(), Priority::Capacity, {Action::Capacity, r, change.capacity});
    }
  }

  results::Timeline run() {
    for (std::uint32_t e = 0; e < pending_.size(); ++e)
      if (pending_[e] == 0) ready_.push_back(e);
    while (true) {
      handle_present();
      if (num_fired_ == fired_.size()) break;
      const double next = std::min(timers_.next(), network_.next());
      if (next == kNever) throw_stalled(graph_, fired_, base::Duration(now_));
      now_ = next;
      while (timers_.next() <= now_ && timers_.next_priority() == Priority::Capacity) take_timer();
      if (network_.next() <= now_) {
        network_.complete(now_, completed_);
        take_completed();
      }
    }
    finish();
    return std::move(timeline_);
  }

 private:
  struct Work {
    Action action;
    std::uint32_t index;  // resource, event or compute
    double value;
  };
  // The flows of an exchange by source, while it has sources that have not started.
  struct Sources {
    std::vector<std::uint32_t> begin;  // [ranks + 1]
    std::vector<std::uint32_t> flows;
    std::int32_t waiting = 0;  // sources with flows that have not started
    bool announced = false;
  };

  // Marks exchanges with equal flows, for the network to simulate once.
  void find_repeated() {
    std::unordered_map<std::uint64_t, std::uint32_t> first;
    std::vector<char> repeated(graph_.exchanges().size());
    for (std::uint32_t x = 0; x < repeated.size(); ++x) {
      std::uint64_t h = graph_.exchanges()[x].flows.size();
      for (const Flow& flow : graph_.exchanges()[x].flows) {
        h = (h ^ flow.path.value ^ std::bit_cast<std::uint64_t>(flow.amount)) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
      }
      const auto [found, is_new] = first.emplace(h, x);
      if (!is_new) repeated[x] = repeated[found->second] = 1;
    }
    network_.set_repeated(std::move(repeated));
  }

  void index_waiters() {
    const std::size_t events = pending_.size();
    waiters_begin_.assign(events + 1, 0);
    for (std::size_t e = 0; e < events; ++e) {
      const auto& prerequisites = graph_.prerequisites(EventId(e));
      pending_[e] = static_cast<std::uint32_t>(prerequisites.size());
      for (const EventId p : prerequisites) ++waiters_begin_[p.index() + 1];
    }
    for (std::size_t e = 0; e < events; ++e) waiters_begin_[e + 1] += waiters_begin_[e];
    waiters_.resize(waiters_begin_.back());
    std::vector<std::uint32_t> next(waiters_begin_.begin(), waiters_begin_.end());
    for (std::size_t e = 0; e < events; ++e)
      for (const EventId p : graph_.prerequisites(EventId(e)))
        waiters_[next[p.index()]++] = static_cast<std::uint32_t>(e);
  }

  void satisfy(EventId event) {
    if (--pending_[event.index()] == 0) ready_.push_back(event.value);
  }

  // Everything that happens now; none of it takes time.
  void handle_present() {
    while (true) {
      std::size_t next = 0;
      while (next < ready_.size()) fire(ready_[next++]);  // which may make more ready
      ready_.clear();
      if (timers_.next() <= now_) {
        take_timer();
        continue;
      }
      network_.flush(now_, completed_);
      if (completed_.empty()) return;
      take_completed();
    }
  }

  void fire(std::uint32_t event) {
    fired_[event] = true;
    timeline_.event[event] = base::Duration(now_);
    ++num_fired_;
    const TaskGraph::Owner owner = graph_.owner(EventId(event));
    switch (owner.role) {
      case Role::Start:
        start_flows(owner.index, owner.rank);
        [[fallthrough]];
      case Role::Sent:
      case Role::Done:
        if (!graph_.exchanges()[owner.index].holds.empty()) change_holds(owner);
        break;
      case Role::ComputeStart:
        timers_.add(now_ + graph_.computes()[owner.index].launch.value(), Priority::Start,
                    {Action::StartCompute, owner.index, 0});
        break;
      default:
        break;
    }
    for (std::uint32_t i = waiters_begin_[event]; i < waiters_begin_[event + 1]; ++i) satisfy(EventId(waiters_[i]));
  }

  void take_timer() {
    const Work work = timers_.take();
    switch (work.action) {
      case Action::Capacity:
        base_capacity_[work.index] = work.value;
        apply_capacity(work.index);
        break;
      case Action::Satisfy:
        satisfy(EventId(work.index));
        break;
      case Action::StartCompute:
        start_compute(work.index);
        break;
    }
  }

  void apply_capacity(std::uint32_t resource) {
    network_.set_capacity(resource, std::max(0.0, base_capacity_[resource] - held_[resource]));
  }

  void change_holds(const TaskGraph::Owner& owner) {
    for (const SmHold& hold : graph_.exchanges()[owner.index].holds) {
      if (hold.rank != owner.rank || hold.count == 0) continue;
      const auto r = hold.resource.value;
      if (owner.role == Role::Start) held_[r] += hold.count;
      if (owner.role == (hold.until_done ? Role::Done : Role::Sent)) held_[r] -= hold.count;
      apply_capacity(r);
    }
  }

  // Announces all flows of an exchange when its first source starts.
  void announce(std::uint32_t x) {
    const Exchange& exchange = graph_.exchanges()[x];
    Sources& sources = sources_[x];
    sources.announced = true;
    sources.begin.assign(static_cast<std::size_t>(exchange.ranks) + 2, 0);
    for (const Flow& flow : exchange.flows) ++sources.begin[static_cast<std::size_t>(flow.source) + 2];
    for (const std::uint32_t count : sources.begin) sources.waiting += count > 0;
    for (std::size_t s = 0; s + 1 < sources.begin.size(); ++s) sources.begin[s + 1] += sources.begin[s];
    sources.flows.resize(exchange.flows.size());
    for (std::uint32_t f = 0; f < exchange.flows.size(); ++f) {
      sources.flows[sources.begin[static_cast<std::size_t>(exchange.flows[f].source) + 1]++] = f;
      network_.expect(classes_.of(x, f));
    }
  }

  void start_flows(std::uint32_t x, std::int32_t source) {
    const Exchange& exchange = graph_.exchanges()[x];
    if (exchange.flows.empty()) return;
    Sources& sources = sources_[x];
    if (!sources.announced) announce(x);
    const std::uint32_t begin = sources.begin[static_cast<std::size_t>(source)];
    const std::uint32_t end = sources.begin[static_cast<std::size_t>(source) + 1];
    for (std::uint32_t i = begin; i < end; ++i) {
      const std::uint32_t f = sources.flows[i];
      network_.start(classes_.of(x, f), exchange.flows[f].amount, x, f);
    }
    if (begin < end && --sources.waiting == 0) sources.flows = {};
  }

  void start_compute(std::uint32_t c) {
    const double alone = graph_.computes()[c].alone.value();
    if (alone == 0) return satisfy(graph_.compute_events()[c].done);
    network_.expect(classes_.of(ComputeId(c)));
    network_.start(classes_.of(ComputeId(c)), alone, kCompute, c);
  }

  void take_completed() {
    for (const auto& [x, index, ended_at] : completed_) {
      if (x == kCompute) {
        satisfy(graph_.compute_events()[index].done);
        continue;
      }
      const Exchange& exchange = graph_.exchanges()[x];
      const ExchangeEvents& of = graph_.exchange_events()[x];
      const Flow& flow = exchange.flows[index];
      timeline_.drained[x][index] = ended_at;
      const double at = ended_at + graph_.path_latency(flow.path).value();
      for (const std::int32_t r : graph_.receivers(exchange, flow)) {
        const EventId done = of.done(r);
        double& last = delivered_at_[done.index()];
        last = std::max(last, at);
        if (--undelivered_[done.index()] == 0)
          timers_.add(std::max(last, now_), Priority::Completion, {Action::Satisfy, done.value, 0});
      }
      satisfy(of.sent(flow.source));
    }
    completed_.clear();
  }

  void finish() {
    timeline_.engine = "fluid";
    timeline_.tolerance = options_.tolerance;
    timeline_.makespan = *std::max_element(timeline_.event.begin(), timeline_.event.end());
    timeline_.carried.assign(graph_.resources().size(), 0);
    const auto carry = [&](const Use& use, double amount) {
      timeline_.carried[use.resource.index()] += use.per_unit * amount;
    };
    for (const Exchange& exchange : graph_.exchanges())
      for (const Flow& flow : exchange.flows)
        graph_.each_use(exchange, flow, [&](const Use& use) { carry(use, flow.amount); });
    for (const Compute& compute : graph_.computes())
      for (const Use& use : compute.uses) carry(use, compute.alone.value());
  }

  const TaskGraph& graph_;
  const EngineOptions options_;
  const FlowClasses classes_;
  const CapacityRange range_;
  FluidNetwork network_;
  double now_ = 0;
  std::vector<std::uint32_t> pending_;        // [events] prerequisites and completions still missing
  std::vector<std::uint32_t> undelivered_;    // [events] flows towards a done[receiver] that are not drained
  std::vector<double> delivered_at_;          // [events] when the last of those drained so far is delivered
  std::vector<std::uint32_t> waiters_begin_;  // [events + 1]
  std::vector<std::uint32_t> waiters_;
  std::vector<bool> fired_;
  std::size_t num_fired_ = 0;
  std::vector<std::uint32_t> ready_;
  Timers<Work> timers_;
  std::vector<FluidNetwork::Completed> completed_;
  std::vector<Sources> sources_;              // [exchanges]
  std::vector<double> base_capacity_, held_;  // [resources]
  results::Timeline timeline_;
};

class FluidEngine final : public Engine {
 public:
  explicit FluidEngine(const EngineOptions& options) : options_(options) {}
  std::string_view name() const override { return "fluid"; }
  results::Timeline run(const TaskGraph& graph) const override { return Execution(graph, options_).run(); }

 private:
  EngineOptions options_;
};

}  // namespace

std::unique_ptr<Engine> make_fluid_engine(const EngineOptions& options) {
  return std::make_unique<FluidEngine>(options);
}

}  // namespace moesim::engine
