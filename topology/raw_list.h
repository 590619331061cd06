// The raw form of a cluster: every device and every link.
//
//   {"name": "...", "p2p": "direct", "notes": ["..."],
//    "devices": [{"name": "gpu0", "kind": "gpu", "model": "h200", "node": 0, "domain": 0, "rail": 0}, ...],
//    "links": [{"a": "gpu0", "b": "nvswitch0", "kind": "nvlink", "bandwidth": "125 GB/s", "latency": "200 ns",
//               "lanes": 5, "plane": 0}, ...]}
//
// Required: of a device name and kind, of a GPU model and node, of a link all but lanes (1) and plane (0). The order of
// the GPUs, node by node, gives their ranks. Where no device names a domain, what NVLink joins becomes one.
// "ecmp_seed" (a whole number): flows spread over equally short ways through the network, see routing.h.
#pragma once

#include "topology/cluster.h"

namespace moesim::topology {

// Throws InputError.
Cluster read_raw_list(const base::JsonNode& node);

}  // namespace moesim::topology
