// Shortest paths over one fabric: the links of given kinds. GPUs and NICs are endpoints: a path starts and ends at them
// and never passes through one. So a path is a direct link, or a link into the switches and CPUs ("transit devices"),
// a shortest path among these, and a link out. Only the middle part needs Dijkstra's algorithm (Boost.Graph): one tree
// per transit device that has endpoints, inside its connected component, however many endpoints there are.
//
// Shortest means least latency; ties go to fewest hops, then to the lowest device index at the first, the last and then
// each middle place. Latencies are compared in whole femtoseconds, so that a tie does not depend on rounding.
#pragma once

#include <compare>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <vector>

#include <boost/graph/adjacency_list.hpp>

#include "topology/graph.h"

namespace moesim::topology {

struct PathLength {
  std::int64_t femtoseconds = 0;
  std::int32_t hops = 0;

  constexpr auto operator<=>(const PathLength&) const = default;
  constexpr PathLength operator+(PathLength o) const { return {femtoseconds + o.femtoseconds, hops + o.hops}; }
};

class ShortestPaths {
 public:
  // Keeps a reference to the graph.
  ShortestPaths(const Graph& graph, std::initializer_list<LinkKind> kinds);

  // The ports from a to b, in order; nothing if there is no path. Either may be an endpoint or a CPU.
  std::optional<std::vector<Port>> path(DeviceId a, DeviceId b) const;
  // Equal-cost multipath: between the same first and last transit device, each on the way sends on over any of its
  // links that lie on a shortest path, all alike likely; `flow`, a hash, and the place on the path choose. b is an
  // endpoint.
  std::optional<std::vector<Port>> path(DeviceId a, DeviceId b, std::uint64_t flow) const;
  std::optional<PathLength> length(DeviceId a, DeviceId b) const;

  // The CPU nearest to an endpoint (ties: lowest device index), if it has one.
  std::optional<DeviceId> nearest_cpu(DeviceId endpoint) const;

  // The links of the fabric from an endpoint into transit devices.
  struct Attachment {
    std::uint32_t transit = 0;  // position among the transit devices
    LinkId link;
    PathLength length;
  };
  const std::vector<Attachment>& attachments(DeviceId endpoint) const { return attachments_[endpoint.index()]; }
  bool attached(DeviceId device) const;
  DeviceId transit_device(std::uint32_t transit) const { return transit_[transit]; }
  std::uint32_t component(std::uint32_t transit) const { return component_[transit]; }

 private:
  using Local = boost::adjacency_list<boost::vecS, boost::vecS, boost::undirectedS, boost::no_property,
                                      boost::property<boost::edge_weight_t, PathLength>>;
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  struct Best {
    PathLength length;
    const Attachment* in = nullptr;   // null: direct link, or a is itself a transit device
    const Attachment* out = nullptr;  // likewise for b
    std::uint32_t first = kNone;      // transit devices; kNone for a direct link
    std::uint32_t last = kNone;
    LinkId direct;
  };
  struct Direct {
    DeviceId other;
    LinkId link;
    PathLength length;
  };

  std::optional<Best> best(DeviceId a, DeviceId b) const;
  std::vector<Port> first_way(const Best& best) const;
  std::vector<Port> way_of(const Best& best, std::uint64_t flow) const;
  template <class Way>
  std::optional<std::vector<Port>> path_by(DeviceId a, DeviceId b, Way way) const;
  void find_components();
  void grow_tree(const Local& local, const std::vector<std::uint32_t>& members, std::uint32_t root);

  const Graph* graph_;
  std::vector<bool> in_fabric_;                       // [links]
  std::vector<DeviceId> transit_;                     // all devices of the fabric that are not endpoints
  std::vector<std::uint32_t> transit_of_;             // [devices] position in transit_, or kNone
  std::vector<std::uint32_t> component_;              // [transit]
  std::vector<std::vector<std::uint32_t>> members_;   // [components] of transit devices
  std::vector<std::vector<LinkId>> onward_;           // [transit] links to other transit devices
  std::vector<std::uint32_t> local_index_;            // [transit] position within its component
  std::vector<std::vector<Attachment>> attachments_;  // [devices]
  std::vector<std::vector<Direct>> direct_;           // [devices] by other
  // Per tree, by position in the component: length from the root, and the port by which the path arrives.
  struct Tree {
    std::vector<PathLength> length;
    std::vector<Port> arrival;
  };
  std::vector<Tree> trees_;  // [transit]; empty where no path starts
};

}  // namespace moesim::topology
