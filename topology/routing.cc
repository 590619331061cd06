#include "topology/routing.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/error.h"
#include "base/random.h"
#include "topology/routing_state.h"

namespace moesim::topology {
namespace {

Collapsed unchanged(const Graph& graph) {
  Collapsed same{graph, {}};
  for (std::size_t d = 0; d < graph.num_devices(); ++d) same.device.emplace_back(d);
  return same;
}

base::Duration latency_of(const Graph& graph, const std::vector<Port>& ports) {
  base::Duration sum;
  for (const Port port : ports) sum += graph.link(port.link).latency;
  return sum;
}

std::uint64_t flow_hash(std::uint64_t seed, std::int32_t from, std::int32_t to) {
  const auto pair = static_cast<std::uint64_t>(from) << 32 | static_cast<std::uint32_t>(to);
  return base::RandomStream(seed, "ecmp flow", pair).next();
}

void append(std::vector<Port>& ports, const std::vector<Port>& more) {
  ports.insert(ports.end(), more.begin(), more.end());
}

}  // namespace

Router::State::State(const Cluster& cluster, RoutingOptions options)
    : State(cluster, options.collapse_planes ? collapse_planes(cluster.graph) : unchanged(cluster.graph)) {}

Router::State::State(const Cluster& cluster, Collapsed collapsed)
    : graph(std::move(collapsed.graph)),
      p2p(cluster.p2p),
      ecmp_seed(cluster.ecmp_seed),
      nvlink(graph, {LinkKind::NvLink}),
      host(graph, {LinkKind::Pcie, LinkKind::CpuInterconnect, LinkKind::C2c}),
      network(graph, {LinkKind::Network}) {
  for (const DeviceId gpu : cluster.gpus) gpus.push_back(collapsed.device[gpu.index()]);
  assign_nics();
}

void Router::State::assign_nics() {
  for (std::size_t d = 0; d < graph.num_devices(); ++d) {
    const DeviceId id(d);
    if (graph.device(id).kind == DeviceKind::Nic && network.attached(id))
      nics_of_node[graph.device(id).node].push_back(id);
  }
  senders.resize(gpus.size());
  std::map<std::vector<DeviceId>, std::size_t> turns;  // of NICs at equal distance: how many GPUs took one
  for (std::size_t rank = 0; rank < gpus.size(); ++rank) {
    const DeviceId gpu = gpus[rank];
    if (network.attached(gpu)) {
      senders[rank] = {gpu};
      owners[gpu] = {static_cast<std::int32_t>(rank)};
      continue;
    }
    struct Candidate {
      bool other_rail;
      PathLength length;
      DeviceId nic;
      bool as_near(const Candidate& o) const { return other_rail == o.other_rail && length == o.length; }
    };
    std::vector<Candidate> candidates;
    const std::int32_t rail = graph.device(gpu).rail;
    for (const DeviceId nic : nics_near(static_cast<std::int32_t>(rank)))
      if (const auto length = host.length(gpu, nic))
        candidates.push_back({rail >= 0 && graph.device(nic).rail != rail, *length, nic});
    if (candidates.empty()) continue;
    std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& x, const Candidate& y) {
      return std::tie(x.other_rail, x.length) < std::tie(y.other_rail, y.length);
    });
    std::vector<DeviceId> nearest;
    for (const Candidate& c : candidates) {
      senders[rank].push_back(c.nic);
      if (c.as_near(candidates.front())) nearest.push_back(c.nic);
    }
    const std::size_t turn = turns[nearest]++ % nearest.size();
    std::rotate(senders[rank].begin(), senders[rank].begin() + static_cast<std::ptrdiff_t>(turn),
                senders[rank].begin() + static_cast<std::ptrdiff_t>(turn) + 1);
    owners[senders[rank].front()].push_back(static_cast<std::int32_t>(rank));
  }
}

std::span<const DeviceId> Router::State::nics_near(std::int32_t rank) const {
  const DeviceId& gpu = gpus[static_cast<std::size_t>(rank)];
  if (network.attached(gpu)) return {&gpu, 1};
  const auto found = nics_of_node.find(graph.device(gpu).node);
  return found == nics_of_node.end() ? std::span<const DeviceId>() : found->second;
}

std::optional<Router::State::Path> Router::State::nvlink_path(DeviceId from, DeviceId to) const {
  auto ports = nvlink.path(from, to);
  if (!ports) return std::nullopt;
  Path path;
  if (ports->size() != 2) {
    path.common = std::move(*ports);
    return path;
  }
  double total = 0;
  for (const auto& up : nvlink.attachments(from))
    for (const auto& down : nvlink.attachments(to)) {
      if (up.transit != down.transit) continue;
      const double weight = std::min(graph.link(up.link).bandwidth, graph.link(down.link).bandwidth).value();
      const DeviceId plane = nvlink.transit_device(up.transit);
      path.planes.push_back({{graph.port_out_of(from, up.link), graph.port_out_of(plane, down.link)}, weight});
      total += weight;
    }
  for (auto& plane : path.planes) plane.share /= total;
  return path;
}

std::optional<LinkId> Router::State::memory_link(DeviceId cpu) const {
  for (const LinkId id : graph.links_of(cpu))
    if (graph.link(id).kind == LinkKind::HostMemory) return id;
  return std::nullopt;
}

std::optional<Router::State::Path> Router::State::host_path(DeviceId from, DeviceId to) const {
  if (p2p == PeerTransfer::HostStaged) {
    if (const auto cpu = host.nearest_cpu(from)) {
      auto up = host.path(from, *cpu);
      const auto down = host.path(*cpu, to);
      if (up && down) {
        if (const auto memory = memory_link(*cpu)) {
          const Port write = graph.port_out_of(*cpu, *memory);
          append(*up, {write, Port{*memory, !write.reverse}});
        }
        append(*up, *down);
        return Path{std::move(*up), {}};
      }
    }
  }
  auto ports = host.path(from, to);
  if (!ports) return std::nullopt;
  return Path{std::move(*ports), {}};
}

std::optional<Router::State::Path> Router::State::last_leg(DeviceId nic, std::int32_t to) const {
  const DeviceId gpu = gpus[static_cast<std::size_t>(to)];
  if (nic == gpu) return Path{};
  const auto direct = [&]() -> std::optional<Path> {
    auto ports = host.path(nic, gpu);
    if (!ports) return std::nullopt;
    return Path{std::move(*ports), {}};
  };
  const auto& own = senders[static_cast<std::size_t>(to)];
  if (!own.empty() && own.front() == nic) return direct();
  if (const auto found = owners.find(nic); found != owners.end()) {
    const auto& ranks = found->second;  // several GPUs may share the NIC: receivers spread over them
    const DeviceId relay = gpus[static_cast<std::size_t>(ranks[static_cast<std::size_t>(to) % ranks.size()])];
    auto over_nvlink = nvlink_path(relay, gpu);
    auto to_relay = host.path(nic, relay);
    if (over_nvlink && to_relay) {
      append(*to_relay, over_nvlink->common);
      over_nvlink->common = std::move(*to_relay);
      return over_nvlink;
    }
  }
  return direct();
}

std::optional<Router::State::Path> Router::State::network_path(std::int32_t from, std::int32_t to) const {
  const DeviceId sender = gpus[static_cast<std::size_t>(from)];
  const auto near_receiver = nics_near(to);
  const auto& own = senders[static_cast<std::size_t>(to)];
  for (const DeviceId out : senders[static_cast<std::size_t>(from)]) {
    const std::int32_t rail = graph.device(out).rail;
    std::vector<DeviceId> in;  // the NICs to try at the receiver's node
    const auto try_next = [&](DeviceId nic) {
      if (std::find(in.begin(), in.end(), nic) == in.end()) in.push_back(nic);
    };
    const auto same_rail = [&](DeviceId nic) { return rail >= 0 && graph.device(nic).rail == rail; };
    if (!own.empty() && same_rail(own.front())) try_next(own.front());
    for (const DeviceId nic : near_receiver)
      if (same_rail(nic)) try_next(nic);
    if (!own.empty()) try_next(own.front());
    for (const DeviceId nic : near_receiver) try_next(nic);
    for (const DeviceId nic : in) {
      const auto across = ecmp_seed ? network.path(out, nic, flow_hash(*ecmp_seed, from, to)) : network.path(out, nic);
      if (!across) continue;
      auto path = last_leg(nic, to);
      if (!path) continue;
      std::vector<Port> ports;
      if (out != sender) ports = *host.path(sender, out);
      append(ports, *across);
      append(ports, path->common);
      path->common = std::move(ports);
      return path;
    }
  }
  return std::nullopt;
}

std::optional<Router::State::Path> Router::State::path(std::int32_t from, std::int32_t to) const {
  const DeviceId a = gpus[static_cast<std::size_t>(from)];
  const DeviceId b = gpus[static_cast<std::size_t>(to)];
  if (auto path = nvlink_path(a, b)) return path;
  if (auto path = host_path(a, b)) return path;
  return network_path(from, to);
}

Router::Router(const Cluster& cluster, RoutingOptions options)
    : state_(std::make_shared<const State>(cluster, options)), gpus_(state_->gpus) {
  for (std::size_t rank = 0; rank < gpus_.size(); ++rank) ranks_.push_back(static_cast<std::int32_t>(rank));
}

Router::Router(const Router& whole, const std::vector<std::int32_t>& ranks) : state_(whole.state_) {
  for (const std::int32_t rank : ranks) {
    ranks_.push_back(whole.ranks_.at(static_cast<std::size_t>(rank)));
    gpus_.push_back(whole.gpus_[static_cast<std::size_t>(rank)]);
  }
}

Router::~Router() = default;

const Graph& Router::graph() const { return state_->graph; }
const std::vector<DeviceId>& Router::gpus() const { return gpus_; }

std::vector<Router::PlaneRoute> Router::plane_routes(std::int32_t from, std::int32_t to) const {
  const auto ranks = static_cast<std::int32_t>(gpus_.size());
  MOESIM_CHECK(from >= 0 && from < ranks && to >= 0 && to < ranks && from != to, "route between unsuitable ranks");
  auto path = state_->path(ranks_[static_cast<std::size_t>(from)], ranks_[static_cast<std::size_t>(to)]);
  const Graph& graph = state_->graph;
  if (!path)
    throw base::InputError("", "",
                           "no route from " + graph.device(gpus_[static_cast<std::size_t>(from)]).name + " to " +
                               graph.device(gpus_[static_cast<std::size_t>(to)]).name);
  if (path->planes.empty()) path->planes.push_back({{}, 1});
  std::vector<PlaneRoute> routes;
  for (const auto& plane : path->planes) {
    PlaneRoute& made = routes.emplace_back();
    made.share = plane.share;
    made.route.latency = latency_of(graph, path->common) + latency_of(graph, plane.ports);
    for (const Port port : path->common) made.route.hops.push_back({port, 1});
    for (const Port port : plane.ports) made.route.hops.push_back({port, 1});
  }
  return routes;
}

Route Router::route(std::int32_t from, std::int32_t to) const {
  const std::vector<PlaneRoute> planes = plane_routes(from, to);
  Route route = planes.front().route;
  if (planes.size() == 1) return route;
  std::size_t common = 0;  // hops that all planes begin with
  while (planes[0].route.hops[common].port == planes[1].route.hops[common].port) ++common;
  route.hops.resize(common);
  for (const PlaneRoute& plane : planes) {
    route.latency = std::max(route.latency, plane.route.latency);
    for (std::size_t h = common; h < plane.route.hops.size(); ++h)
      route.hops.push_back({plane.route.hops[h].port, plane.share});
  }
  return route;
}

}  // namespace moesim::topology
