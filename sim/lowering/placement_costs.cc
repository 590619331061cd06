#include "sim/lowering/placement_costs.h"

#include <algorithm>
#include <vector>

#include "sim/lowering/expert_compute.h"
#include "workloads/parameters.h"

namespace moesim::lowering {
namespace {

using topology::LinkKind;

double rank_rate(const topology::Cluster& cluster, topology::DeviceId gpu) {
  double nvlink = 0, other = 0;
  for (const topology::LinkId id : cluster.graph.links_of(gpu)) {
    const topology::Link& link = cluster.graph.link(id);
    (link.kind == LinkKind::NvLink ? nvlink : other) += link.bandwidth.value();
  }
  return nvlink > 0 ? nvlink : other;
}

// By domain of the map: the rate of the network links at its hosts.
std::vector<double> domain_rates(const topology::Cluster& cluster, const base::RankMap& map) {
  const std::int32_t domains = *std::max_element(map.domain.begin(), map.domain.end()) + 1;
  std::vector<std::int32_t> domain_of_node;
  for (std::size_t rank = 0; rank < map.node.size(); ++rank) {
    const auto node = static_cast<std::size_t>(map.node[rank]);
    if (node >= domain_of_node.size()) domain_of_node.resize(node + 1, -1);
    domain_of_node[node] = map.domain[rank];
  }
  const auto domain = [&](topology::DeviceId id) {
    const std::int32_t node = cluster.graph.device(id).node;
    return node >= 0 && node < static_cast<std::int32_t>(domain_of_node.size())
               ? domain_of_node[static_cast<std::size_t>(node)]
               : -1;
  };
  std::vector<double> rates(static_cast<std::size_t>(domains), 0);
  for (const topology::Link& link : cluster.graph.links()) {
    if (link.kind != LinkKind::Network) continue;
    const std::int32_t a = domain(link.a), b = domain(link.b);
    if (a == b) continue;
    for (const std::int32_t end : {a, b})
      if (end >= 0) rates[static_cast<std::size_t>(end)] += link.bandwidth.value();
  }
  return rates;
}

}  // namespace

workloads::PlacementCosts placement_costs(const topology::Cluster& cluster, const workloads::Model& model,
                                          const profile::Profile& profile, base::Bytes bytes, bool once_per_domain) {
  workloads::PlacementCosts costs;
  costs.bytes = bytes;
  costs.once_per_domain = once_per_domain;
  if (!profile.ideal) {
    costs.per_selection = expert_cost(model, {1, 0, false}, profile).tensor_time;
    costs.per_slot = workloads::expert_bytes(model) / profile.hbm_bandwidth.value;
  }
  const base::RankMap map = cluster.rank_map();
  const std::vector<double> rates = domain_rates(cluster, map);
  if (rates.size() < map.domain.size()) {
    double rate = 0;
    for (const topology::DeviceId gpu : cluster.gpus) {
      const double own = rank_rate(cluster, gpu);
      rate = rate > 0 ? std::min(rate, own) : own;
    }
    costs.rank_bandwidth = base::Bandwidth(rate);
  }
  if (rates.size() > 1) costs.domain_bandwidth = base::Bandwidth(*std::min_element(rates.begin(), rates.end()));
  return costs;
}

}  // namespace moesim::lowering
