// Graphviz export.
#pragma once

#include <string>

#include "topology/cluster.h"

namespace moesim::topology {

// An undirected graph in the DOT language: one box per node, parallel NVSwitch planes as one switch (collapse.h), links
// coloured by kind. Where all links of a kind are alike, the legend gives their lanes and bandwidth, else each link.
// Several nodes stand left and right of the switches that join them.
std::string to_dot(const Cluster& cluster);

}  // namespace moesim::topology
