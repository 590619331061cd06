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
  explicit Loads(const TaskGraph& graph) : of_(graph.resources().size()) {
    std::vector<double> capacity;
    for (const Resource& resource : graph.resources()) {
      double largest = resource.capacity;
      for (const CapacityChange& change : resource.changes) largest = std::max(largest, change.capacity);
      capacity.push_back(largest);
    }
    share_begin_.push_back(0);
    for (std::size_t p = 0; p < graph.num_paths(); ++p) {
      for (const Use& use : graph.path_uses(PathId(p)))
        shares_.push_back({use.resource.value, use.per_unit / capacity[use.resource.index()]});
      share_begin_.push_back(shares_.size());
    }
    const auto of_ranks = [&](const std::vector<Use>& uses) {
      std::vector<Share> shares;
      for (const Use& use : uses)
        shares.push_back({use.resource.value, use.per_unit == 0 ? 0 : use.per_unit / capacity[use.resource.index()]});
      return shares;
    };
    for (const Exchange& exchange : graph.exchanges())
      rank_shares_.push_back({of_ranks(exchange.source_use), of_ranks(exchange.receiver_use)});
  }

  // The fastest that a flow of exchange `x` can be drained, alone on its path.
  double alone(std::uint32_t x, const Flow& flow) const {
    double slowest = 1 / flow.rate_cap;
    each_share(x, flow, [&](const Share& share) { slowest = std::max(slowest, share.time); });
    return flow.amount * slowest;
  }

  void add(std::uint32_t x, const Flow& flow, double start, double latency) {
    double slowest = 1 / flow.rate_cap;
    each_share(x, flow, [&](const Share& share) {
      slowest = std::max(slowest, share.time);
      Load& load = of_[share.resource];
      if (load.time == 0) {
        touched_.push_back(share.resource);
        load.first = load.latency = kNever;
      }
      load.time += flow.amount * share.time;
      load.first = std::min(load.first, start);
      load.latency = std::min(load.latency, latency);
    });
    end_ = std::max(end_, start + flow.amount * slowest + latency);
  }

  // No earlier can all added flows have ended; starts over.
  double take() {
    for (const std::uint32_t r : touched_) {
      end_ = std::max(end_, of_[r].first + of_[r].time + of_[r].latency);
      of_[r].time = 0;
    }
    touched_.clear();
    return std::exchange(end_, 0);
  }

 private:
  struct Share {
    std::uint32_t resource;
    double time;  // to carry one unit of progress
  };
  struct Load {
    double time = 0;
    double first = 0;
    double latency = 0;
  };
  struct RankShares {
    std::vector<Share> source, receiver;  // [ranks] or empty
  };
  template <class Visit>
  void each_share(std::uint32_t x, const Flow& flow, Visit visit) const {
    for (std::size_t i = share_begin_[flow.path.index()]; i < share_begin_[flow.path.index() + 1]; ++i)
      visit(shares_[i]);
    const auto of_rank = [&](const std::vector<Share>& shares, std::int32_t rank) {
      if (shares.empty()) return;
      if (const Share& share = shares[static_cast<std::size_t>(rank)]; share.time > 0) visit(share);
    };
    of_rank(rank_shares_[x].source, flow.source);
    of_rank(rank_shares_[x].receiver, flow.receiver);
  }

  std::vector<std::size_t> share_begin_;  // [paths + 1]
  std::vector<Share> shares_;
  std::vector<RankShares> rank_shares_;  // [exchanges]
  std::vector<Load> of_;                 // [resources]
  std::vector<std::uint32_t> touched_;
  double end_ = 0;
};

// Flow indices of one exchange by source or by receiver, in CSR form.
struct FlowsBy {
  std::vector<std::uint32_t> begin;  // [ranks + 1]
  std::vector<std::uint32_t> flows;

  std::span<const std::uint32_t> of(std::int32_t rank) const {
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
  std::vector<std::uint32_t> next(by.begin.begin(), by.begin.end() - 1);
  for (std::uint32_t f = 0; f < exchange.flows.size(); ++f)
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
        successors_begin_(graph.num_events() + 1) {
    const auto each_edge = [&](auto visit) {
      for (std::size_t i = 0; i < graph.num_events(); ++i)
        for (const EventId p : graph.prerequisites(EventId{i})) visit(p, EventId{i});
      for (const ComputeEvents& events : graph.compute_events()) visit(events.start, events.done);
    };
    each_edge([&](EventId from, EventId) { ++successors_begin_[from.index() + 1]; });
    for (std::size_t i = 1; i < successors_begin_.size(); ++i) successors_begin_[i] += successors_begin_[i - 1];
    successors_.resize(successors_begin_.back());
    std::vector<std::uint32_t> next(successors_begin_.begin(), successors_begin_.end() - 1);
    each_edge([&](EventId from, EventId to) {
      successors_[next[from.index()]++] = to;
      ++waits_[to.index()];
    });
    for (std::size_t x = 0; x < graph.exchanges().size(); ++x) {
      const Exchange& exchange = graph.exchanges()[x];
      const ExchangeEvents& events = graph.exchange_events()[x];
      by_source_.push_back(group(exchange, [](const Flow& flow) { return std::span(&flow.source, 1); }));
      by_receiver_.push_back(group(exchange, [&](const Flow& flow) { return graph.receivers(exchange, flow); }));
      drained_.emplace_back(exchange.flows.size());
      for (std::int32_t r = 0; r < exchange.ranks; ++r)
        waits_[events.done(r).index()] += static_cast<std::uint32_t>(by_receiver_[x].of(r).size());
    }
  }

  results::Timeline timeline() {
    for (std::size_t i = 0; i < waits_.size(); ++i)
      if (waits_[i] == 0) ready_.emplace_back(i);
    while (!ready_.empty()) {
      const EventId event = ready_.back();
      ready_.pop_back();
      fired_[event.index()] = true;
      time_[event.index()] = std::max(time_[event.index()], own_bound(event));
      for (std::uint32_t s = successors_begin_[event.index()]; s < successors_begin_[event.index() + 1]; ++s)
        pass_on(event, successors_[s]);
      // What a source sends, its receivers wait for.
      if (const TaskGraph::Owner owner = graph_.owner(event); owner.role == TaskGraph::Role::Start) {
        const Exchange& exchange = graph_.exchanges()[owner.index];
        const ExchangeEvents& events = graph_.exchange_events()[owner.index];
        for (const std::uint32_t f : by_source_[owner.index].of(owner.rank))
          for (const std::int32_t r : graph_.receivers(exchange, exchange.flows[f])) pass_on(event, events.done(r));
      }
    }
    results::Timeline timeline;
    timeline.engine = "bound";
    timeline.makespan = base::Duration(*std::max_element(time_.begin(), time_.end()));
    if (std::find(fired_.begin(), fired_.end(), false) != fired_.end())
      throw_stalled(graph_, fired_, timeline.makespan);
    timeline.event.reserve(time_.size());
    for (const double time : time_) timeline.event.emplace_back(time);
    timeline.drained = std::move(drained_);
    timeline.carried = carried();
    return timeline;
  }

 private:
  void pass_on(EventId from, EventId to) {
    double& time = time_[to.index()];
    time = std::max(time, time_[from.index()]);
    if (--waits_[to.index()] == 0) ready_.push_back(to);
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
    const auto start = [&](const Flow& flow) { return time_[events.start(flow.source).index()]; };
    const auto latency = [&](const Flow& flow) { return graph_.path_latency(flow.path).value(); };
    if (owner.role == Role::AllDone) {
      for (const Flow& flow : exchange.flows) loads_.add(owner.index, flow, start(flow), latency(flow));
    } else if (owner.role == Role::Done) {
      for (const std::uint32_t f : by_receiver_[owner.index].of(owner.rank))
        loads_.add(owner.index, exchange.flows[f], start(exchange.flows[f]), latency(exchange.flows[f]));
    } else {
      for (const std::uint32_t f : by_source_[owner.index].of(owner.rank)) {
        const Flow& flow = exchange.flows[f];
        loads_.add(owner.index, flow, start(flow), 0);
        drained_[owner.index][f] = start(flow) + loads_.alone(owner.index, flow);
      }
    }
    return loads_.take();
  }

  std::vector<double> carried() const {
    std::vector<double> carried(graph_.resources().size());
    for (const Exchange& exchange : graph_.exchanges())
      for (const Flow& flow : exchange.flows)
        graph_.each_use(exchange, flow,
                        [&](const Use& use) { carried[use.resource.index()] += flow.amount * use.per_unit; });
    for (const Compute& compute : graph_.computes())
      for (const Use& use : compute.uses) carried[use.resource.index()] += compute.alone.value() * use.per_unit;
    return carried;
  }

  const TaskGraph& graph_;
  Loads loads_;
  std::vector<double> time_;
  std::vector<bool> fired_;
  std::vector<std::uint32_t> waits_;
  std::vector<std::uint32_t> successors_begin_;  // [events + 1]
  std::vector<EventId> successors_;
  std::vector<EventId> ready_;
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
