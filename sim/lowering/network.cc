#include "sim/lowering/network.h"

#include <algorithm>

namespace moesim::lowering {

using topology::LinkKind;

Network::Network(engine::TaskGraph& graph, const topology::Router& router, const profile::LinkCeilings& ceilings)
    : graph_(&graph), router_(&router), ceilings_(ceilings), ports_(std::make_shared<Ports>()) {
  ports_->resource.assign(2 * router.graph().num_links(), -1);
}

Network Network::of_group(const topology::Router& router) const {
  Network group = *this;
  group.router_ = &router;
  group.paths_.clear();  // they are by rank
  return group;
}

double Network::ceiling(LinkKind kind) const {
  const profile::LinkCeiling* known = kind == LinkKind::NvLink    ? &ceilings_.nvlink
                                      : kind == LinkKind::Pcie    ? &ceilings_.pcie
                                      : kind == LinkKind::Network ? &ceilings_.network
                                                                  : nullptr;
  return known != nullptr && known->share ? known->share->value : 1;
}

base::Duration Network::latency(const topology::Route& route) const {
  base::Duration total = route.latency;
  for (const auto& [kind, known] :
       {std::pair(LinkKind::NvLink, &ceilings_.nvlink), std::pair(LinkKind::Network, &ceilings_.network)}) {
    if (!known->latency) continue;
    for (const topology::Hop& hop : route.hops) {
      if (router_->graph().link(hop.port.link).kind != kind) continue;
      total += known->latency->value;
      break;
    }
  }
  return total;
}

engine::ResourceId Network::resource(topology::Port port) {
  std::int32_t& known = ports_->resource[port.index()];
  if (known < 0) {
    const topology::Graph& topology = router_->graph();
    const engine::ResourceId id = graph_->add_resource(
        {topology.port_name(port), engine::ResourceKind::Link, topology.link(port.link).bandwidth.value(), {}});
    known = static_cast<std::int32_t>(id.value);
    ports_->list.push_back({port, id});
  }
  return engine::ResourceId(static_cast<std::uint32_t>(known));
}

engine::PathId Network::path(std::int32_t from, std::int32_t to) {
  const std::uint64_t key = static_cast<std::uint64_t>(from) << 32 | static_cast<std::uint32_t>(to);
  const auto found = paths_.find(key);
  if (found != paths_.end()) return found->second;
  const topology::Route route = router_->route(from, to);
  std::vector<engine::Use> uses;
  uses.reserve(route.hops.size());
  for (const topology::Hop& hop : route.hops)
    uses.push_back({resource(hop.port), hop.share / ceiling(router_->graph().link(hop.port.link).kind)});
  const engine::PathId path = graph_->add_path(uses, latency(route));
  paths_.emplace(key, path);
  return path;
}

void Network::append_route(std::int32_t from, std::int32_t to, const LinkShares& shares, std::vector<engine::Use>& uses,
                           double& latency) {
  const topology::Route route = router_->route(from, to);
  for (const topology::Hop& hop : route.hops) {
    const LinkKind kind = router_->graph().link(hop.port.link).kind;
    const double share = kind == LinkKind::NvLink ? shares.nvlink : kind == LinkKind::Network ? shares.network : 1;
    uses.push_back({resource(hop.port), hop.share / std::min(share, ceiling(kind))});
  }
  latency += this->latency(route).value();
}

base::Bandwidth Network::nvlink_rate(std::int32_t rank) const {
  const topology::Graph& links = router_->graph();
  const topology::DeviceId gpu = router_->gpus()[static_cast<std::size_t>(rank)];
  double rate = 0;
  for (const topology::LinkId id : links.links_of(gpu))
    if (links.link(id).kind == topology::LinkKind::NvLink) rate += links.link(id).bandwidth.value();
  return base::Bandwidth(rate);
}

}  // namespace moesim::lowering
