// The narrow waist: what is to be executed, as plain data. Behaviours above it are ways to build a TaskGraph; every
// engine below runs any TaskGraph it can express and refuses the rest by name. Nothing here knows of MoE.
//
// Resource   a capacity in its own unit per second (bytes/s of one direction of a link, messages/s of a NIC, SMs).
// Path       a list of (resource, consumption per unit of progress) and a latency; interned, shared by many flows.
// Flow       an amount to move along a path from one source to one receiver, or to several at once (multicast).
// Exchange   one node for a whole traffic matrix, with events start[source], sent[source], done[receiver]. What all
//            flows of a source, or all towards a receiver, use beside their paths is named once per rank.
// Compute    work on the SMs and HBM of one GPU, slowed when somebody else takes part of them.
// Event      fires at one moment, once all its prerequisites have fired. kOrigin fires at time 0.
//
// Meaning, the same for every engine. Let x_f be the progress rate of flow f and a_fr its consumption of resource r:
//   - rates are max-min fair: all rise together and a flow stops rising at its first full resource or at its rate cap;
//     at every moment sum_f a_fr x_f <= C_r;
//   - a flow becomes active when start[source] fires, is *drained* when the integral of its rate reaches its amount,
//     and is *delivered* one path latency later;
//   - sent[s] fires when start[s] has fired and all flows of s are drained;
//   - done[r] fires when start[r] has fired and all flows towards r are delivered (a multicast flow counts at each of
//     its receivers);
//   - a Compute waits `launch` after its start event, then progresses from 0 to `alone` seconds with rate at most 1,
//     max-min fair with everything else on its resources;
//   - an SmHold lowers the capacity of a resource, to 0 at the least, from start[rank] to sent[rank] or done[rank];
//   - simultaneous events are handled in the order (time, priority, insertion): capacity changes, then completions
//     and deliveries, then starts; each in order of insertion.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/units.h"

namespace moesim::engine {

using ResourceId = base::Id<struct ResourceTag>;
using PathId = base::Id<struct PathTag>;
using EventId = base::Id<struct EventTag>;
using ComputeId = base::Id<struct ComputeTag>;
using ExchangeId = base::Id<struct ExchangeTag>;

inline constexpr EventId kOrigin{std::uint32_t{0}};
inline constexpr double kNoCap = std::numeric_limits<double>::infinity();

enum class ResourceKind : std::uint8_t { Link, MessageRate, SmCopy, Sms, Hbm };

struct CapacityChange {
  base::Duration at;
  double capacity = 0;  // from then on, in the resource's unit
};

struct Resource {
  std::string name;
  ResourceKind kind = ResourceKind::Link;
  double capacity = 0;                  // bytes/s, messages/s, bytes/s, SMs, bytes/s by kind; > 0
  std::vector<CapacityChange> changes;  // in order of time
};

struct Use {
  ResourceId resource;
  double per_unit = 1;  // consumption per unit of progress, > 0
};

struct Flow {
  PathId path;
  std::int32_t source = 0;
  std::int32_t receiver = 0;  // >= 0: a rank of the exchange; < 0: receiver_groups[-1 - receiver]
  double amount = 0;          // units of progress (usually bytes), > 0
  double rate_cap = kNoCap;   // units of progress per second, for a single queue pair or channel
};

struct SmHold {
  std::int32_t rank = 0;
  ResourceId resource;  // of kind Sms
  double count = 0;
  bool until_done = false;  // released at done[rank], otherwise at sent[rank]
};

struct Exchange {
  std::string name;
  std::int32_t ranks = 0;  // sources and receivers are 0 ... ranks-1 of this exchange
  std::vector<Flow> flows;
  std::vector<std::vector<std::int32_t>> receiver_groups;
  std::vector<SmHold> holds;
  // [ranks], or empty if there is none: what each flow of a source, and each towards a receiver, uses beside its path
  // (a rank's thread blocks); per_unit 0: nothing. No receiver_use where a flow has several receivers.
  std::vector<Use> source_use{}, receiver_use{};
};

struct Compute {
  std::string name;
  std::int32_t rank = 0;
  base::Duration launch;  // paid first, uses nothing
  base::Duration alone;   // its time when nobody else uses its resources
  std::vector<Use> uses;  // consumption at full speed: SMs busy, HBM bytes/s; at most the capacity
};

// The events of an exchange, by rank.
struct ExchangeEvents {
  ExchangeId exchange;
  std::int32_t ranks = 0;
  std::uint32_t first = 0;  // event ids: start of all ranks, sent of all ranks, done of all ranks, all done

  EventId start(std::int32_t rank) const { return EventId(first + static_cast<std::uint32_t>(rank)); }
  EventId sent(std::int32_t rank) const { return EventId(first + static_cast<std::uint32_t>(ranks + rank)); }
  EventId done(std::int32_t rank) const { return EventId(first + static_cast<std::uint32_t>(2 * ranks + rank)); }
  EventId all_done() const { return EventId(first + static_cast<std::uint32_t>(3 * ranks)); }
};

struct ComputeEvents {
  ComputeId compute;
  EventId start;
  EventId done;
};

class TaskGraph {
 public:
  TaskGraph();

  ResourceId add_resource(Resource resource);
  PathId add_path(std::span<const Use> uses, base::Duration latency);
  // A barrier: fires when all of `after` have fired; at time 0 if there are none.
  EventId add_event(std::string_view name, std::span<const EventId> after = {});
  void wait_for(EventId waiter, EventId prerequisite);
  ComputeEvents add_compute(Compute compute, std::span<const EventId> after);
  // start[rank] waits for after[rank] (all start at time 0 if `after` is empty) and whatever wait_for adds.
  // Flows must have positive finite amounts: leave out what is not sent.
  ExchangeEvents add_exchange(Exchange exchange, std::span<const EventId> after = {});

  const std::vector<Resource>& resources() const { return resources_; }
  std::size_t num_paths() const { return path_latency_.size(); }
  std::span<const Use> path_uses(PathId path) const;
  base::Duration path_latency(PathId path) const { return path_latency_[path.index()]; }
  // Calls visit(use) for each of a flow's uses: of its path, then of its source and of its receiver.
  template <class Visit>
  void each_use(const Exchange& exchange, const Flow& flow, Visit visit) const;
  std::vector<Use> uses(const Exchange& exchange, const Flow& flow) const;
  // The same graph without source_use and receiver_use: each flow that has any gets a path of its own.
  TaskGraph with_plain_paths() const;
  const std::vector<Compute>& computes() const { return computes_; }
  const std::vector<ComputeEvents>& compute_events() const { return compute_events_; }
  const std::vector<Exchange>& exchanges() const { return exchanges_; }
  const std::vector<ExchangeEvents>& exchange_events() const { return exchange_events_; }

  std::size_t num_events() const { return event_owner_.size(); }
  // What an explicit edge makes this event wait for (beside the completions that the owner's meaning implies).
  const std::vector<EventId>& prerequisites(EventId event) const { return prerequisites_[event.index()]; }
  // "done[3] of dispatch", for messages and traces.
  std::string describe(EventId event) const;

  // What an event belongs to.
  enum class Role : std::uint8_t { Barrier, ComputeStart, ComputeDone, Start, Sent, Done, AllDone };
  struct Owner {
    Role role = Role::Barrier;
    std::uint32_t index = 0;  // compute, exchange, or name of a barrier
    std::int32_t rank = 0;
  };
  Owner owner(EventId event) const { return event_owner_[event.index()]; }
  std::span<const std::int32_t> receivers(const Exchange& exchange, const Flow& flow) const;

 private:
  EventId new_event(Owner owner);

  std::vector<Resource> resources_;
  std::vector<Use> uses_;
  std::vector<std::size_t> path_begin_;  // [paths + 1] into uses_
  std::vector<base::Duration> path_latency_;
  std::vector<Compute> computes_;
  std::vector<ComputeEvents> compute_events_;
  std::vector<Exchange> exchanges_;
  std::vector<ExchangeEvents> exchange_events_;
  std::vector<Owner> event_owner_;
  std::vector<std::vector<EventId>> prerequisites_;
  std::vector<std::string> barrier_names_;
};

template <class Visit>
void TaskGraph::each_use(const Exchange& exchange, const Flow& flow, Visit visit) const {
  for (const Use& use : path_uses(flow.path)) visit(use);
  const auto of_rank = [&](const std::vector<Use>& uses, std::int32_t rank) {
    if (uses.empty()) return;
    if (const Use& use = uses[static_cast<std::size_t>(rank)]; use.per_unit > 0) visit(use);
  };
  of_rank(exchange.source_use, flow.source);
  of_rank(exchange.receiver_use, flow.receiver);
}

}  // namespace moesim::engine
