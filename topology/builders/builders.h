// Builders: each turns a description into a part of a Cluster. Used by read_cluster() alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "topology/preset.h"

namespace moesim::topology {

// {"preset": ..., "nodes": ..., "scale_out": ..., "override": ...}
Cluster read_preset_form(const base::JsonNode& node);

// {"gpus": ..., "gpu": ..., "bandwidth": ..., "latency": ..., "kind": ...}
Cluster read_star(const base::JsonNode& node);

// Appends `units` copies of a unit to the cluster: GPUs, NVSwitches, hosts and NICs. Domains and nodes count on.
void add_units(Cluster& cluster, const UnitSpec& spec, std::int32_t units);

// Joins NIC i of all nodes by a leaf switch per rail.
void add_rails(Cluster& cluster, const UnitSpec& spec, const ScaleOutSpec& scale_out);

}  // namespace moesim::topology
