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

// {"gpus", "gpu", "bandwidth", "latency", "leaf_size", "spines", ...}: GPUs that are themselves on a leaf.
Cluster read_leaf_spine_form(const base::JsonNode& node);
// The keys of `object` that make a LeafSpineSpec, but "leaves". Throws InputError, also where the uplinks of a leaf of
// ends of `end_rate` (0: unknown) are not whole cables of spine_link.
LeafSpineSpec read_leaf_spine(const base::JsonObject& object, base::Bandwidth end_rate);

// Appends `units` copies of a unit to the cluster: GPUs, NVSwitches, hosts and NICs. Domains and nodes count on.
void add_units(Cluster& cluster, const UnitSpec& spec, std::int32_t units);

// Joins the NICs of all nodes: by a leaf switch per rail, or by leaves and spines.
void add_scale_out(Cluster& cluster, const UnitSpec& spec, const ScaleOutSpec& scale_out);

// Joins all NICs, and GPUs that have no link yet, by leaves and spines. Where leaves are not per rail, nothing is on a
// rail any more.
void add_leaf_spine(Cluster& cluster, const LeafSpineSpec& spec, base::Bandwidth end_rate, base::Duration latency);

}  // namespace moesim::topology
