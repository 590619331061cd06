// All-reduce in the switches (NVLS) and over trees of nodes.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/lowering/nccl_wiring.h"

namespace moesim::lowering {
namespace {

using engine::EventId;

constexpr double kNvlsChannels = 16;
constexpr double kKiB = 1024;
constexpr double kNetworkShare = 0.945;  // what RDMA reaches of a NIC's raw rate

// NCCL's choice of the bytes that one channel takes of one shard at a time.
double nvls_chunk(double bytes, double heads) {
  double chunk = 64 * kKiB;
  for (const double rounds : {8.0, 4.0, 2.0})
    if (bytes < rounds * kNvlsChannels * heads * chunk) chunk /= 2;
  return chunk;
}

}  // namespace

engine::ExchangeEvents nccl_nvls(NcclWiring& wiring, double bytes, std::span<const EventId> launched) {
  const std::int32_t n = wiring.ranks();
  const double chunk = nvls_chunk(bytes, n);
  const double filling = wiring.number("fill") * kNvlsChannels * n * chunk;
  const double per_byte = (1 + wiring.number("c0") * kKiB / chunk) / wiring.number("e");
  const double amount = (bytes + filling) / n;
  const base::Duration latency(wiring.microseconds("a_nvls"));

  std::vector<std::int32_t> everybody(static_cast<std::size_t>(n));
  std::iota(everybody.begin(), everybody.end(), 0);
  std::vector<engine::Flow> flows;
  for (std::int32_t head = 0; head < n; ++head) {
    std::vector<engine::Use> reads, writes;
    for (std::int32_t rank = 0; rank < n; ++rank) {
      wiring.add_links_out(rank, per_byte, reads);
      wiring.add_links_in(rank, per_byte, writes);
    }
    wiring.add_links_in(head, per_byte, reads);
    wiring.add_links_out(head, per_byte, writes);
    flows.push_back({wiring.graph().add_path(reads, latency), head, head, amount, engine::kNoCap});
    flows.push_back({wiring.graph().add_path(writes, latency), head, -1, amount, engine::kNoCap});
  }
  // A switch adds what all GPUs have: nobody's read begins before all are there.
  const EventId all = wiring.graph().add_event(wiring.name() + ": all ranks", launched);
  const std::vector<EventId> start(static_cast<std::size_t>(n), all);
  return wiring.add("NVLS", std::move(flows), start, {everybody});
}

engine::ExchangeEvents nccl_tree(NcclWiring& wiring, double bytes, std::int32_t gpus_per_node, double cap,
                                 const WireShares& shares, double hop_seconds, double network_hop_seconds,
                                 double start_seconds, std::span<const EventId> launched) {
  const std::int32_t n = wiring.ranks(), nodes = (n + gpus_per_node - 1) / gpus_per_node;
  WireShares wires = shares;
  wires.network = shares.network * kNetworkShare;
  const double depth = std::ceil(std::log2(nodes));
  const double latency = start_seconds + 2 * ((gpus_per_node - 1) * hop_seconds + depth * network_hop_seconds);
  std::vector<engine::Flow> flows;
  const auto join = [&](std::int32_t child, std::int32_t parent, double amount) {
    if (child == parent) return;
    flows.push_back({wiring.path(child, parent, wires, latency), child, parent, amount, cap});
    flows.push_back({wiring.path(parent, child, wires, latency), parent, child, amount, cap});
  };
  for (std::int32_t rank = 0; rank < n; ++rank)
    if (rank % gpus_per_node != 0) join(rank, rank - 1, bytes);
  // Two binary trees of nodes, the second in reverse order so that the inner nodes of one are leaves of the other.
  for (std::int32_t node = 1; node < nodes; ++node) {
    const std::int32_t parent = (node - 1) / 2;
    join(node * gpus_per_node, parent * gpus_per_node, bytes / 2);
    join((nodes - 1 - node) * gpus_per_node, (nodes - 1 - parent) * gpus_per_node, bytes / 2);
  }
  if (bytes <= 0) flows.clear();
  return wiring.add("tree", std::move(flows), launched);
}

}  // namespace moesim::lowering
