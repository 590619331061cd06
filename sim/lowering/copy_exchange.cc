#include "sim/lowering/copy_exchange.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace moesim::lowering {
namespace {

using engine::Use;

// One resource of capacity 1 (seconds of a loop per second) per rank with a loop, and what a byte costs of it.
std::vector<Use> add_loops(engine::TaskGraph& graph, const std::string& what, const std::vector<double>& seconds,
                           const std::vector<double>& bytes) {
  std::vector<Use> loops;
  for (std::size_t rank = 0; rank < seconds.size(); ++rank) {
    MOESIM_CHECK(seconds[rank] >= 0 && std::isfinite(seconds[rank]), "time of a copy loop");
    if (seconds[rank] == 0 || bytes[rank] == 0) continue;
    loops.resize(bytes.size(), Use{{}, 0});
    loops[rank] = {graph.add_resource({what + " rank " + std::to_string(rank), engine::ResourceKind::SmCopy, 1, {}}),
                   seconds[rank] / bytes[rank]};
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
  engine::Exchange exchange;
  exchange.name = copy.name;
  exchange.ranks = copy.ranks;
  exchange.holds = copy.holds;
  exchange.source_use = add_loops(graph, copy.name + ": thread blocks that send,", copy.send_loop, sent);
  exchange.receiver_use = add_loops(graph, copy.name + ": thread blocks that receive,", copy.receive_loop, received);
  const auto looped = [](const std::vector<Use>& loops, std::size_t rank) {
    return !loops.empty() && loops[rank].per_unit > 0;
  };
  exchange.flows.reserve(n * n);
  for (std::size_t from = 0; from < n; ++from) {
    for (std::size_t to = 0; to < n; ++to) {
      const double bytes = copy.bytes[from * n + to];
      if (bytes == 0) continue;
      const auto source = static_cast<std::int32_t>(from), receiver = static_cast<std::int32_t>(to);
      if (from == to && !looped(exchange.source_use, from) && !looped(exchange.receiver_use, to))
        continue;  // within the GPU, and no loop: takes no time
      engine::PathId path = network.path(source, receiver, copy.shares);
      if (!copy.tail.empty()) {
        const auto uses = graph.path_uses(path);
        path = graph.add_path(std::vector(uses.begin(), uses.end()),
                              graph.path_latency(path) + base::Duration(copy.tail[to]));
      }
      exchange.flows.push_back({path, source, receiver, bytes});
    }
  }
  lowered.events = graph.add_exchange(std::move(exchange), started);
  return lowered;
}

}  // namespace moesim::lowering
