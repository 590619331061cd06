#include "sim/lowering/nccl_wiring.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace moesim::lowering {

using engine::EventId;
using engine::ExchangeEvents;
using topology::DeviceKind;

NcclWiring::NcclWiring(Network& network, std::string name, std::int32_t ranks,
                       const profile::KernelParameters& parameters)
    : network_(&network), name_(std::move(name)), ranks_(ranks), parameters_(&parameters) {
  MOESIM_CHECK(ranks >= 2 && static_cast<std::size_t>(ranks) <= network.router().gpus().size(),
               "ranks of a collective");
}

std::vector<EventId> NcclWiring::launch(double seconds, std::span<const EventId> after) {
  std::vector<EventId> launched;
  for (std::int32_t rank = 0; rank < ranks_; ++rank) {
    engine::Compute kernel{name_ + ": launch", rank, base::Duration(seconds), base::Duration(0), {}};
    const auto waits = after.empty() ? after : after.subspan(static_cast<std::size_t>(rank), 1);
    launched.push_back(graph().add_compute(std::move(kernel), waits).done);
  }
  return launched;
}

topology::Port NcclWiring::port_of(engine::ResourceId resource) const {
  const auto& ports = network_->port_resources();
  const auto found =
      std::find_if(ports.begin(), ports.end(), [&](const auto& known) { return known.resource == resource; });
  MOESIM_CHECK(found != ports.end(), "a path's use that is no link");
  return found->port;
}

engine::PathId NcclWiring::path(std::int32_t from, std::int32_t to, const WireShares& shares, double latency_seconds) {
  const topology::Graph& links = network_->router().graph();
  const auto raw = graph().path_uses(network_->path(from, to));
  std::vector<engine::Use> uses(raw.begin(), raw.end());
  for (engine::Use& use : uses) {
    const topology::Port port = port_of(use.resource);
    const topology::LinkKind kind = links.link(port.link).kind;
    const bool cpu = links.device(links.port_from(port)).kind == DeviceKind::Cpu ||
                     links.device(links.port_to(port)).kind == DeviceKind::Cpu;
    double share = 1;  // what joins CPUs is given as what can be used of it
    if (kind == topology::LinkKind::Network) share = shares.network;
    if (kind == topology::LinkKind::NvLink || kind == topology::LinkKind::Pcie)
      share = cpu ? shares.at_cpu : shares.direct;
    // A path takes 1 / ceiling already; of share and ceiling the smaller counts.
    const double ceiling = network_->ceiling(kind);
    use.per_unit *= ceiling / std::min(share, ceiling);
  }
  return graph().add_path(uses, base::Duration(latency_seconds));
}

void NcclWiring::add_links_out(std::int32_t rank, double per_byte, std::vector<engine::Use>& uses) {
  const topology::DeviceId gpu = network_->router().gpus()[static_cast<std::size_t>(rank)];
  const topology::Graph& links = network_->router().graph();
  for (const engine::Use& use : graph().path_uses(network_->path(rank, (rank + 1) % ranks_)))
    if (const auto port = port_of(use.resource); links.port_from(port) == gpu)
      uses.push_back({use.resource, use.per_unit * network_->ceiling(links.link(port.link).kind) * per_byte});
}

void NcclWiring::add_links_in(std::int32_t rank, double per_byte, std::vector<engine::Use>& uses) {
  const topology::DeviceId gpu = network_->router().gpus()[static_cast<std::size_t>(rank)];
  const topology::Graph& links = network_->router().graph();
  for (const engine::Use& use : graph().path_uses(network_->path((rank + 1) % ranks_, rank)))
    if (const auto port = port_of(use.resource); links.port_to(port) == gpu)
      uses.push_back({use.resource, use.per_unit * network_->ceiling(links.link(port.link).kind) * per_byte});
}

bool NcclWiring::leaves_node(std::int32_t from, std::int32_t to) const {
  const topology::Graph& links = network_->router().graph();
  const auto hops = network_->router().route(from, to).hops;
  return std::any_of(hops.begin(), hops.end(), [&](const topology::Hop& hop) {
    return links.link(hop.port.link).kind == topology::LinkKind::Network;
  });
}

ExchangeEvents NcclWiring::add(const std::string& stage, std::vector<engine::Flow> flows,
                               std::span<const EventId> after, std::vector<std::vector<std::int32_t>> receiver_groups) {
  engine::Exchange exchange;
  exchange.name = name_ + ": " + stage;
  exchange.ranks = ranks_;
  exchange.flows = std::move(flows);
  exchange.receiver_groups = std::move(receiver_groups);
  return graph().add_exchange(std::move(exchange), after);
}

ExchangeEvents NcclWiring::ring(const std::string& stage, double bytes, double cap, const WireShares& shares,
                                double latency_seconds, std::span<const EventId> after) {
  std::vector<engine::Flow> flows;
  for (std::int32_t rank = 0; bytes > 0 && rank < ranks_; ++rank) {
    const std::int32_t next = (rank + 1) % ranks_;
    flows.push_back({path(rank, next, shares, latency_seconds), rank, next, bytes, cap});
  }
  return add(stage, std::move(flows), after);
}

ExchangeEvents NcclWiring::copy(const std::vector<double>& bytes, double bytes_per_second,
                                std::span<const EventId> after) {
  std::vector<engine::Flow> flows;
  for (std::int32_t rank = 0; rank < ranks_; ++rank) {
    const double amount = bytes[static_cast<std::size_t>(rank)];
    if (amount <= 0) continue;
    const engine::ResourceId blocks = graph().add_resource({name_ + ": thread blocks of rank " + std::to_string(rank),
                                                            engine::ResourceKind::SmCopy,
                                                            bytes_per_second,
                                                            {}});
    const engine::Use use{blocks, 1};
    flows.push_back({graph().add_path({&use, 1}, base::Duration(0)), rank, rank, amount, engine::kNoCap});
  }
  return add("copy", std::move(flows), after);
}

std::vector<EventId> NcclWiring::done(const ExchangeEvents& events) const {
  std::vector<EventId> all;
  for (std::int32_t rank = 0; rank < ranks_; ++rank) all.push_back(events.done(rank));
  return all;
}

}  // namespace moesim::lowering
