#include "topology/dot.h"

#include <array>
#include <map>
#include <utility>
#include <vector>

#include "topology/collapse.h"

namespace moesim::topology {
namespace {

struct Look {
  std::string_view shape;
  std::string_view fill;
  int level;  // outermost first: a link is drawn from the lower level to the higher
};
constexpr std::array<Look, 7> kDevices{{{"box", "#cfe8cf", 3},        // gpu
                                        {"hexagon", "#f6dfb0", 4},    // nvswitch
                                        {"trapezium", "#e4e4e4", 2},  // pcie_switch
                                        {"box3d", "#d7dcf2", 1},      // cpu
                                        {"cds", "#f3d3dc", 3},        // nic
                                        {"hexagon", "#d3ecf3", 5},    // switch
                                        {"folder", "#e9e2f5", 0}}};   // host_memory
constexpr std::array<std::string_view, kLinkKindCount> kLinkColours{"#3f8f3f", "#808080", "#5566bb",
                                                                    "#aa66aa", "#cc5577", "#8866cc"};

Look look_of(const Device& device) { return kDevices[static_cast<std::size_t>(device.kind)]; }

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) result += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return result + "\"";
}

std::string device_line(const Device& device) {
  const Look look = look_of(device);
  // Inside its node's box a device needs no "node3." before its name.
  const std::string prefix = "node" + std::to_string(device.node) + ".";
  const std::string label = device.name.starts_with(prefix) ? device.name.substr(prefix.size()) : device.name;
  return quoted(device.name) + " [label=" + quoted(label) + ", shape=" + std::string(look.shape) + ", fillcolor=\"" +
         std::string(look.fill) + "\"];\n";
}

std::string rate(const Link& link) {
  return (link.lanes > 1 ? std::to_string(link.lanes) + " x, " : "") + to_string(link.bandwidth);
}

// The rate of all links of a kind, where they are alike: said once, below the drawing.
std::map<LinkKind, std::string> common_rates(const Graph& graph) {
  std::map<LinkKind, std::string> rates;
  for (const Link& link : graph.links()) {
    const auto [place, first] = rates.emplace(link.kind, rate(link));
    if (!first && place->second != rate(link)) place->second.clear();
  }
  return rates;
}

// Several nodes are drawn left and right of what joins them: the first half in the order of the levels, the other in
// the opposite order. A single node is drawn top down.
class Drawing {
 public:
  explicit Drawing(const Graph& graph) : graph_(graph) {
    for (const Device& device : graph.devices())
      if (device.node >= 0) nodes_[device.node] += "    " + device_line(device);
    std::size_t position = 0;
    for (const auto& [node, lines] : nodes_) right_[node] = nodes_.size() > 1 && 2 * position++ >= nodes_.size();
  }

  bool sideways() const { return nodes_.size() > 1; }

  std::string boxes() const {
    std::string text;
    for (const auto& [node, lines] : nodes_)
      text += "  subgraph cluster_node" + std::to_string(node) + " {\n    label=\"node " + std::to_string(node) +
              "\";\n" + lines + "  }\n";
    for (const Device& device : graph_.devices())
      if (device.node < 0) text += "  " + device_line(device);
    return text;
  }

  std::string line(const Link& link, const std::string& label) const {
    const Device* first = &graph_.device(link.a);
    const Device* last = &graph_.device(link.b);
    const bool same_level = look_of(*first).level == look_of(*last).level;
    const std::int32_t node = first->node >= 0 ? first->node : last->node;
    const bool right = node >= 0 && right_.at(node);
    if (!same_level && (look_of(*first).level > look_of(*last).level) != right) std::swap(first, last);
    std::string text = "  " + quoted(first->name) + " -- " + quoted(last->name) + " [";
    if (!label.empty()) text += "label=" + quoted(label) + ", ";
    // A mesh would be a ladder of ranks, were its links to rank their ends.
    if (same_level) text += "constraint=false, ";
    return text + "color=\"" + std::string(kLinkColours[static_cast<std::size_t>(link.kind)]) + "\"];\n";
  }

 private:
  const Graph& graph_;
  std::map<std::int32_t, std::string> nodes_;
  std::map<std::int32_t, bool> right_;
};

}  // namespace

std::string to_dot(const Cluster& cluster) {
  const Graph graph = collapse_planes(cluster.graph).graph;
  const Drawing drawing(graph);
  const auto rates = common_rates(graph);
  std::string legend;
  for (const auto& [kind, text] : rates)
    if (!text.empty()) legend += "\\n" + std::string(to_string(kind)) + ": " + text + " per direction";
  std::string title = quoted(cluster.name);
  title.insert(title.size() - 1, legend);
  std::string text = "graph " + quoted(cluster.name) + " {\n";
  text += "  layout=dot; rankdir=" + std::string(drawing.sideways() ? "LR; ranksep=1.2; nodesep=0.08" : "TB") +
          "; fontname=\"sans-serif\"; label=" + title + ";\n";
  text +=
      "  node [style=filled, fontname=\"sans-serif\", fontsize=10, height=0.3];\n"
      "  edge [fontname=\"sans-serif\", fontsize=8];\n";
  text += drawing.boxes();
  for (const Link& link : graph.links()) text += drawing.line(link, rates.at(link.kind).empty() ? rate(link) : "");
  return text + "}\n";
}

}  // namespace moesim::topology
