// The cluster as a graph: devices joined by full-duplex links. Raw rates only: protocol efficiency belongs to profiles.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <boost/graph/adjacency_list.hpp>

#include "base/ids.h"
#include "base/units.h"

namespace moesim::topology {

using DeviceId = base::Id<struct DeviceTag>;
using LinkId = base::Id<struct LinkTag>;

enum class DeviceKind : std::uint8_t { Gpu, NvSwitch, PcieSwitch, Cpu, Nic, Switch, HostMemory };
enum class LinkKind : std::uint8_t { NvLink, Pcie, CpuInterconnect, C2c, Network, HostMemory };

inline constexpr std::size_t kLinkKindCount = 6;

// "gpu", "nvswitch", "pcie_switch", "cpu", "nic", "switch", "host_memory"
std::string_view to_string(DeviceKind kind);
// "nvlink", "pcie", "cpu_interconnect", "c2c", "network", "host_memory" (a CPU's port to its memory: writes towards it,
// reads from it)
std::string_view to_string(LinkKind kind);

struct Device {
  std::string name{};  // unique in the cluster
  DeviceKind kind = DeviceKind::Gpu;
  std::string model{};       // of a GPU: the name of its profile ("h200"); of others free text
  std::int32_t node = -1;    // host; -1 for what stands outside hosts
  std::int32_t domain = -1;  // NVLink domain of a GPU or NVSwitch
  std::int32_t rail = -1;    // of a NIC or leaf switch, or the rail that a GPU's nearest NIC is on
};

struct Link {
  DeviceId a{};
  DeviceId b{};
  LinkKind kind = LinkKind::NvLink;
  base::Bandwidth bandwidth{};  // per direction, all lanes together
  base::Duration latency{};
  std::int32_t lanes = 1;  // physical links (NVLink) or PCIe lanes bundled in this edge
  std::int32_t plane = 0;  // NVLink: which of the parallel switch planes
};

// One direction of a link: from a to b, or back.
struct Port {
  LinkId link;
  bool reverse = false;
  constexpr std::size_t index() const { return 2 * link.index() + (reverse ? 1 : 0); }
  constexpr auto operator<=>(const Port&) const = default;
};

class Graph {
 public:
  DeviceId add_device(Device device);
  LinkId add_link(Link link);
  void set_domain(DeviceId device, std::int32_t domain) { devices_[device.index()].domain = domain; }
  void set_rail(DeviceId device, std::int32_t rail) { devices_[device.index()].rail = rail; }

  std::size_t num_devices() const { return devices_.size(); }
  std::size_t num_links() const { return links_.size(); }
  const Device& device(DeviceId id) const { return devices_[id.index()]; }
  const Link& link(LinkId id) const { return links_[id.index()]; }
  const std::vector<Device>& devices() const { return devices_; }
  const std::vector<Link>& links() const { return links_; }
  DeviceId port_from(Port port) const;
  DeviceId port_to(Port port) const;
  std::string port_name(Port port) const;  // "gpu3 -> nvswitch0"
  // The direction of a link that leaves `from`, which must be one of its ends.
  Port port_out_of(DeviceId from, LinkId id) const;
  // The links that touch a device, in the order in which they were added.
  std::vector<LinkId> links_of(DeviceId id) const;

  // For Boost.Graph algorithms: undirected, vertex = device index, edge_index = link index.
  using Adjacency = boost::adjacency_list<boost::vecS, boost::vecS, boost::undirectedS, boost::no_property,
                                          boost::property<boost::edge_index_t, std::size_t>>;
  const Adjacency& adjacency() const { return adjacency_; }

 private:
  std::vector<Device> devices_;
  std::vector<Link> links_;
  Adjacency adjacency_;
};

}  // namespace moesim::topology
