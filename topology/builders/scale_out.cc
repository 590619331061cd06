#include "base/error.h"
#include "topology/builders/builders.h"

namespace moesim::topology {

void add_scale_out(Cluster& cluster, const UnitSpec& spec, const ScaleOutSpec& scale_out) {
  MOESIM_CHECK(spec.nics.has_value(), "a scale-out network without NICs");
  const base::Bandwidth nic_rate = scale_out.nic_bandwidth.value_or(spec.nics->bandwidth);
  if (scale_out.leaf_spine) return add_leaf_spine(cluster, *scale_out.leaf_spine, nic_rate, scale_out.latency);
  Graph& graph = cluster.graph;
  std::vector<DeviceId> leaves;
  const std::size_t devices = graph.num_devices();
  for (std::int32_t rail = 0; rail < spec.nics->count; ++rail)
    leaves.push_back(
        graph.add_device({.name = "leaf" + std::to_string(rail), .kind = DeviceKind::Switch, .rail = rail}));
  for (std::size_t d = 0; d < devices; ++d) {
    const DeviceId id(d);
    if (graph.device(id).kind != DeviceKind::Nic) continue;
    graph.add_link({.a = id,
                    .b = leaves[static_cast<std::size_t>(graph.device(id).rail)],
                    .kind = LinkKind::Network,
                    .bandwidth = nic_rate,
                    .latency = scale_out.latency});
  }
}

}  // namespace moesim::topology
