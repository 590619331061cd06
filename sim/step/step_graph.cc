#include "sim/step/step_graph.h"

#include <algorithm>

#include "base/error.h"

namespace moesim::step {

std::vector<std::string> gpu_names(const topology::Cluster& cluster) {
  std::vector<std::string> names;
  for (const topology::DeviceId gpu : cluster.gpus) names.push_back(cluster.graph.device(gpu).name);
  return names;
}

StepGraph::StepGraph(const topology::Cluster& cluster, const profile::Profile& profile, const topology::Router& router)
    : names_(gpu_names(cluster)),
      network_(graph_, router, profile.links),
      gpus_(lowering::add_gpu_resources(graph_, profile, names_)) {}

void StepGraph::begin(std::string phase, std::int32_t layer, std::vector<std::int32_t> ranks) {
  parts_.push_back({std::move(phase), layer, std::move(ranks), graph_.computes().size(), graph_.exchanges().size()});
}

engine::ComputeEvents StepGraph::add(lowering::ExpertTask task, std::span<const engine::EventId> after) {
  if (task.tensor_share > 0) set_tensor_share(graph_.computes().size(), task.tensor_share);
  return graph_.add_compute(std::move(task.compute), after);
}

engine::EventId StepGraph::join(std::span<const engine::EventId> after) {
  if (after.empty()) return engine::kOrigin;
  return after.size() == 1 ? after.front() : graph_.add_event("", after);
}

const StepPart& StepGraph::part_of_compute(std::size_t compute) const {
  const auto next = std::upper_bound(parts_.begin(), parts_.end(), compute,
                                     [](std::size_t index, const StepPart& part) { return index < part.compute; });
  MOESIM_CHECK(next != parts_.begin(), "a compute outside of every part");
  return *std::prev(next);
}

const StepPart& StepGraph::part_of_exchange(std::size_t exchange) const {
  const auto next = std::upper_bound(parts_.begin(), parts_.end(), exchange,
                                     [](std::size_t index, const StepPart& part) { return index < part.exchange; });
  MOESIM_CHECK(next != parts_.begin(), "an exchange outside of every part");
  return *std::prev(next);
}

std::pair<std::size_t, std::size_t> StepGraph::exchanges_of(std::size_t part) const {
  return {parts_[part].exchange, part + 1 < parts_.size() ? parts_[part + 1].exchange : graph_.exchanges().size()};
}

double StepGraph::tensor_share(std::size_t compute) const {
  return compute < tensor_share_.size() ? tensor_share_[compute] : 0;
}

void StepGraph::set_tensor_share(std::size_t compute, double share) {
  if (tensor_share_.size() <= compute) tensor_share_.resize(compute + 1, 0);
  tensor_share_[compute] = share;
}

}  // namespace moesim::step
