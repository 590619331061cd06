// What a cluster amounts to: counts, bandwidths per GPU and bisection bandwidths, all computed from its graph.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "topology/cluster.h"

namespace moesim::topology {

struct PortTotals {
  std::int64_t links = 0;
  std::int64_t lanes = 0;
  base::Bandwidth bandwidth;  // per direction
};

// The links of one kind at a device.
PortTotals totals_of(const Graph& graph, DeviceId device, LinkKind kind);

template <class T>
struct Range {
  T lowest{};
  T highest{};
};

// Bisection bandwidth: what the first half of the members (in rank order; the smaller half, if odd) can send to the
// others at once, in one direction: a maximum flow over links of the fabric, each used up to its raw bandwidth. For
// GPUs on ideal switches it is half the GPUs times the bandwidth of one. It knows nothing of routing, and so bounds
// what routed traffic between the halves can reach.
struct Summary {
  std::int64_t gpus = 0;
  std::int64_t nodes = 0;                                      // with at least one GPU
  std::int64_t domains = 0;                                    // NVLink domains with at least one GPU
  Range<std::int64_t> gpus_per_domain;                         // zero without domains
  std::array<PortTotals, kLinkKindCount> all;                  // [LinkKind] over the whole cluster
  std::array<Range<base::Bandwidth>, kLinkKindCount> per_gpu;  // [LinkKind] at a GPU, per direction
  Range<base::Bandwidth> nic_per_gpu;                          // network bandwidth of a node's NICs over its GPUs
  std::optional<Range<base::Bandwidth>> domain_bisection;      // over the domains of at least two GPUs
  std::optional<base::Bandwidth> scale_out_bisection;          // halves are nodes; only where nodes are on a network
};

Summary summarize(const Cluster& cluster);

}  // namespace moesim::topology
