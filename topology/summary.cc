#include "topology/summary.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <boost/graph/push_relabel_max_flow.hpp>

namespace moesim::topology {
namespace {

using base::Bandwidth;

// Maximum flow in whole bytes per second.
using Traits = boost::adjacency_list_traits<boost::vecS, boost::vecS, boost::directedS>;
using FlowGraph = boost::adjacency_list<
    boost::vecS, boost::vecS, boost::directedS, boost::no_property,
    boost::property<boost::edge_capacity_t, std::int64_t,
                    boost::property<boost::edge_residual_capacity_t, std::int64_t,
                                    boost::property<boost::edge_reverse_t, Traits::edge_descriptor>>>>;

// With the reverse arc of capacity 0 that the algorithm asks for: a link's other direction is an arc of its own.
void add_arc(FlowGraph& flow, std::size_t a, std::size_t b, std::int64_t capacity) {
  const auto there = boost::add_edge(a, b, flow).first;
  const auto home = boost::add_edge(b, a, flow).first;
  boost::put(boost::edge_capacity, flow, there, capacity);
  boost::put(boost::edge_capacity, flow, home, 0);
  boost::put(boost::edge_reverse, flow, there, home);
  boost::put(boost::edge_reverse, flow, home, there);
}

// The flow from `senders` to `receivers` over links of one kind.
Bandwidth max_flow(const Graph& graph, LinkKind kind, const std::vector<DeviceId>& senders,
                   const std::vector<DeviceId>& receivers) {
  const std::size_t source = graph.num_devices();
  const std::size_t sink = source + 1;
  FlowGraph flow(graph.num_devices() + 2);
  std::int64_t total = 0;
  for (const Link& link : graph.links()) {
    if (link.kind != kind) continue;
    const auto capacity = std::llround(link.bandwidth.value());
    add_arc(flow, link.a.index(), link.b.index(), capacity);
    add_arc(flow, link.b.index(), link.a.index(), capacity);
    total += capacity;
  }
  for (const DeviceId id : senders) add_arc(flow, source, id.index(), total);
  for (const DeviceId id : receivers) add_arc(flow, id.index(), sink, total);
  return Bandwidth(static_cast<double>(boost::push_relabel_max_flow(flow, source, sink)));
}

template <class T>
void include(Range<T>& range, T value, bool first) {
  range.lowest = first ? value : std::min(range.lowest, value);
  range.highest = first ? value : std::max(range.highest, value);
}

// The part of the graph that a domain is, with its GPUs in rank order.
struct Part {
  Graph graph;
  std::vector<DeviceId> gpus;
};

std::map<std::int32_t, Part> domain_parts(const Cluster& cluster) {
  std::map<std::int32_t, Part> parts;
  std::vector<DeviceId> place(cluster.graph.num_devices());
  for (std::size_t d = 0; d < cluster.graph.num_devices(); ++d) {
    const Device& device = cluster.graph.devices()[d];
    if (device.domain >= 0) place[d] = parts[device.domain].graph.add_device(device);
  }
  for (const DeviceId id : cluster.gpus)
    if (const auto domain = cluster.graph.device(id).domain; domain >= 0)
      parts[domain].gpus.push_back(place[id.index()]);
  for (Link link : cluster.graph.links()) {
    if (link.kind != LinkKind::NvLink) continue;
    const std::int32_t domain = cluster.graph.device(link.a).domain;
    if (domain < 0 || cluster.graph.device(link.b).domain != domain) continue;
    link.a = place[link.a.index()];
    link.b = place[link.b.index()];
    parts[domain].graph.add_link(link);
  }
  return parts;
}

// On the network: a node's NICs, and GPUs that have a network link themselves.
std::map<std::int32_t, std::vector<DeviceId>> network_ends(const Graph& graph) {
  std::map<std::int32_t, std::vector<DeviceId>> ends;
  for (std::size_t d = 0; d < graph.num_devices(); ++d) {
    const DeviceId id(d);
    const Device& device = graph.device(id);
    const bool end = device.kind == DeviceKind::Nic || device.kind == DeviceKind::Gpu;
    if (end && totals_of(graph, id, LinkKind::Network).links > 0) ends[device.node].push_back(id);
  }
  return ends;
}

std::optional<Bandwidth> network_bisection(const Graph& graph) {
  const auto ends = network_ends(graph);
  if (ends.size() < 2) return std::nullopt;
  std::vector<DeviceId> senders;
  std::vector<DeviceId> receivers;
  std::size_t position = 0;
  for (const auto& [node, devices] : ends) {
    auto& half = position++ < ends.size() / 2 ? senders : receivers;
    half.insert(half.end(), devices.begin(), devices.end());
  }
  return max_flow(graph, LinkKind::Network, senders, receivers);
}

}  // namespace

PortTotals totals_of(const Graph& graph, DeviceId device, LinkKind kind) {
  PortTotals totals;
  const auto [begin, end] = boost::out_edges(device.index(), graph.adjacency());
  for (auto edge = begin; edge != end; ++edge) {
    const Link& link = graph.links()[boost::get(boost::edge_index, graph.adjacency(), *edge)];
    if (link.kind != kind) continue;
    ++totals.links;
    totals.lanes += link.lanes;
    totals.bandwidth += link.bandwidth;
  }
  return totals;
}

Summary summarize(const Cluster& cluster) {
  Summary summary;
  const Graph& graph = cluster.graph;
  summary.gpus = static_cast<std::int64_t>(cluster.gpus.size());
  std::map<std::int32_t, std::int64_t> gpus_of_node;
  for (const DeviceId id : cluster.gpus) ++gpus_of_node[graph.device(id).node];
  summary.nodes = static_cast<std::int64_t>(gpus_of_node.size());

  for (const Link& link : graph.links()) {
    PortTotals& totals = summary.all[static_cast<std::size_t>(link.kind)];
    ++totals.links;
    totals.lanes += link.lanes;
    totals.bandwidth += link.bandwidth;
  }
  for (std::size_t k = 0; k < kLinkKindCount; ++k)
    for (const DeviceId id : cluster.gpus)
      include(summary.per_gpu[k], totals_of(graph, id, static_cast<LinkKind>(k)).bandwidth, id == cluster.gpus.front());

  const auto ends = network_ends(graph);
  for (bool first = true; const auto& [node, gpus] : gpus_of_node) {
    Bandwidth total;
    if (const auto found = ends.find(node); found != ends.end())
      for (const DeviceId id : found->second) total += totals_of(graph, id, LinkKind::Network).bandwidth;
    include(summary.nic_per_gpu, total / static_cast<double>(gpus), first);
    first = false;
  }

  for (const auto& [domain, part] : domain_parts(cluster)) {
    if (part.gpus.empty()) continue;
    const auto count = static_cast<std::int64_t>(part.gpus.size());
    include(summary.gpus_per_domain, count, summary.domains == 0);
    ++summary.domains;
    if (count < 2) continue;
    const auto middle = part.gpus.begin() + count / 2;
    const Bandwidth bisection =
        max_flow(part.graph, LinkKind::NvLink, {part.gpus.begin(), middle}, {middle, part.gpus.end()});
    const bool first = !summary.domain_bisection.has_value();
    if (first) summary.domain_bisection.emplace();
    include(*summary.domain_bisection, bisection, first);
  }
  summary.scale_out_bisection = network_bisection(graph);
  return summary;
}

}  // namespace moesim::topology
