// Helpers of the topology tests.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "topology/cluster.h"
#include "topology/routing.h"

namespace moesim::topology {

// A cluster section from JSON text, as if read from the file "test".
Cluster read(const std::string& text);
Cluster read_json(const base::Json& json);

// The devices that a route without spraying passes: "gpu0 nvswitch0..3 gpu1".
std::string devices(const Router& router, std::int32_t from, std::int32_t to);

// The cluster without the link between two devices.
Cluster without_link(const Cluster& cluster, const std::string& a, const std::string& b);

inline base::Bandwidth gb(double value) { return base::Bandwidth(value * 1e9); }
inline base::Duration ns(double value) { return base::Duration(value / 1e9); }
inline const std::vector<std::string> kPresets{"gb200_nvl72", "gb300_nvl72", "hgx_a100",    "hgx_b200",
                                               "hgx_b300",    "hgx_h100",    "hgx_h200",    "hgx_h800",
                                               "mi300x_8",    "pcie_h100_8", "pcie_l40s_8", "pcie_rtx_pro_6000_8"};

}  // namespace moesim::topology
