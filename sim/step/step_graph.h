// A TaskGraph under construction, with what results must later say of its tasks: which phase and layer each belongs to,
// and which GPUs its ranks are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "calibration/profile/profile.h"
#include "sim/lowering/expert_compute.h"
#include "sim/lowering/network.h"
#include "topology/cluster.h"
#include "topology/routing.h"

namespace moesim::step {

// Device names of the cluster's GPUs, by rank: how results name them.
std::vector<std::string> gpu_names(const topology::Cluster& cluster);

// Tasks that were added one after another for the same purpose.
struct StepPart {
  std::string phase;                      // "dispatch", "experts", "attention"
  std::int32_t layer = -1;                // among all decoder layers; -1: of none
  std::vector<std::int32_t> ranks;        // of the cluster, by local rank; empty: the same
  std::size_t compute = 0, exchange = 0;  // its first; the last end where the next part begins
};

class StepGraph {
 public:
  // All must outlive it.
  StepGraph(const topology::Cluster& cluster, const profile::Profile& profile, const topology::Router& router);
  StepGraph(const StepGraph&) = delete;
  StepGraph& operator=(const StepGraph&) = delete;

  // What is added from now on belongs to this part.
  void begin(std::string phase, std::int32_t layer = -1, std::vector<std::int32_t> ranks = {});
  engine::ComputeEvents add(lowering::ExpertTask task, std::span<const engine::EventId> after);
  // An event after all of these; no new one for a single event, kOrigin for none.
  engine::EventId join(std::span<const engine::EventId> after);

  engine::TaskGraph& graph() { return graph_; }
  const engine::TaskGraph& graph() const { return graph_; }
  lowering::Network& network() { return network_; }
  const lowering::Network& network() const { return network_; }
  const std::vector<lowering::GpuResources>& gpus() const { return gpus_; }
  const lowering::GpuResources* gpu(std::int32_t rank) const {
    return gpus_.empty() ? nullptr : &gpus_[static_cast<std::size_t>(rank)];
  }
  const std::vector<std::string>& names() const { return names_; }

  const std::vector<StepPart>& parts() const { return parts_; }
  const StepPart& part_of_compute(std::size_t compute) const;
  const StepPart& part_of_exchange(std::size_t exchange) const;
  // The exchanges of a part: [first, second).
  std::pair<std::size_t, std::size_t> exchanges_of(std::size_t part) const;
  // Of a compute: the share of its time for which the tensor cores alone would be needed, 0 for most.
  double tensor_share(std::size_t compute) const;
  void set_tensor_share(std::size_t compute, double share);

 private:
  std::vector<std::string> names_;  // [GPUs]
  engine::TaskGraph graph_;
  lowering::Network network_;
  std::vector<lowering::GpuResources> gpus_;
  std::vector<StepPart> parts_;
  std::vector<double> tensor_share_;
};

}  // namespace moesim::step
