#include "sim/lowering/copy_exchange.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"

namespace moesim::lowering {
namespace {

using engine::ResourceId;
using engine::Use;

// One resource of capacity 1 (seconds of a loop per second) per rank with a loop, and what a byte costs of it.
struct Loops {
  std::vector<std::optional<ResourceId>> resource;
  std::vector<double> per_byte;
};

Loops add_loops(engine::TaskGraph& graph, const std::string& what, const std::vector<double>& seconds,
                const std::vector<double>& bytes) {
  Loops loops;
  loops.resource.resize(bytes.size());
  loops.per_byte.resize(bytes.size(), 0);
  for (std::size_t rank = 0; rank < seconds.size(); ++rank) {
    MOESIM_CHECK(seconds[rank] >= 0 && std::isfinite(seconds[rank]), "time of a copy loop");
    if (seconds[rank] == 0 || bytes[rank] == 0) continue;
    loops.resource[rank] =
        graph.add_resource({what + " rank " + std::to_string(rank), engine::ResourceKind::SmCopy, 1, {}});
    loops.per_byte[rank] = seconds[rank] / bytes[rank];
  }
  return loops;
}

}  // namespace

LoweredExchange add_copy_exchange(Network& network, const CopyExchange& copy, std::span<const engine::EventId> after) {
  engine::TaskGraph& graph = network.graph();
  const auto n = static_cast<std::size_t>(copy.ranks);
  MOESIM_CHECK(copy.bytes.size() == n * n && copy.start.size() == n, "shape of a copy exchange");
  LoweredExchange lowered;
  std::vector<engine::EventId> started;
  for (std::size_t rank = 0; rank < n; ++rank) {
    engine::Compute launch{copy.name + ": start",
                           static_cast<std::int32_t>(rank),
                           base::Duration(copy.start[rank]),
                           base::Duration(0),
                           {}};
    const auto events = graph.add_compute(std::move(launch), after.empty() ? after : after.subspan(rank, 1));
    lowered.start.push_back(events.start);
    started.push_back(events.done);
  }
  std::vector<double> sent(n, 0), received(n, 0);
  for (std::size_t from = 0; from < n; ++from) {
    for (std::size_t to = 0; to < n; ++to) {
      const double bytes = copy.bytes[from * n + to];
      MOESIM_CHECK(bytes >= 0 && std::isfinite(bytes), "bytes of a copy exchange");
      sent[from] += bytes;
      received[to] += bytes;
    }
  }
  const Loops senders = add_loops(graph, copy.name + ": thread blocks that send,", copy.send_loop, sent);
  const Loops receivers = add_loops(graph, copy.name + ": thread blocks that receive,", copy.receive_loop, received);

  engine::Exchange exchange;
  exchange.name = copy.name;
  exchange.ranks = copy.ranks;
  exchange.holds = copy.holds;
  std::vector<Use> uses;
  for (std::size_t from = 0; from < n; ++from) {
    for (std::size_t to = 0; to < n; ++to) {
      const double bytes = copy.bytes[from * n + to];
      if (bytes == 0) continue;
      const auto source = static_cast<std::int32_t>(from), receiver = static_cast<std::int32_t>(to);
      double latency = copy.tail.empty() ? 0 : copy.tail[to];
      uses.clear();
      if (from != to) network.append_route(source, receiver, copy.shares, uses, latency);
      if (senders.resource[from]) uses.push_back({*senders.resource[from], senders.per_byte[from]});
      if (receivers.resource[to]) uses.push_back({*receivers.resource[to], receivers.per_byte[to]});
      if (uses.empty()) continue;  // within the GPU, and no loop: takes no time
      exchange.flows.push_back({graph.add_path(uses, base::Duration(latency)), source, receiver, bytes});
    }
  }
  lowered.events = graph.add_exchange(std::move(exchange), started);
  return lowered;
}

}  // namespace moesim::lowering
