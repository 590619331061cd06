#include <algorithm>

#include "topology/builders/builders.h"

namespace moesim::topology {
namespace {

// Builds one unit. Devices of a host are named "node3.gpu0", NVSwitches "rack1.nvswitch0"; the prefix is left out where
// the cluster has only one such unit or host.
class UnitBuilder {
 public:
  UnitBuilder(Cluster& cluster, const UnitSpec& spec, std::int32_t unit, std::int32_t units)
      : cluster_(cluster), graph_(cluster.graph), spec_(spec), first_node_(unit * spec.nodes), domain_(unit) {
    unit_prefix_ = units > 1 ? spec.unit + std::to_string(unit) + "." : "";
    many_nodes_ = units * spec.nodes > 1;
  }

  void build() {
    add_gpus();
    if (spec_.nvlink) add_nvlink(*spec_.nvlink);
    if (spec_.host)
      for (std::int32_t node = 0; node < spec_.nodes; ++node) add_host(*spec_.host, node);
  }

 private:
  std::string host_name(std::int32_t node, const char* what, std::int32_t index) const {
    const std::string prefix = many_nodes_ ? "node" + std::to_string(first_node_ + node) + "." : "";
    return prefix + what + std::to_string(index);
  }

  DeviceId gpu(std::int32_t node, std::int32_t index) const {
    const std::int32_t position = node * spec_.gpus_per_node + index;
    return gpus_[static_cast<std::size_t>(position)];
  }

  void add_gpus() {
    const bool one_domain = spec_.nvlink && spec_.nvlink->bridges.empty();
    for (std::int32_t node = 0; node < spec_.nodes; ++node)
      for (std::int32_t i = 0; i < spec_.gpus_per_node; ++i) {
        gpus_.push_back(graph_.add_device({.name = host_name(node, "gpu", i),
                                           .kind = DeviceKind::Gpu,
                                           .model = spec_.gpu,
                                           .node = first_node_ + node,
                                           .domain = one_domain ? domain_ : bridge_domain(node, i)}));
        cluster_.gpus.push_back(gpus_.back());
      }
  }

  // Each bridge is a domain of its own.
  std::int32_t bridge_domain(std::int32_t node, std::int32_t gpu_index) const {
    if (!spec_.nvlink) return -1;
    const auto& bridges = spec_.nvlink->bridges;
    for (std::size_t b = 0; b < bridges.size(); ++b)
      if (std::find(bridges[b].begin(), bridges[b].end(), gpu_index) != bridges[b].end())
        return (first_node_ + node) * static_cast<std::int32_t>(bridges.size()) + static_cast<std::int32_t>(b);
    return -1;
  }

  void link(DeviceId a, DeviceId b, LinkKind kind, const LinkSpec& spec, std::int32_t copies = 1,
            std::int32_t plane = 0) {
    graph_.add_link({.a = a,
                     .b = b,
                     .kind = kind,
                     .bandwidth = spec.bandwidth * copies,
                     .latency = spec.latency,
                     .lanes = spec.lanes * copies,
                     .plane = plane});
  }

  void add_nvlink(const NvLinkSpec& nvlink) {
    for (std::size_t p = 0; p < nvlink.planes.size(); ++p) {
      const auto plane = static_cast<std::int32_t>(p);
      const DeviceId nvswitch = graph_.add_device({.name = unit_prefix_ + "nvswitch" + std::to_string(p),
                                                   .kind = DeviceKind::NvSwitch,
                                                   .node = spec_.nodes == 1 ? first_node_ : -1,
                                                   .domain = domain_});
      for (const DeviceId g : gpus_) link(g, nvswitch, LinkKind::NvLink, nvlink.link, nvlink.planes[p], plane);
    }
    if (nvlink.mesh_links > 0) join_pairwise(gpus_, nvlink.link, nvlink.mesh_links);
    for (std::int32_t node = 0; node < spec_.nodes; ++node)
      for (const auto& bridge : nvlink.bridges) {
        std::vector<DeviceId> members;
        for (const std::int32_t i : bridge) members.push_back(gpu(node, i));
        join_pairwise(members, nvlink.link, nvlink.bridge_links);
      }
  }

  void join_pairwise(const std::vector<DeviceId>& members, const LinkSpec& spec, std::int32_t copies) {
    for (std::size_t i = 0; i < members.size(); ++i)
      for (std::size_t j = i + 1; j < members.size(); ++j) link(members[i], members[j], LinkKind::NvLink, spec, copies);
  }

  void add_host(const HostSpec& host, std::int32_t node) {
    std::vector<DeviceId> cpus;
    std::int32_t pcie_switches = 0;
    for (std::size_t c = 0; c < host.cpus.size(); ++c) {
      const DeviceId cpu = graph_.add_device({.name = host_name(node, "cpu", static_cast<std::int32_t>(c)),
                                              .kind = DeviceKind::Cpu,
                                              .node = first_node_ + node});
      for (const DeviceId other : cpus)
        if (host.cpu_link) link(other, cpu, LinkKind::CpuInterconnect, *host.cpu_link);
      cpus.push_back(cpu);
      if (host.memory) {
        const DeviceId memory = graph_.add_device({.name = host_name(node, "memory", static_cast<std::int32_t>(c)),
                                                   .kind = DeviceKind::HostMemory,
                                                   .node = first_node_ + node});
        link(cpu, memory, LinkKind::HostMemory, *host.memory);
      }
      add_branch(host, host.cpus[c], cpu, node, pcie_switches);
    }
  }

  // What hangs below `parent`, a CPU or PCIe switch. GPUs and NICs of the same parent are paired in order: a GPU's rail
  // is that of its NIC.
  void add_branch(const HostSpec& host, const HostBranch& branch, DeviceId parent, std::int32_t node,
                  std::int32_t& pcie_switches) {
    const bool below_cpu = graph_.device(parent).kind == DeviceKind::Cpu;
    for (std::size_t i = 0; i < branch.gpus.size(); ++i) {
      const DeviceId g = gpu(node, branch.gpus[i]);
      if (!branch.nics.empty()) graph_.set_rail(g, branch.nics[i % branch.nics.size()]);
      if (below_cpu && host.c2c)
        link(g, parent, LinkKind::C2c, *host.c2c);
      else
        link(g, parent, LinkKind::Pcie, *host.pcie);
    }
    for (const std::int32_t n : branch.nics) {
      const DeviceId nic = graph_.add_device(
          {.name = host_name(node, "nic", n), .kind = DeviceKind::Nic, .node = first_node_ + node, .rail = n});
      link(nic, parent, LinkKind::Pcie, *host.pcie);
    }
    for (const HostBranch& below : branch.pcie_switches) {
      const DeviceId pcie_switch = graph_.add_device({.name = host_name(node, "pcie_switch", pcie_switches++),
                                                      .kind = DeviceKind::PcieSwitch,
                                                      .node = first_node_ + node});
      link(pcie_switch, parent, LinkKind::Pcie, *host.pcie);
      add_branch(host, below, pcie_switch, node, pcie_switches);
    }
  }

  Cluster& cluster_;
  Graph& graph_;
  const UnitSpec& spec_;
  std::int32_t first_node_;
  std::int32_t domain_;
  std::string unit_prefix_;
  bool many_nodes_ = false;
  std::vector<DeviceId> gpus_;
};

}  // namespace

void add_units(Cluster& cluster, const UnitSpec& spec, std::int32_t units) {
  if (spec.host) cluster.p2p = spec.host->p2p;
  for (std::int32_t unit = 0; unit < units; ++unit) UnitBuilder(cluster, spec, unit, units).build();
}

}  // namespace moesim::topology
