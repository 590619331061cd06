#include "topology/builders/builders.h"

namespace moesim::topology {

Cluster read_star(const base::JsonNode& node) {
  const base::JsonObject star(node, {"gpus", "gpu", "bandwidth", "latency", "kind"});
  const auto gpus = static_cast<std::int32_t>(star.required("gpus").integer(1, kMaxGpus));
  const std::string model = star.required("gpu").string();
  const base::Bandwidth bandwidth = star.required("bandwidth").bandwidth();
  const base::Duration latency = star.required("latency").duration();
  struct Form {
    LinkKind link;
    DeviceKind hub;
    const char* hub_name;
  };
  constexpr std::array<Form, 3> kForms{{{LinkKind::NvLink, DeviceKind::NvSwitch, "nvswitch0"},
                                        {LinkKind::Pcie, DeviceKind::PcieSwitch, "pcie_switch0"},
                                        {LinkKind::Network, DeviceKind::Switch, "leaf0"}}};
  const Form form = kForms[star.get("kind", std::size_t{0}, [](const base::JsonNode& n) {
    return n.one_of({"nvlink", "pcie", "network"});
  })];
  const bool own_nodes = form.link == LinkKind::Network;
  const std::int32_t domain = form.link == LinkKind::NvLink ? 0 : -1;

  Cluster cluster;
  cluster.name = "star of " + std::to_string(gpus) + " " + model;
  const DeviceId hub =
      cluster.graph.add_device({.name = form.hub_name, .kind = form.hub, .node = own_nodes ? -1 : 0, .domain = domain});
  for (std::int32_t i = 0; i < gpus; ++i) {
    const DeviceId gpu = cluster.graph.add_device({.name = "gpu" + std::to_string(i),
                                                   .kind = DeviceKind::Gpu,
                                                   .model = model,
                                                   .node = own_nodes ? i : 0,
                                                   .domain = domain});
    cluster.graph.add_link({.a = gpu, .b = hub, .kind = form.link, .bandwidth = bandwidth, .latency = latency});
    cluster.gpus.push_back(gpu);
  }
  return cluster;
}

}  // namespace moesim::topology
