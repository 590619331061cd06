// The cluster's links as resources of a TaskGraph, and its routes as paths.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "calibration/profile/profile.h"
#include "sim/engine/task_graph.h"
#include "topology/routing.h"

namespace moesim::lowering {

// Shares of the links' raw rates that a kernel's data reaches.
struct LinkShares {
  double nvlink = 1;
  double network = 1;

  bool operator==(const LinkShares&) const = default;
};

// One resource per direction of a link that some route uses, at its raw rate; one interned path per (from, to).
class Network {
 public:
  // Both must outlive the network. GPUs are named by rank. A byte takes no less of a link than 1 / its ceiling.
  Network(engine::TaskGraph& graph, const topology::Router& router, const profile::LinkCeilings& ceilings = {});
  // The same links for a group of ranks: `router` is a part of this one's.
  Network of_group(const topology::Router& router) const;

  // From one rank to another, a byte taking 1 / share of each link; `more` is added to the route's latency. A rank's
  // path to itself uses nothing.
  engine::PathId path(std::int32_t from, std::int32_t to, const LinkShares& shares = {}, base::Duration more = {});
  // Rate of all NVLinks out of a rank's GPU, 0 if it has none.
  base::Bandwidth nvlink_rate(std::int32_t rank) const;
  // The port behind a resource of this network; resources of other kinds have none.
  struct PortResource {
    topology::Port port;
    engine::ResourceId resource;
  };
  const std::vector<PortResource>& port_resources() const { return ports_->list; }
  const topology::Router& router() const { return *router_; }
  // Share of a link's raw rate that was measured, 1 where none was.
  double ceiling(topology::LinkKind kind) const;
  engine::TaskGraph& graph() { return *graph_; }

 private:
  // A route as it is asked for over and over: each layer of a step has exchanges of its own.
  struct KnownHop {
    engine::ResourceId resource;
    topology::LinkKind kind;
    double share;
    double ceiling;  // of its kind
  };
  struct KnownRoute {
    std::size_t begin, end;  // in hops_
    base::Duration latency;
  };
  // Paths of one kind: the same shares and latency beyond the routes'.
  struct KnownPaths {
    LinkShares shares;
    base::Duration more;
    std::vector<std::optional<engine::PathId>> path;  // [from][to]
  };
  KnownPaths& known_paths(const LinkShares& shares, base::Duration more);
  KnownRoute& known_route(std::int32_t from, std::int32_t to);
  engine::ResourceId resource(topology::Port port);
  // Of a route, with what was measured beyond its links'.
  base::Duration latency(const topology::Route& route) const;

  engine::TaskGraph* graph_;
  const topology::Router* router_;
  profile::LinkCeilings ceilings_;
  struct Ports {
    std::vector<PortResource> list;
    std::vector<std::int32_t> resource;  // [2 * links], -1 where not used yet
  };
  std::shared_ptr<Ports> ports_;
  std::vector<std::vector<std::int32_t>> route_of_;  // [from][to] index in routes_, -1 where not known yet
  std::vector<KnownRoute> routes_;
  std::vector<KnownHop> hops_;
  std::vector<KnownPaths> paths_;
};

}  // namespace moesim::lowering
