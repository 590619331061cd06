// Where each rank (one GPU taking part) sits: all that workloads/ needs to know of a cluster.
#pragma once

#include <cstdint>
#include <vector>

namespace moesim::base {

struct RankMap {
  std::vector<std::int32_t> node;  // [ranks] the host it is in
  std::vector<std::int32_t>
      domain;  // [ranks] the NVLink domain it is in (a GPU without NVLink is its own node's domain)

  std::int32_t ranks() const { return static_cast<std::int32_t>(node.size()); }
};

}  // namespace moesim::base
