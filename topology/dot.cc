#include "topology/dot.h"

#include <array>
#include <map>

#include "topology/collapse.h"

namespace moesim::topology {
namespace {

struct Look {
  std::string_view shape;
  std::string_view fill;
};
constexpr std::array<Look, 6> kDevices{{{"box", "#cfe8cf"},        // gpu
                                        {"hexagon", "#f6dfb0"},    // nvswitch
                                        {"trapezium", "#e4e4e4"},  // pcie_switch
                                        {"box3d", "#d7dcf2"},      // cpu
                                        {"cds", "#f3d3dc"},        // nic
                                        {"hexagon", "#d3ecf3"}}};  // switch
constexpr std::array<std::string_view, kLinkKindCount> kLinkColours{"#3f8f3f", "#808080", "#5566bb", "#aa66aa",
                                                                    "#cc5577"};

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) result += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return result + "\"";
}

std::string device_line(const Device& device) {
  const Look look = kDevices[static_cast<std::size_t>(device.kind)];
  // Inside its node's box a device needs no "node3." before its name.
  const std::string prefix = "node" + std::to_string(device.node) + ".";
  const std::string label = device.name.starts_with(prefix) ? device.name.substr(prefix.size()) : device.name;
  return quoted(device.name) + " [label=" + quoted(label) + ", shape=" + std::string(look.shape) + ", fillcolor=\"" +
         std::string(look.fill) + "\"];\n";
}

}  // namespace

std::string to_dot(const Cluster& cluster) {
  const Graph graph = collapse_planes(cluster.graph).graph;
  std::map<std::int32_t, std::string> nodes;
  std::string outside;
  for (const Device& device : graph.devices()) {
    if (device.node >= 0)
      nodes[device.node] += "    " + device_line(device);
    else
      outside += "  " + device_line(device);
  }
  std::string text = "graph " + quoted(cluster.name) + " {\n";
  text += "  layout=dot; rankdir=TB; compound=true; fontname=\"sans-serif\"; label=" + quoted(cluster.name) + ";\n";
  text +=
      "  node [style=filled, fontname=\"sans-serif\", fontsize=10];\n  edge [fontname=\"sans-serif\", fontsize=8];\n";
  for (const auto& [node, lines] : nodes)
    text += "  subgraph cluster_node" + std::to_string(node) + " {\n    label=\"node " + std::to_string(node) +
            "\";\n" + lines + "  }\n";
  text += outside;
  for (const Link& link : graph.links()) {
    const std::string lanes = link.lanes > 1 ? std::to_string(link.lanes) + " x, " : "";
    text += "  " + quoted(graph.device(link.a).name) + " -- " + quoted(graph.device(link.b).name) +
            " [label=" + quoted(lanes + to_string(link.bandwidth)) + ", color=\"" +
            std::string(kLinkColours[static_cast<std::size_t>(link.kind)]) + "\"];\n";
  }
  return text + "}\n";
}

}  // namespace moesim::topology
