#include "sim/lowering/nccl_choice.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace moesim::lowering {
namespace {

using topology::LinkKind;

constexpr std::array<double, 3> kRingBase{6.6, 14, 8.4}, kTreeBase{6.8, 14, 8.4};  // us, by protocol
constexpr std::array<double, 3> kNvLinkHop{0.6, 1.9, 3.4}, kPcieHop{1.0, 2.5, 5.7}, kNetworkHop{2.7, 4.0, 14};
constexpr double kNvlsBase = 25;  // us
constexpr double kNvlsShare = 5.0 / 6;
constexpr std::int32_t kNvlsRanks = 3;
constexpr double kLl128Share = 0.92, kTreeShare = 0.92, kTreeLlShare = 1 / 3.8;

struct Generation {
  std::string_view family;
  double link;                    // usable GB/s of an NVLink
  double ll;                      // llMax, GB/s
  double multicast;               // NVLS efficiency
  std::array<double, 10> speeds;  // GB/s of a channel that the search tries
};
constexpr std::array<Generation, 3> kGenerations{{
    {"ampere", 20.0, 87.7, 0, {40, 30, 20, 18, 15, 12, 10, 9, 7, 6}},
    {"hopper", 20.6, 141, 0.85, {60, 50, 40, 30, 24, 20, 15, 12, 6, 3}},
    {"blackwell", 40.1, 282, 0.74, {90, 80, 70, 60, 50, 45, 40, 30, 24, 20}},
}};

// Other families have no NVLink; their LL is bound by PCIe.
const Generation& generation(std::string_view family) {
  for (const Generation& g : kGenerations)
    if (g.family == family) return g;
  return kGenerations.front();
}

double cut_into_channels(double rate, const Generation& generation) {
  double best = 0;
  for (const double speed : generation.speeds) best = std::max(best, std::floor(rate / speed) * speed);
  return best;
}

double pcie_rate(double raw) {  // GB/s of x16: Gen3 16, Gen4 32, Gen5 64, Gen6 128
  return raw * 0.75;
}

}  // namespace

std::string_view to_string(NcclAlgorithm algorithm) {
  constexpr std::array<std::string_view, 3> kNames{"ring", "tree", "NVLS"};
  return kNames[static_cast<std::size_t>(algorithm)];
}

std::string_view to_string(NcclProtocol protocol) {
  constexpr std::array<std::string_view, 3> kNames{"LL", "LL128", "Simple"};
  return kNames[static_cast<std::size_t>(protocol)];
}

NcclFabric nccl_fabric(const topology::Router& router, std::string_view family, std::int32_t ranks) {
  const topology::Graph& graph = router.graph();
  NcclFabric fabric;
  const topology::Device& first = graph.device(router.gpus()[0]);
  const Generation& own = generation(family);
  double raw = 0;
  for (const topology::LinkId id : graph.links_of(router.gpus()[0])) {
    const topology::Link& link = graph.link(id);
    if (link.kind == LinkKind::NvLink) raw += link.lanes * own.link;
  }
  fabric.kind = raw > 0 ? LinkKind::NvLink : LinkKind::Pcie;
  if (raw > 0) {
    fabric.rate = cut_into_channels(raw, own) * 1e9;
    fabric.ll_rate = own.ll * 1e9;
    fabric.multicast = own.multicast;
  } else {
    for (const topology::LinkId id : graph.links_of(router.gpus()[0])) {
      const topology::Link& link = graph.link(id);
      if (link.kind == LinkKind::Pcie) raw += link.bandwidth.value();
    }
    fabric.rate = pcie_rate(raw);
    fabric.ll_rate = fabric.rate;
  }
  for (std::int32_t rank = 0; rank < ranks; ++rank) {
    const topology::Device& device = graph.device(router.gpus()[static_cast<std::size_t>(rank)]);
    fabric.gpus_per_node += fabric.kind == LinkKind::NvLink ? device.domain == first.domain : device.node == first.node;
  }
  return fabric;
}

std::int32_t nccl_ring_steps(NcclOp op, std::int32_t ranks) {
  return op == NcclOp::AllReduce ? 2 * (ranks - 1) : ranks - 1;
}

NcclChoice nccl_choose(NcclOp op, double bytes, std::int32_t ranks, bool floating, const NcclFabric& fabric) {
  MOESIM_CHECK(op != NcclOp::AllToAll && ranks >= 2 && bytes >= 0 && fabric.rate > 0, "a collective to choose for");
  const auto n = static_cast<double>(ranks);
  const double steps = nccl_ring_steps(op, ranks);
  const double nodes = std::ceil(n / std::max(1, fabric.gpus_per_node));
  const double network_steps = nodes > 1 ? steps * nodes / n : 0;
  const std::array<double, 3>& hop = fabric.kind == LinkKind::NvLink ? kNvLinkHop : kPcieHop;

  NcclChoice best;
  double best_time = -1;
  const auto consider = [&](NcclAlgorithm algorithm, NcclProtocol protocol, double latency_us, double moved,
                            double rate) {
    const double time = latency_us * 1e-6 + moved / rate;
    if (best_time >= 0 && time >= best_time) return;
    best_time = time;
    best = {algorithm, protocol};
  };
  for (const NcclProtocol protocol : {NcclProtocol::LL, NcclProtocol::LL128, NcclProtocol::Simple}) {
    if (protocol == NcclProtocol::LL128 && fabric.kind != LinkKind::NvLink) continue;
    const auto p = static_cast<std::size_t>(protocol);
    const std::array<double, 3> ring{std::min(fabric.ll_rate, fabric.rate / 2), kLl128Share * fabric.rate, fabric.rate};
    consider(NcclAlgorithm::Ring, protocol,
             kRingBase[p] + (steps - network_steps) * hop[p] + network_steps * kNetworkHop[p], steps * bytes / n,
             ring[p]);
    // Inside one node the ring is never slower: NCCL's correction factors see to that.
    if (op != NcclOp::AllReduce || nodes < 2) continue;
    const std::array<double, 3> tree{std::min(fabric.ll_rate, fabric.rate * kTreeLlShare), kTreeShare * fabric.rate,
                                     kTreeShare * fabric.rate};
    consider(NcclAlgorithm::Tree, protocol,
             kTreeBase[p] + 2 * ((n / nodes - 1) * hop[p] + std::log2(nodes) * kNetworkHop[p]), bytes, tree[p] / 2);
  }
  if (op == NcclOp::AllReduce && floating && nodes < 2 && ranks >= kNvlsRanks && fabric.multicast > 0) {
    consider(NcclAlgorithm::Nvls, NcclProtocol::Simple, kNvlsBase, bytes,
             kNvlsShare * n / (n + 1) * fabric.multicast * fabric.rate);
  }
  return best;
}

}  // namespace moesim::lowering
