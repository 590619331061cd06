// Graphviz export.
#pragma once

#include <string>

#include "topology/cluster.h"

namespace moesim::topology {

// An undirected graph in the DOT language: one box per node, parallel NVSwitch planes as one switch (collapse.h), links
// coloured by kind and labelled with their lanes and bandwidth.
std::string to_dot(const Cluster& cluster);

}  // namespace moesim::topology
