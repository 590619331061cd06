#include "tests/sim/engine/random_graph.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "base/random.h"

namespace moesim::tests {
namespace {

using base::Duration;
using engine::EventId;
using engine::Exchange;
using engine::Flow;
using engine::PathId;
using engine::ResourceId;
using engine::ResourceKind;
using engine::TaskGraph;
using engine::Use;

constexpr double kSms = 100;

class Builder {
 public:
  Builder(std::uint64_t seed, const RandomGraphOptions& options) : options_(options), random_(seed, "random_graph") {
    ranks_ = options.min_ranks + below(options.max_ranks - options.min_ranks + 1);
    typical_time_ = options.size / options.bandwidth * ranks_;
  }

  TaskGraph build() {
    add_resources();
    std::vector<EventId> last(static_cast<std::size_t>(ranks_), engine::kOrigin);
    last_compute_ = last;
    for (std::int32_t x = 0; x < options_.exchanges; ++x) {
      if (options_.computes) add_computes(last, "compute " + std::to_string(x));
      add_exchange(last, "exchange " + std::to_string(x));
    }
    if (options_.computes) add_computes(last, "compute at the end");
    return std::move(graph_);
  }

 private:
  std::int32_t below(std::int32_t bound) {
    return static_cast<std::int32_t>(random_.below(static_cast<std::uint64_t>(bound)));
  }
  bool chance(double probability) { return random_.uniform() < probability; }
  double between(double low, double high) { return high - (high - low) * random_.uniform(); }  // (low, high]
  double capacity() { return options_.bandwidth * (options_.ties ? (chance(0.5) ? 1 : 0.5) : between(0.1, 1)); }
  double amount() { return options_.size * (options_.ties ? (chance(0.5) ? 1 : 0.5) : between(0, 1)); }

  double weight() {
    if (options_.weights == RandomWeights::Integers) return 1 + below(3);
    return options_.weights == RandomWeights::Fractions ? between(0.1, 3) : 1.0;
  }

  ResourceId add_link(const std::string& name) {
    engine::Resource link{name, ResourceKind::Link, capacity(), {}};
    if (options_.capacity_changes && chance(0.5)) {
      double at = 0;
      for (std::int32_t i = 1 + below(3); i > 0; --i) {
        at += between(0, typical_time_);
        link.changes.push_back({Duration(at), i > 1 && chance(0.3) ? 0 : capacity()});
      }
    }
    return graph_.add_resource(std::move(link));
  }

  void add_resources() {
    const auto add = [&](const char* name, std::int32_t count) {
      std::vector<ResourceId> ids;
      for (std::int32_t i = 0; i < count; ++i) ids.push_back(add_link(name + ("[" + std::to_string(i)) + "]"));
      return ids;
    };
    if (options_.topology == RandomTopology::Arbitrary) {
      links_ = add("link", options_.resources);
    } else {
      up_ = add("up", ranks_);
      down_ = add("down", ranks_);
    }
    if (options_.topology == RandomTopology::TwoLevel) {
      std::int32_t nodes = 0;
      for (std::int32_t rank = 0; rank < ranks_; ++nodes)
        for (std::int32_t i = 2 + below(2); i > 0 && rank < ranks_; --i, ++rank) node_.push_back(nodes);
      out_ = add("out", nodes);
      in_ = add("in", nodes);
    }
    for (std::int32_t rank = 0; rank < ranks_; ++rank) {
      const std::string of = "[" + std::to_string(rank) + "]";
      sms_.push_back(graph_.add_resource({"sms" + of, ResourceKind::Sms, kSms, {}}));
      hbm_.push_back(graph_.add_resource({"hbm" + of, ResourceKind::Hbm, options_.bandwidth, {}}));
    }
  }

  PathId add_path(std::size_t s, std::size_t r) {
    std::vector<Use> uses;
    const auto use = [&](ResourceId resource) { uses.push_back({resource, weight()}); };
    if (options_.topology == RandomTopology::Arbitrary) {
      std::vector<ResourceId> pool = links_;
      const std::int32_t longest = std::min(options_.longest_path, options_.resources);
      for (std::int32_t i = 1 + below(longest); i > 0; --i) {
        const auto chosen = pool.begin() + below(static_cast<std::int32_t>(pool.size()));
        use(*chosen);
        pool.erase(chosen);
      }
    } else {
      use(up_[s]);
      if (options_.topology == RandomTopology::TwoLevel && node_[s] != node_[r]) {
        use(out_[static_cast<std::size_t>(node_[s])]);
        use(in_[static_cast<std::size_t>(node_[r])]);
      }
      use(down_[r]);
    }
    const double latency = options_.latencies ? between(0, 0.5 * options_.size / options_.bandwidth) : 0;
    return graph_.add_path(uses, Duration(latency));
  }

  // An interned path of the pair: the first one, or (`another`) a fresh one.
  PathId path(std::int32_t source, std::int32_t receiver, bool another) {
    const auto s = static_cast<std::size_t>(source), r = static_cast<std::size_t>(receiver);
    if (paths_.empty()) paths_.resize(static_cast<std::size_t>(ranks_) * static_cast<std::size_t>(ranks_));
    auto& of_pair = paths_[s * static_cast<std::size_t>(ranks_) + r];
    if (of_pair.empty() || another) of_pair.push_back(add_path(s, r));
    return another ? of_pair.back() : of_pair.front();
  }

  void add_computes(std::vector<EventId>& last, const std::string& name) {
    for (std::int32_t rank = 0; rank < ranks_; ++rank) {
      if (!chance(0.7)) continue;
      const auto r = static_cast<std::size_t>(rank);
      engine::Compute compute;
      compute.name = name;
      compute.rank = rank;
      compute.launch = Duration(chance(0.5) ? between(0, 0.2 * typical_time_) : 0);
      compute.alone = Duration(options_.ties ? (chance(0.5) ? 0.25 : 0.5) * typical_time_ : between(0, typical_time_));
      compute.uses = {{sms_[r], kSms * between(0.3, 1)}, {hbm_[r], options_.bandwidth * between(0.3, 1)}};
      std::vector<EventId> after{options_.overlapping_computes && chance(0.3) ? engine::kOrigin : last[r]};
      if (!options_.overlapping_computes) after.push_back(last_compute_[r]);
      last[r] = last_compute_[r] = graph_.add_compute(compute, after).done;
    }
  }

  void add_exchange(std::vector<EventId>& last, const std::string& name) {
    Exchange exchange;
    exchange.name = name;
    exchange.ranks = ranks_;
    for (std::int32_t s = 0; s < ranks_; ++s) {
      for (std::int32_t r = 0; r < ranks_; ++r) {
        if (s == r || !chance(options_.flow_probability)) continue;
        add_flow(exchange, s, r, false);
        if (options_.parallel_flows && chance(0.3)) add_flow(exchange, s, r, true);
      }
      if (options_.sm_holds && chance(0.7))
        exchange.holds.push_back({s, sms_[static_cast<std::size_t>(s)], kSms * between(0, 0.8), chance(0.5)});
    }
    if (options_.rank_uses) {
      if (chance(0.7)) exchange.source_use = rank_uses(name + ": out");
      if (!options_.multicast && chance(0.7)) exchange.receiver_use = rank_uses(name + ": in");
    }
    std::vector<EventId> after = last;
    for (EventId& event : after)
      if (options_.exchanges > 1 && chance(0.3)) event = engine::kOrigin;
    const engine::ExchangeEvents events = graph_.add_exchange(std::move(exchange), after);
    for (std::int32_t rank = 0; rank < ranks_; ++rank)
      last[static_cast<std::size_t>(rank)] = chance(0.5) ? events.done(rank) : events.sent(rank);
  }

  // Some of the ranks have a resource of their own, some one that is a link as well.
  std::vector<Use> rank_uses(const std::string& name) {
    std::vector<Use> uses(static_cast<std::size_t>(ranks_), Use{{}, 0});
    for (std::size_t r = 0; r < uses.size(); ++r) {
      if (chance(0.2)) continue;
      const bool own = links_.empty() || chance(0.7);
      const ResourceId resource =
          own ? add_link(name + "[" + std::to_string(r) + "]")
              : links_[static_cast<std::size_t>(below(static_cast<std::int32_t>(links_.size())))];
      uses[r] = {resource, weight()};
    }
    return uses;
  }

  void add_flow(Exchange& exchange, std::int32_t source, std::int32_t receiver, bool another) {
    Flow flow{path(source, receiver, another), source, receiver, amount()};
    if (options_.caps && chance(1.0 / 3)) flow.rate_cap = options_.bandwidth * between(0.05, 0.5);
    if (options_.multicast && chance(1.0 / 3)) {
      std::vector<std::int32_t> group{receiver};
      for (std::int32_t i = 1 + below(2); i > 0; --i) {
        const std::int32_t other = below(ranks_);
        if (std::find(group.begin(), group.end(), other) == group.end()) group.push_back(other);
      }
      exchange.receiver_groups.push_back(group);
      flow.receiver = -static_cast<std::int32_t>(exchange.receiver_groups.size());
    }
    exchange.flows.push_back(flow);
  }

  const RandomGraphOptions& options_;
  base::RandomStream random_;
  std::int32_t ranks_ = 0;
  double typical_time_ = 0;
  TaskGraph graph_;
  std::vector<ResourceId> links_, up_, down_, out_, in_, sms_, hbm_;
  std::vector<std::int32_t> node_;          // [ranks]
  std::vector<EventId> last_compute_;       // [ranks]
  std::vector<std::vector<PathId>> paths_;  // [source * ranks + receiver]
};

}  // namespace

TaskGraph random_graph(std::uint64_t seed, const RandomGraphOptions& options) { return Builder(seed, options).build(); }

RandomGraphOptions mixed_options(std::uint64_t seed, bool everything) {
  base::RandomStream random(seed, "mixed_options");
  const auto some = [&] { return random.below(2) == 0; };
  RandomGraphOptions options;
  options.topology = static_cast<RandomTopology>(random.below(3));
  options.max_ranks = 2 + static_cast<std::int32_t>(random.below(6));
  options.resources = 2 + static_cast<std::int32_t>(random.below(8));
  options.longest_path = 1 + static_cast<std::int32_t>(random.below(5));
  options.flow_probability = 0.2 + 0.8 * random.uniform();
  options.parallel_flows = some();
  if (some()) std::tie(options.bandwidth, options.size) = std::pair(450e9, 0x1p20);
  options.ties = random.below(3) == 0;
  options.weights = static_cast<RandomWeights>(random.below(everything ? 3 : 2));
  options.caps = some();
  options.latencies = some();
  options.exchanges = 1 + static_cast<std::int32_t>(random.below(3));
  options.computes = some();
  options.rank_uses = some();
  if (!everything) return options;
  options.overlapping_computes = some();
  options.sm_holds = some();
  options.capacity_changes = some();
  options.multicast = some();
  return options;
}

}  // namespace moesim::tests
