// Parallel NVSwitch planes drawn as one.
//
// Traffic between two GPUs is sprayed over the planes that both reach, in proportion to their links. Where all GPUs of
// a domain attach to its planes in the same proportions, every plane is then loaded alike at every GPU, and one switch
// with one link per GPU of the summed bandwidth gives every flow the same rate. Otherwise (a broken or missing link, an
// unequal share, a plane with links other than to GPUs, latencies that differ between a GPU's planes) the domain keeps
// its planes.
#pragma once

#include <vector>

#include "topology/graph.h"

namespace moesim::topology {

struct Collapsed {
  Graph graph;
  std::vector<DeviceId> device;  // [devices of the original] its place in the new graph
};

// The one switch is called "nvswitch0..3", its links are on plane 0.
Collapsed collapse_planes(const Graph& graph);

}  // namespace moesim::topology
