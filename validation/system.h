// The systems of measured tables: which GPU profile and which cluster a name stands for.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "calibration/profile/profile.h"
#include "topology/cluster.h"
#include "topology/routing.h"

namespace moesim::validation {

// A cluster with its routes, ready to lower onto.
struct ClusterView {
  topology::Cluster cluster;
  std::unique_ptr<topology::Router> router;
};

class System {
 public:
  // A name of system_names(). Throws InputError for others; for a GPU of another vendor it says so.
  explicit System(std::string_view name);

  const std::string& name() const { return name_; }  // "h100_sxm"
  const profile::Profile& profile() const { return profile_; }
  // The smallest cluster of this kind with at least `gpus` GPUs (whole nodes or racks). The same object for the same
  // number; may be called from several threads. Throws InputError if there is none.
  std::shared_ptr<const ClusterView> cluster(std::int32_t gpus) const;
  // The "cluster" section of a scenario with at least `gpus` GPUs.
  std::string cluster_section(std::int32_t gpus) const;
  // Whether its GPUs have NVLinks; kernels that write into each other's memory need them.
  bool has_nvlink() const;

 private:
  struct Clusters;
  std::string name_;
  profile::Profile profile_;
  std::shared_ptr<Clusters> clusters_;
};

std::vector<std::string> system_names();
// The system of one node with this GPU as drivers and tools name it ("NVIDIA H100 80GB HBM3"), "" if none is known.
std::string system_of_gpu(std::string_view gpu);
// The system that a table's file name starts with ("h100_sxm__gemm_trtllm_1.0.0.csv"), "" if none.
std::string system_of_file(std::string_view path);

}  // namespace moesim::validation
