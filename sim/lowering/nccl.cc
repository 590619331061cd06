#include "sim/lowering/nccl.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "sim/lowering/nccl_wiring.h"

namespace moesim::lowering {
namespace {

using engine::EventId;
using engine::ExchangeEvents;
using topology::LinkKind;

constexpr double kFlags = 2;      // LL: bytes on a link per byte of data
constexpr double kChannels = 24;  // of a ring; only its product with `ll` and the size that fills them show
constexpr double kTrafficPerChannel = 16384, kTrafficPerChannelAndRank = 4096;  // bytes that make NCCL add a channel
constexpr double kFlagMessage = 16384;      // largest point-to-point message with flags
constexpr double kPart = 65536;             // smallest part of a message that gets a channel of its own
constexpr double kBuffers = 32 * 524288.0;  // of all channels of a point-to-point kernel
constexpr double kAddFloating = 0.25;       // of the work of adding int8
constexpr std::array<double, 3> kNetworkHop{2.7e-6, 4.0e-6, 14e-6};  // NCCL's own, by protocol
constexpr double kNetworkShare = 0.945;                              // what RDMA reaches of a NIC's raw rate

class Ring {
 public:
  Ring(NcclWiring& wiring, const NcclCall& call, const NcclFabric& fabric, NcclProtocol protocol)
      : wiring_(wiring),
        call_(call),
        fabric_(fabric),
        protocol_(protocol),
        own_(call.bytes.value() / call.ranks),
        steps_(nccl_ring_steps(call.op, call.ranks)) {
    const std::int32_t n = call.ranks;
    for (std::int32_t rank = 0; rank < n; ++rank) network_edges_ += wiring.leaves_node(rank, (rank + 1) % n);
  }

  // Of so many steps, of which some are over the network.
  double latency(double steps, double hop) const {
    const double remote = static_cast<double>(network_edges_) / call_.ranks;
    return steps * ((1 - remote) * hop + remote * kNetworkHop[static_cast<std::size_t>(protocol_)]);
  }

  double add_cost() const { return call_.floating ? kAddFloating : 1; }

  ExchangeEvents over_pcie(std::span<const EventId> launched) {
    const bool flags = protocol_ == NcclProtocol::LL;
    const double wire = flags ? 1 / kFlags : 1;
    const WireShares shares{wire * wiring_.number("e"), wire * wiring_.number("e_cpu") * wiring_.number("stream"),
                            wire * kNetworkShare};
    const double start = flags ? 0 : wiring_.microseconds("a_simple");
    const double hop = wiring_.microseconds(flags ? "hop_ll" : "hop_simple");
    return wiring_.ring("ring", steps_ * own_, engine::kNoCap, shares, start + latency(steps_, hop), launched);
  }

  ExchangeEvents with_flags(std::span<const EventId> launched) {
    const double n = call_.ranks, traffic = call_.bytes.value() * (call_.op == NcclOp::AllReduce ? 2 : 1);
    const double channels = std::clamp(
        std::min(traffic / kTrafficPerChannel, call_.bytes.value() / (kTrafficPerChannelAndRank * n)), 1.0, kChannels);
    const double blocks = channels * wiring_.rate("ll");
    const double adding = call_.op == NcclOp::AllGather ? 0 : (n - 1) * add_cost() * wiring_.number("reduce");
    const double share = wiring_.number("e") / kFlags;
    const double start = channels > 1 ? wiring_.microseconds("many") : 0;
    const ExchangeEvents sent =
        wiring_.ring("ring", steps_ * own_, blocks * steps_ / (steps_ + adding), {share, share, kNetworkShare / kFlags},
                     start + latency(steps_, wiring_.microseconds("hop_ll")), launched);
    return last_copy(blocks, sent);
  }

  ExchangeEvents with_lines(std::span<const EventId> launched) {
    const double share = wiring_.number("e128");
    const ExchangeEvents sent =
        wiring_.ring("ring", steps_ * own_, engine::kNoCap, {share, share, kNetworkShare * 0.92},
                     wiring_.microseconds("a128") + latency(steps_, wiring_.microseconds("hop_128")), launched);
    return last_copy(wiring_.rate("copy"), sent);
  }

  ExchangeEvents simple(std::span<const EventId> launched) {
    const double share = wiring_.number("e"), blocks = wiring_.rate("copy");
    const double adding = blocks / (1 + wiring_.number("reduce") * add_cost());
    const WireShares shares{share, share, kNetworkShare};
    const double half = call_.ranks - 1, hops = latency(half, wiring_.microseconds("hop_simple"));
    const double start = wiring_.microseconds("a_simple");
    if (call_.op == NcclOp::AllGather)
      return last_copy(blocks, wiring_.ring("all-gather", half * own_, blocks, shares, start + hops, launched));
    const ExchangeEvents reduced = wiring_.ring("reduce-scatter", half * own_, adding, shares, start + hops, launched);
    if (call_.op == NcclOp::ReduceScatter) return last_copy(adding, reduced);
    return last_copy(blocks, wiring_.ring("all-gather", half * own_, blocks, shares, hops, wiring_.done(reduced)));
  }

 private:
  ExchangeEvents last_copy(double bytes_per_second, const ExchangeEvents& sent) {
    const std::vector<double> own(static_cast<std::size_t>(call_.ranks), own_);
    return wiring_.copy(own, bytes_per_second, wiring_.done(sent));
  }

  NcclWiring& wiring_;
  const NcclCall& call_;
  const NcclFabric& fabric_;
  NcclProtocol protocol_;
  double own_;    // bytes of a rank's shard
  double steps_;  // of the ring
  std::int32_t network_edges_ = 0;
};

ExchangeEvents lower_tree(NcclWiring& wiring, const NcclCall& call, const NcclFabric& fabric, NcclProtocol protocol,
                          std::span<const EventId> launched) {
  const bool pcie = fabric.kind != LinkKind::NvLink;
  const auto p = static_cast<std::size_t>(protocol);
  const double flags = protocol == NcclProtocol::LL ? kFlags : 1;
  const double direct = wiring.number(protocol == NcclProtocol::LL128 ? "e128" : "e") / flags;
  const double at_cpu = pcie ? wiring.number("e_cpu") / flags : direct;
  constexpr std::array<std::string_view, 3> kHop{"hop_ll", "hop_128", "hop_simple"};
  constexpr std::array<std::string_view, 3> kStart{"", "a128", "a_simple"};
  const double cap = pcie                           ? engine::kNoCap
                     : protocol == NcclProtocol::LL ? kChannels * wiring.rate("ll")
                                                    : wiring.rate("copy");
  const double start = kStart[p].empty() ? 0 : wiring.microseconds(kStart[p]);
  return nccl_tree(wiring, call.bytes.value(), fabric.gpus_per_node, cap, {direct, at_cpu, 1 / flags},
                   wiring.microseconds(kHop[p]), kNetworkHop[p], start, launched);
}

}  // namespace

ExchangeEvents nccl_lower(Network& network, const NcclCall& call, const profile::Profile& profile,
                          const profile::KernelParameters& parameters, std::span<const EventId> after) {
  const double bytes = call.bytes.value();
  MOESIM_CHECK(bytes >= 0 && std::isfinite(bytes), "bytes of a collective");
  if (call.op == NcclOp::AllToAll) {
    const auto n = static_cast<std::size_t>(call.ranks);
    return nccl_all_to_all_v(network, call.name, call.ranks, std::vector<double>(n * n, bytes / call.ranks), profile,
                             parameters, after);
  }
  NcclWiring wiring(network, call.name, call.ranks, parameters);
  const NcclFabric fabric = nccl_fabric(network.router(), profile.family, call.ranks);
  const NcclChoice choice = nccl_choose(call.op, bytes, call.ranks, call.floating, fabric);
  const std::vector<EventId> launched = wiring.launch(wiring.microseconds("a"), after);
  if (bytes == 0) return wiring.add("nothing", {}, launched);
  if (choice.algorithm == NcclAlgorithm::Nvls) return nccl_nvls(wiring, bytes, launched);
  if (choice.algorithm == NcclAlgorithm::Tree) return lower_tree(wiring, call, fabric, choice.protocol, launched);
  Ring ring(wiring, call, fabric, choice.protocol);
  if (fabric.kind != LinkKind::NvLink) return ring.over_pcie(launched);
  switch (choice.protocol) {
    case NcclProtocol::LL:
      return ring.with_flags(launched);
    case NcclProtocol::LL128:
      return ring.with_lines(launched);
    case NcclProtocol::Simple:
      break;
  }
  return ring.simple(launched);
}

ExchangeEvents nccl_all_to_all_v(Network& network, const std::string& name, std::int32_t ranks,
                                 std::span<const double> bytes, const profile::Profile& profile,
                                 const profile::KernelParameters& parameters, std::span<const EventId> after) {
  NcclWiring wiring(network, name, ranks, parameters);
  const auto n = static_cast<std::size_t>(ranks);
  MOESIM_CHECK(bytes.size() == n * n, "the matrix of an all-to-all");
  const bool pcie = nccl_fabric(network.router(), profile.family, ranks).kind != LinkKind::NvLink;
  const double share = wiring.number(pcie ? "e_all" : "e");
  const double at_cpu = pcie ? wiring.number("e_cpu") : share;
  const double peers = wiring.microseconds(pcie ? "hop_all" : "hop") * (ranks - 1);
  const double start = wiring.microseconds(pcie ? "a_all" : "a_simple");
  const std::vector<EventId> launched = wiring.launch(wiring.microseconds("a"), after);

  std::vector<engine::Flow> flows;
  std::vector<double> copies(n, 0);
  for (std::int32_t from = 0; from < ranks; ++from) {
    const auto row = bytes.subspan(static_cast<std::size_t>(from) * n, n);
    double all = 0;
    bool flags = true;
    for (std::int32_t to = 0; to < ranks; ++to) {
      const double message = row[static_cast<std::size_t>(to)];
      MOESIM_CHECK(message >= 0 && std::isfinite(message), "bytes of an all-to-all");
      all += message;
      if (message == 0 || to == from) continue;
      const bool small = message <= kFlagMessage;
      flags = flags && small;
      const double wire = small ? 1 / kFlags : 1;
      const double hop = wiring.leaves_node(from, to) ? kNetworkHop[small ? 0 : 2] : 0;
      const double channels = pcie    ? engine::kNoCap
                              : small ? wiring.rate("r_ll")
                                      : wiring.rate("r_part") * std::max(1.0, message / kPart);
      flows.push_back({wiring.path(from, to, {wire * share, wire * at_cpu, wire * kNetworkShare},
                                   peers + (small ? 0 : start) + hop),
                       from, to, message, channels});
    }
    if (flags || pcie) continue;  // the copies hide behind the links
    const double own = row[static_cast<std::size_t>(from)];
    copies[static_cast<std::size_t>(from)] = own + std::min(all, kBuffers) * wiring.rate("own") / wiring.rate("drain");
  }
  const ExchangeEvents sent = wiring.add("all-to-all", std::move(flows), launched);
  if (pcie) return sent;
  return wiring.copy(copies, wiring.rate("own"), wiring.done(sent));
}

}  // namespace moesim::lowering
