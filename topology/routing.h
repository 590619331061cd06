// Routes between GPUs. In this order, the first that exists:
//
// 1. NVLink. The shortest path over NVLink, never through another GPU. If it goes through one NVSwitch, the flow is
//    sprayed over all NVSwitches that both GPUs attach to, in proportion to the smaller of the two GPUs' bandwidths on
//    each. Domains whose planes are all alike are collapsed first (collapse.h), so that they need no spraying.
// 2. Inside a host: PCIe, CPU-to-CPU and C2C links. The shortest path, or with PeerTransfer::HostStaged the shortest
//    path over the CPU nearest to the sender, and there into its memory and back, where it has a link to one (without,
//    memory is no limit).
// 3. Network. From the GPU to its own NIC (the nearest; a GPU with a rail: the nearest on its rail), over the network
//    to the NIC of the receiver's node on the same rail, to the GPU whose own NIC that is, and, where that is another
//    GPU, from there over NVLink to the receiver (an NVLink relay); without NVLink, over PCIe from the NIC to it.
//    Several GPUs at the same distance from several NICs take them in turn. If the rail does not lead there, the next
//    NICs are tried: of the receiver its own, then all in order; then those of the sender by distance.
//
// Shortest is least latency, ties as in shortest_paths.h; but where the cluster has an ecmp_seed, a flow takes one of
// the equally short ways between its first and last network switch, chosen by a hash of seed, sender and receiver. A
// route is not chosen by load.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
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

// Everything is prepared by the constructor: the other members may be called from several threads at once.
class Router {
 public:
  explicit Router(const Cluster& cluster, RoutingOptions options = {});
  // Some GPUs of another router, or the same in another order, on the same routes: rank i is rank ranks[i] there.
  Router(const Router& whole, const std::vector<std::int32_t>& ranks);
  ~Router();

  // The graph whose ports the routes name: the cluster's, or the one with its planes collapsed.
  const Graph& graph() const;
  // The GPU of each rank in graph().
  const std::vector<DeviceId>& gpus() const;
  // Throws InputError if no route exists, which check() has excluded for a cluster that was read.
  // from and to are ranks (positions in cluster.gpus), different.
  Route route(std::int32_t from, std::int32_t to) const;
  // The same, one route (share 1 on every hop) and its share of the bytes for each plane.
  struct PlaneRoute {
    Route route;
    double share = 1;
  };
  std::vector<PlaneRoute> plane_routes(std::int32_t from, std::int32_t to) const;

  // Two ranks without a route between them, if there are any. Clusters that are irregular and have more than 2048 GPUs
  // are not searched pair by pair.
  std::optional<std::pair<std::int32_t, std::int32_t>> unreachable_pair() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
  std::vector<std::int32_t> ranks_;  // of the state
  std::vector<DeviceId> gpus_;
};

}  // namespace moesim::topology
