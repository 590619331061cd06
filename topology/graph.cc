#include "topology/graph.h"

#include <array>

#include "base/error.h"

namespace moesim::topology {
namespace {

constexpr std::array<std::string_view, 7> kDeviceKinds{"gpu", "nvswitch", "pcie_switch", "cpu",
                                                       "nic", "switch",   "host_memory"};
constexpr std::array<std::string_view, kLinkKindCount> kLinkKinds{"nvlink", "pcie",    "cpu_interconnect",
                                                                  "c2c",    "network", "host_memory"};

}  // namespace

std::string_view to_string(DeviceKind kind) { return kDeviceKinds[static_cast<std::size_t>(kind)]; }
std::string_view to_string(LinkKind kind) { return kLinkKinds[static_cast<std::size_t>(kind)]; }

DeviceId Graph::add_device(Device device) {
  const DeviceId id(devices_.size());
  devices_.push_back(std::move(device));
  boost::add_vertex(adjacency_);
  return id;
}

LinkId Graph::add_link(Link link) {
  MOESIM_CHECK(link.a.index() < devices_.size() && link.b.index() < devices_.size(), "link to an unknown device");
  MOESIM_CHECK(link.a != link.b, "link from a device to itself");
  const LinkId id(links_.size());
  boost::add_edge(link.a.index(), link.b.index(), id.index(), adjacency_);
  links_.push_back(link);
  return id;
}

DeviceId Graph::port_from(Port port) const { return port.reverse ? link(port.link).b : link(port.link).a; }
DeviceId Graph::port_to(Port port) const { return port.reverse ? link(port.link).a : link(port.link).b; }

std::string Graph::port_name(Port port) const {
  return device(port_from(port)).name + " -> " + device(port_to(port)).name;
}

Port Graph::port_out_of(DeviceId from, LinkId id) const {
  MOESIM_CHECK(link(id).a == from || link(id).b == from, "link does not touch the device");
  return Port{id, link(id).b == from};
}

std::vector<LinkId> Graph::links_of(DeviceId id) const {
  std::vector<LinkId> found;
  const auto [begin, end] = boost::out_edges(id.index(), adjacency_);
  for (auto edge = begin; edge != end; ++edge) found.emplace_back(boost::get(boost::edge_index, adjacency_, *edge));
  return found;
}

}  // namespace moesim::topology
