// What a placement of experts is charged for on a cluster: the links' raw rates and the datasheet's roofline.
#pragma once

#include "base/units.h"
#include "calibration/profile/profile.h"
#include "topology/cluster.h"
#include "workloads/model.h"
#include "workloads/placement_counters.h"

namespace moesim::lowering {

// A rank's way out is its NVLinks, or without its other links; a domain's is what joins its hosts to the network (of
// several domains the slowest). Links inside a domain of one rank, or out of the only domain, never bind. With an ideal
// profile experts cost nothing. `bytes` are a token's, there and back.
workloads::PlacementCosts placement_costs(const topology::Cluster& cluster, const workloads::Model& model,
                                          const profile::Profile& profile, base::Bytes bytes, bool once_per_domain);

}  // namespace moesim::lowering
