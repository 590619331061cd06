#include "sim/lowering/deepep.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "sim/lowering/kernel_cost.h"

namespace moesim::lowering {
namespace {

using engine::EventId;
using profile::KernelParameters;

// DeepEP's configuration: tokens per chunk of a channel, and slots of its ring buffers per channel and peer.
constexpr double kDispatchChunk = 6, kCombineChunk = 4;
constexpr double kDispatchNetworkChunk = 20, kCombineNetworkChunk = 12;
constexpr double kRingSlots = 256;
constexpr double kSmsPerChannel = 2;

// Combine, low latency: how sharply links and thread blocks give way to each other; the share of the HBM rate, and the
// passes over it, of results that have left the L2 cache.
constexpr double kSendEdge = 2, kHbmShare = 0.9, kHbmPasses = 2;

// Dispatch, normal: how sharply the bytes of a copy and its other work give way to each other.
constexpr double kCopyEdge = 2;

// The largest part of the NVLink rate that messages reach, headers taken off.
constexpr double kWireShare = 0.95;

double us(const KernelParameters& parameters, std::string_view name) { return parameters.at(name) * 1e-6; }
double rate(const KernelParameters& parameters, std::string_view name) { return parameters.at(name) * 1e9; }

// [ranks][ranks], or its transpose for the way back.
std::vector<double> turned(std::vector<double> matrix, std::size_t n, bool back) {
  if (back)
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < i; ++j) std::swap(matrix[i * n + j], matrix[j * n + i]);
  return matrix;
}

// Over one rank's links: what it sends to others over all that it sends, itself included.
double remote_share(const MoeTokens& tokens) { return 1 - 1.0 / tokens.ranks; }

double smoothly_used(double grid, double sms, double crowd) { return std::pow(std::min(1.0, grid / sms), crowd); }

}  // namespace

base::Bytes deepep_ll_dispatch_bytes(double hidden) { return base::Bytes(hidden * (1 + 4.0 / 128) + 16); }
base::Bytes deepep_normal_dispatch_bytes(double hidden) { return base::Bytes(hidden * (1 + 4.0 / 128)); }
base::Bytes deepep_combine_bytes(double hidden) { return base::Bytes(2 * hidden); }

LoweredExchange deepep_low_latency(Network& network, const MoeExchange& exchange, const profile::Profile& profile,
                                   const KernelParameters& parameters, std::span<const EventId> after,
                                   std::span<const GpuResources> gpus) {
  const MoeTokens& tokens = *exchange.tokens;
  const auto n = static_cast<std::size_t>(tokens.ranks);
  const double sms = profile.sms.value;
  const double groups = std::ceil(exchange.experts / sms);
  const double grid = std::ceil(exchange.experts / groups);
  const double message = exchange.message.value();

  CopyExchange copy;
  copy.name = exchange.name;
  copy.ranks = tokens.ranks;
  copy.shares = {kWireShare, parameters.at("nic")};
  const double start = us(parameters, "a") + us(parameters, "expert") * exchange.experts +
                       us(parameters, "hidden_cost") * exchange.hidden / 1024 +
                       (tokens.nodes > 1 ? us(parameters, "network") : 0);
  copy.start.assign(n, start);
  copy.bytes = tokens.selections;
  for (double& selections : copy.bytes) selections *= message;
  copy.bytes = turned(std::move(copy.bytes), n, exchange.combine);
  const double used = smoothly_used(grid, sms, parameters.at("crowd"));
  const double cached = exchange.combine ? parameters.at("l2") * profile.l2.value.value() : 0;
  const double hbm = kHbmShare * profile.hbm_bandwidth.value.value() / kHbmPasses;
  copy.send_loop.resize(n);
  copy.tail.resize(n);
  for (std::size_t rank = 0; rank < n; ++rank) {
    double sent = 0, received = 0;
    for (std::size_t other = 0; other < n; ++other) {
      sent += copy.bytes[rank * n + other];
      received += copy.bytes[other * n + rank];
    }
    const double link = sent / (parameters.at("share") * network.nvlink_rate(static_cast<std::int32_t>(rank)).value());
    // Each rank's own tokens are dealt to the thread blocks: as it sends them in dispatch, as it adds them up in
    // combine.
    const double waves = (std::max(1.0, std::ceil(tokens.tokens[rank] / grid)) - 1) * us(parameters, "wave");
    if (exchange.combine) {
      copy.send_loop[rank] = smooth_max(link, sent / (rate(parameters, "rate") * used), kSendEdge);
      copy.tail[rank] = waves + std::max(0.0, received - cached) / hbm;
    } else {
      copy.send_loop[rank] = link / used + waves;
    }
  }
  for (const GpuResources& gpu : gpus) copy.holds.push_back({gpu.rank, gpu.sms, grid, true});
  return add_copy_exchange(network, copy, after);
}

LoweredExchange deepep_normal(Network& network, const MoeExchange& exchange, double sms,
                              const profile::Profile& /*profile*/, const KernelParameters& parameters,
                              std::span<const EventId> after, std::span<const GpuResources> gpus) {
  MOESIM_CHECK(sms >= kSmsPerChannel, "SMs of a normal DeepEP kernel");
  const MoeTokens& tokens = *exchange.tokens;
  const auto n = static_cast<std::size_t>(tokens.ranks);
  const bool over_network = tokens.nodes > 1;
  const double message = exchange.message.value();
  const std::int32_t per_node = tokens.ranks_per_node();

  // Within a node the matrix tells what goes over NVLink, between nodes what goes over RDMA: a rank's own copies to its
  // node, and once per node the copies that the GPU of its rail forwards there.
  std::vector<double> bytes(n * n, 0), loop(n, 0), copies_received(n, 0), dealt_received(n, 0);
  const double moved = message / rate(parameters, "rate"), besides = us(parameters, "copy");
  const double channels = sms / kSmsPerChannel;
  // The busiest channel's tokens over the mean: whole tokens are dealt to them.
  const auto dealt = [&](double count) { return count > 0 ? std::ceil(count / channels) * channels / count : 1; };
  const double copy_work = (exchange.combine ? moved + besides : smooth_max(moved, besides, kCopyEdge)) / sms *
                           (over_network ? parameters.at("hops") : 1);
  for (std::int32_t from = 0; from < tokens.ranks; ++from) {
    double copies = 0;
    for (std::int32_t to = 0; to < tokens.ranks; ++to) {
      const double count = tokens.copies_at(from, to);
      copies += count;
      copies_received[static_cast<std::size_t>(to)] += count;
      dealt_received[static_cast<std::size_t>(to)] += count * dealt(tokens.tokens[static_cast<std::size_t>(from)]);
      const std::int32_t relay = tokens.node_of(to) * per_node + from % per_node;
      bytes[static_cast<std::size_t>(relay) * n + static_cast<std::size_t>(to)] += count * message;
    }
    for (std::int32_t node = 0; node < tokens.nodes; ++node) {
      if (node == tokens.node_of(from)) continue;
      const std::int32_t relay = node * per_node + from % per_node;
      bytes[static_cast<std::size_t>(from) * n + static_cast<std::size_t>(relay)] +=
          tokens.node_copies_at(from, node) * message;
    }
    loop[static_cast<std::size_t>(from)] = copies * copy_work * dealt(tokens.tokens[static_cast<std::size_t>(from)]);
  }

  CopyExchange copy;
  copy.name = exchange.name;
  copy.ranks = tokens.ranks;
  copy.shares = {parameters.at("share"), parameters.at("nic")};
  copy.bytes = turned(std::move(bytes), n, exchange.combine);
  copy.start.assign(n, us(parameters, "a") + us(parameters, "hidden_cost") * exchange.hidden / 1024 +
                           (over_network ? us(parameters, "network") : 0));
  const double chunk = exchange.combine ? kCombineChunk : kDispatchChunk;
  const double network_chunk = exchange.combine ? kCombineNetworkChunk : kDispatchNetworkChunk;
  copy.tail.resize(n);
  (exchange.combine ? copy.receive_loop : copy.send_loop).resize(n);
  if (exchange.combine) copy.send_loop.assign(n, 0);
  for (std::size_t rank = 0; rank < n; ++rank) {
    const double uneven = dealt(tokens.tokens[rank]);
    const double scan = tokens.tokens[rank] * uneven * message / rate(parameters, "scan") / sms;
    if (exchange.combine) {
      copy.receive_loop[rank] = scan;
      copy.send_loop[rank] = dealt_received[rank] * copy_work;
    } else {
      copy.send_loop[rank] = std::max(loop[rank], scan);
    }
    // Copies that rank r waits for: those that it receives in dispatch, those that come back to it in combine. Of the
    // busiest channel, as many times as there are channels.
    double copies = copies_received[rank], busiest = dealt_received[rank];
    if (exchange.combine) {
      copies = 0;
      for (std::size_t to = 0; to < n; ++to) copies += tokens.copies[rank * n + to];
      busiest = copies * uneven;
    }
    const double link = network.nvlink_rate(static_cast<std::int32_t>(rank)).value() * parameters.at("share");
    const double first = channels * (chunk * per_node + (over_network ? network_chunk * tokens.nodes : 0));
    copy.tail[rank] = std::max(std::min(busiest, first) * copy_work,
                               std::min(copies, first) * remote_share(tokens) * message / link) +
                      std::min(copies, kRingSlots * channels * per_node) * message / rate(parameters, "cold");
  }
  for (const GpuResources& gpu : gpus) copy.holds.push_back({gpu.rank, gpu.sms, sms, true});
  return add_copy_exchange(network, copy, after);
}

}  // namespace moesim::lowering
