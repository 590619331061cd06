// What a Router prepares. Private to routing.cc and reachability.cc.
#pragma once

#include <span>
#include <string>
#include <unordered_map>

#include "topology/collapse.h"
#include "topology/routing.h"
#include "topology/shortest_paths.h"

namespace moesim::topology {

struct Router::State {
  // A route before it is turned into hops: ports that all bytes take, then parallel planes.
  struct Path {
    std::vector<Port> common;
    struct Plane {
      std::vector<Port> ports;
      double share = 1;
    };
    std::vector<Plane> planes;  // none: the path ends with `common`
  };

  State(const Cluster& cluster, RoutingOptions options);

  // Each gives nothing where it has no path.
  std::optional<Path> nvlink_path(DeviceId from, DeviceId to) const;
  std::optional<Path> host_path(DeviceId from, DeviceId to) const;
  std::optional<Path> network_path(std::int32_t from, std::int32_t to) const;
  std::optional<Path> path(std::int32_t from, std::int32_t to) const;
  // The link of a CPU to its memory.
  std::optional<LinkId> memory_link(DeviceId cpu) const;
  // From a NIC of its node to a GPU.
  std::optional<Path> last_leg(DeviceId nic, std::int32_t to) const;

  // NICs of the node of a rank (or the GPU itself, where it is on the network), in order of device index.
  std::span<const DeviceId> nics_near(std::int32_t rank) const;

  Graph graph;
  std::vector<DeviceId> gpus;  // [ranks]
  PeerTransfer p2p;
  std::optional<std::uint64_t> ecmp_seed;
  ShortestPaths nvlink;
  ShortestPaths host;
  ShortestPaths network;
  // [ranks] NICs by which a GPU can send: first its own, then by distance.
  std::vector<std::vector<DeviceId>> senders;
  // Ranks by own NIC.
  std::unordered_map<DeviceId, std::vector<std::int32_t>> owners;
  std::unordered_map<std::int32_t, std::vector<DeviceId>> nics_of_node;

 private:
  State(const Cluster& cluster, Collapsed collapsed);
  void assign_nics();
};

}  // namespace moesim::topology
