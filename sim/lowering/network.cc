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
  group.route_of_.clear();  // they are by rank
  group.routes_.clear();
  group.hops_.clear();
  group.paths_.clear();
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

Network::KnownRoute& Network::known_route(std::int32_t from, std::int32_t to) {
  const std::size_t ranks = router_->gpus().size();
  route_of_.resize(ranks);
  std::vector<std::int32_t>& row = route_of_.at(static_cast<std::size_t>(from));
  if (row.empty()) row.assign(ranks, -1);
  std::int32_t& known = row.at(static_cast<std::size_t>(to));
  if (known < 0) {
    const topology::Route route = router_->route(from, to);
    const std::size_t begin = hops_.size();
    for (const topology::Hop& hop : route.hops) {
      const LinkKind kind = router_->graph().link(hop.port.link).kind;
      hops_.push_back({resource(hop.port), kind, hop.share, ceiling(kind)});
    }
    known = static_cast<std::int32_t>(routes_.size());
    routes_.push_back({begin, hops_.size(), latency(route)});
  }
  return routes_[static_cast<std::size_t>(known)];
}

Network::KnownPaths& Network::known_paths(const LinkShares& shares, base::Duration more) {
  // From the end: a layer asks for the kind that it asked for last.
  const auto known = std::find_if(paths_.rbegin(), paths_.rend(),
                                  [&](const KnownPaths& p) { return p.shares == shares && p.more == more; });
  if (known != paths_.rend()) return *known;
  const std::size_t ranks = router_->gpus().size();
  return paths_.emplace_back(KnownPaths{shares, more, std::vector<std::optional<engine::PathId>>(ranks * ranks)});
}

engine::PathId Network::path(std::int32_t from, std::int32_t to, const LinkShares& shares, base::Duration more) {
  std::optional<engine::PathId>& path =
      known_paths(shares, more)
          .path[static_cast<std::size_t>(from) * router_->gpus().size() + static_cast<std::size_t>(to)];
  if (path) return *path;
  std::vector<engine::Use> uses;
  base::Duration latency = more;
  if (from != to) {
    const KnownRoute& route = known_route(from, to);
    for (std::size_t h = route.begin; h < route.end; ++h) {
      const KnownHop& hop = hops_[h];
      const double share = hop.kind == LinkKind::NvLink    ? shares.nvlink
                           : hop.kind == LinkKind::Network ? shares.network
                                                           : 1;
      uses.push_back({hop.resource, hop.share / std::min(share, hop.ceiling)});
    }
    latency += route.latency;
  }
  path = graph_->add_path(uses, latency);
  return *path;
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
