#include "topology/shortest_paths.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include <boost/graph/connected_components.hpp>
#include <boost/graph/dijkstra_shortest_paths.hpp>

#include "base/error.h"
#include "base/random.h"

namespace moesim::topology {
namespace {

constexpr PathLength kUnreached{std::numeric_limits<std::int64_t>::max() / 2, 0};

bool is_endpoint(DeviceKind kind) { return kind == DeviceKind::Gpu || kind == DeviceKind::Nic; }

PathLength length_of(const Link& link) { return {std::llround(link.latency.value() * 1e15), 1}; }

}  // namespace

ShortestPaths::ShortestPaths(const Graph& graph, std::initializer_list<LinkKind> kinds)
    : graph_(&graph),
      in_fabric_(graph.num_links()),
      transit_of_(graph.num_devices(), kNone),
      attachments_(graph.num_devices()),
      direct_(graph.num_devices()) {
  for (std::size_t l = 0; l < graph.num_links(); ++l) {
    const Link& link = graph.links()[l];
    in_fabric_[l] = std::find(kinds.begin(), kinds.end(), link.kind) != kinds.end();
    if (!in_fabric_[l]) continue;
    for (const DeviceId end : {link.a, link.b}) {
      if (is_endpoint(graph.device(end).kind) || transit_of_[end.index()] != kNone) continue;
      transit_of_[end.index()] = 0;  // numbered below, by device index
    }
  }
  for (std::size_t d = 0; d < graph.num_devices(); ++d) {
    if (transit_of_[d] == kNone) continue;
    transit_of_[d] = static_cast<std::uint32_t>(transit_.size());
    transit_.emplace_back(d);
  }
  for (std::size_t l = 0; l < graph.num_links(); ++l) {
    if (!in_fabric_[l]) continue;
    const LinkId id(l);
    const Link& link = graph.link(id);
    for (const auto& [end, other] : {std::pair(link.a, link.b), std::pair(link.b, link.a)}) {
      if (transit_of_[end.index()] != kNone) continue;
      if (transit_of_[other.index()] != kNone)
        attachments_[end.index()].push_back({transit_of_[other.index()], id, length_of(link)});
      else
        direct_[end.index()].push_back({other, id, length_of(link)});
    }
  }
  for (auto& list : direct_)
    std::sort(list.begin(), list.end(), [](const Direct& x, const Direct& y) {
      return std::tie(x.other, x.length, x.link) < std::tie(y.other, y.length, y.link);
    });
  onward_.resize(transit_.size());
  for (std::size_t l = 0; l < graph.num_links(); ++l) {
    const std::uint32_t a = transit_of_[graph.links()[l].a.index()], b = transit_of_[graph.links()[l].b.index()];
    if (!in_fabric_[l] || a == kNone || b == kNone) continue;
    onward_[a].emplace_back(l);
    onward_[b].emplace_back(l);
  }
  find_components();
}

void ShortestPaths::find_components() {
  boost::adjacency_list<boost::vecS, boost::vecS, boost::undirectedS> all(transit_.size());
  for (std::size_t l = 0; l < graph_->num_links(); ++l) {
    const Link& link = graph_->links()[l];
    const std::uint32_t a = transit_of_[link.a.index()];
    const std::uint32_t b = transit_of_[link.b.index()];
    if (in_fabric_[l] && a != kNone && b != kNone) boost::add_edge(a, b, all);
  }
  component_.resize(transit_.size());
  const auto by_vertex = boost::make_iterator_property_map(component_.begin(), boost::get(boost::vertex_index, all));
  const std::size_t count = transit_.empty() ? 0 : boost::connected_components(all, by_vertex);

  members_.resize(count);
  local_index_.resize(transit_.size());
  for (std::uint32_t t = 0; t < transit_.size(); ++t) {
    auto& list = members_[component_[t]];
    local_index_[t] = static_cast<std::uint32_t>(list.size());
    list.push_back(t);
  }
  std::vector<bool> starts_paths(transit_.size());
  for (const auto& list : attachments_)
    for (const Attachment& attachment : list) starts_paths[attachment.transit] = true;

  trees_.resize(transit_.size());
  for (const auto& list : members_) {
    Local local(list.size());
    for (const std::uint32_t t : list)
      for (const LinkId l : graph_->links_of(transit_[t])) {
        const Link& link = graph_->link(l);
        if (!in_fabric_[l.index()] || link.a != transit_[t] || transit_of_[link.b.index()] == kNone) continue;
        boost::add_edge(local_index_[t], local_index_[transit_of_[link.b.index()]], length_of(link), local);
      }
    for (const std::uint32_t t : list)
      if (starts_paths[t] || graph_->device(transit_[t]).kind == DeviceKind::Cpu) grow_tree(local, list, t);
  }
}

void ShortestPaths::grow_tree(const Local& local, const std::vector<std::uint32_t>& members, std::uint32_t root) {
  Tree& tree = trees_[root];
  tree.length.assign(members.size(), kUnreached);
  tree.arrival.assign(members.size(), Port{});
  if (members.size() == 1) {
    tree.length[0] = PathLength{};
    return;
  }
  boost::dijkstra_shortest_paths(local, local_index_[root],
                                 boost::distance_map(boost::make_iterator_property_map(
                                                         tree.length.begin(), boost::get(boost::vertex_index, local)))
                                     .distance_compare(std::less<PathLength>())
                                     .distance_combine(std::plus<PathLength>())
                                     .distance_inf(kUnreached)
                                     .distance_zero(PathLength{}));
  // Of all predecessors on shortest paths take the lowest, whatever the order in which Dijkstra met them.
  for (const std::uint32_t t : members) {
    if (t == root) continue;
    DeviceId lowest(kNone);
    for (const LinkId l : graph_->links_of(transit_[t])) {
      const Link& link = graph_->link(l);
      const DeviceId before = link.a == transit_[t] ? link.b : link.a;
      const std::uint32_t before_transit = transit_of_[before.index()];
      if (!in_fabric_[l.index()] || before_transit == kNone || before >= lowest) continue;
      if (tree.length[local_index_[before_transit]] + length_of(link) != tree.length[local_index_[t]]) continue;
      lowest = before;
      tree.arrival[local_index_[t]] = graph_->port_out_of(before, l);
    }
  }
}

bool ShortestPaths::attached(DeviceId device) const {
  return !attachments_[device.index()].empty() || !direct_[device.index()].empty();
}

std::optional<ShortestPaths::Best> ShortestPaths::best(DeviceId a, DeviceId b) const {
  std::optional<Best> found;
  const auto offer = [&](const Best& candidate) {
    if (found && std::tie(found->length, found->first, found->last) <=
                     std::tie(candidate.length, candidate.first, candidate.last))
      return;
    found = candidate;
  };
  const auto& direct = direct_[a.index()];
  const auto link =
      std::lower_bound(direct.begin(), direct.end(), b, [](const Direct& d, DeviceId id) { return d.other < id; });
  if (link != direct.end() && link->other == b) {
    Best candidate;
    candidate.length = link->length;
    candidate.direct = link->link;
    offer(candidate);
  }
  // A CPU stands for itself: a way in of length zero.
  const auto for_each_way = [&](DeviceId device, const auto& take) {
    if (transit_of_[device.index()] != kNone)
      return take(transit_of_[device.index()], static_cast<const Attachment*>(nullptr));
    for (const Attachment& attachment : attachments_[device.index()]) take(attachment.transit, &attachment);
  };
  for_each_way(a, [&](std::uint32_t first, const Attachment* in) {
    const Tree& tree = trees_[first];
    for_each_way(b, [&](std::uint32_t last, const Attachment* out) {
      if (component_[first] != component_[last] || tree.length.empty()) return;
      Best candidate;
      candidate.length = tree.length[local_index_[last]];
      if (in != nullptr) candidate.length = candidate.length + in->length;
      if (out != nullptr) candidate.length = candidate.length + out->length;
      candidate.in = in;
      candidate.out = out;
      candidate.first = first;
      candidate.last = last;
      offer(candidate);
    });
  });
  return found;
}

std::optional<PathLength> ShortestPaths::length(DeviceId a, DeviceId b) const {
  const auto found = best(a, b);
  return found ? std::optional(found->length) : std::nullopt;
}

std::optional<DeviceId> ShortestPaths::nearest_cpu(DeviceId endpoint) const {
  std::optional<std::pair<PathLength, DeviceId>> nearest;
  for (const Attachment& in : attachments_[endpoint.index()])
    for (const std::uint32_t t : members_[component_[in.transit]]) {
      if (graph_->device(transit_[t]).kind != DeviceKind::Cpu) continue;
      const std::pair candidate(in.length + trees_[in.transit].length[local_index_[t]], transit_[t]);
      if (!nearest || candidate < *nearest) nearest = candidate;
    }
  return nearest ? std::optional(nearest->second) : std::nullopt;
}

// Between the first and the last transit device.
std::vector<Port> ShortestPaths::first_way(const Best& best) const {
  std::vector<Port> ports;
  for (std::uint32_t t = best.last; t != best.first;) {  // backwards
    const Port arrival = trees_[best.first].arrival[local_index_[t]];
    ports.push_back(arrival);
    t = transit_of_[graph_->port_from(arrival).index()];
  }
  std::reverse(ports.begin(), ports.end());
  return ports;
}

std::vector<Port> ShortestPaths::way_of(const Best& best, std::uint64_t flow) const {
  std::vector<Port> ports, choices;
  // Links are alike in both directions, so the tree of the last device knows how far it is from everywhere.
  const auto left = [&](std::uint32_t t) { return trees_[best.last].length[local_index_[t]]; };
  for (std::uint32_t t = best.first; t != best.last;) {
    choices.clear();
    for (const LinkId l : onward_[t]) {
      const Port port = graph_->port_out_of(transit_[t], l);
      if (left(transit_of_[graph_->port_to(port).index()]) + length_of(graph_->link(l)) == left(t))
        choices.push_back(port);
    }
    MOESIM_CHECK(!choices.empty(), "a way on along a shortest path");
    base::RandomStream hash(flow, "ecmp hop", ports.size());
    ports.push_back(choices[hash.below(choices.size())]);
    t = transit_of_[graph_->port_to(ports.back()).index()];
  }
  return ports;
}

template <class Way>
std::optional<std::vector<Port>> ShortestPaths::path_by(DeviceId a, DeviceId b, Way way) const {
  const auto found = best(a, b);
  if (!found) return std::nullopt;
  if (found->first == kNone) return std::vector<Port>{graph_->port_out_of(a, found->direct)};
  std::vector<Port> ports = way(*found);
  if (found->in != nullptr) ports.insert(ports.begin(), graph_->port_out_of(a, found->in->link));
  if (found->out != nullptr) ports.push_back(graph_->port_out_of(transit_[found->last], found->out->link));
  return ports;
}

std::optional<std::vector<Port>> ShortestPaths::path(DeviceId a, DeviceId b) const {
  return path_by(a, b, [&](const Best& best) { return first_way(best); });
}

std::optional<std::vector<Port>> ShortestPaths::path(DeviceId a, DeviceId b, std::uint64_t flow) const {
  return path_by(a, b, [&](const Best& best) { return way_of(best, flow); });
}

}  // namespace moesim::topology
