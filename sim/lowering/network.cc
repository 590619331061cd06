#include "sim/lowering/network.h"

namespace moesim::lowering {

Network::Network(engine::TaskGraph& graph, const topology::Router& router)
    : graph_(&graph), router_(&router), resource_of_port_(2 * router.graph().num_links(), -1) {}

engine::ResourceId Network::resource(topology::Port port) {
  std::int32_t& known = resource_of_port_[port.index()];
  if (known < 0) {
    const topology::Graph& topology = router_->graph();
    const engine::ResourceId id = graph_->add_resource(
        {topology.port_name(port), engine::ResourceKind::Link, topology.link(port.link).bandwidth.value(), {}});
    known = static_cast<std::int32_t>(id.value);
    ports_.push_back({port, id});
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
  for (const topology::Hop& hop : route.hops) uses.push_back({resource(hop.port), hop.share});
  const engine::PathId path = graph_->add_path(uses, route.latency);
  paths_.emplace(key, path);
  return path;
}

}  // namespace moesim::lowering
