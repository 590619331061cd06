// Routes between GPUs.
//
// Inside a node or NVLink domain: shortest by latency (ties: fewest hops, then lowest device index), never through
// another GPU. Between domains: from the source to the NIC nearest to it, over that NIC's rail to the same-rail NIC of
// the destination's node, to that NIC's GPU, and from there over NVLink to the destination where it is another GPU (an
// NVLink relay); without NVLink, over PCIe from the NIC straight to the destination.
#pragma once

#include <memory>
#include <vector>

#include "base/units.h"
#include "topology/cluster.h"

namespace moesim::topology {

struct Hop {
  Port port;
  double share = 1;  // of the flow's bytes on this port: < 1 where a flow is sprayed over parallel planes
};

struct Route {
  std::vector<Hop> hops;
  base::Duration latency;  // sum over the hops of the slowest plane
};

struct RoutingOptions {
  // Parallel NVSwitch planes to which all GPUs of a domain attach in the same proportions become one link, one switch.
  bool collapse_planes = true;
};

class Router {
 public:
  explicit Router(const Cluster& cluster, RoutingOptions options = {});
  ~Router();

  // The graph whose ports the routes name: the cluster's, or the one with its planes collapsed.
  const Graph& graph() const;
  // from and to are ranks (positions in cluster.gpus), different.
  Route route(std::int32_t from, std::int32_t to) const;
  // The same, one route (share 1 on every hop) and its share of the bytes for each plane.
  struct PlaneRoute {
    Route route;
    double share = 1;
  };
  std::vector<PlaneRoute> plane_routes(std::int32_t from, std::int32_t to) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moesim::topology
