#include "topology/collapse.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

namespace moesim::topology {
namespace {

struct Domain {
  std::vector<DeviceId> gpus;
  std::vector<DeviceId> switches;
};

std::map<std::int32_t, Domain> find_domains(const Graph& graph) {
  std::map<std::int32_t, Domain> domains;
  for (std::size_t d = 0; d < graph.num_devices(); ++d) {
    const Device& device = graph.devices()[d];
    if (device.domain < 0) continue;
    if (device.kind == DeviceKind::Gpu) domains[device.domain].gpus.emplace_back(d);
    if (device.kind == DeviceKind::NvSwitch) domains[device.domain].switches.emplace_back(d);
  }
  return domains;
}

// What one GPU has on the planes of its domain.
struct Fan {
  std::vector<double> bandwidth;  // [switches] bytes/s
  double total = 0;
  std::int32_t lanes = 0;
  std::optional<base::Duration> latency;
};

// The fan of every GPU, or nothing if the planes are not alike for all of them.
std::optional<std::vector<Fan>> equal_fans(const Graph& graph, const Domain& domain) {
  constexpr double kRounding = 1e-12;
  std::map<DeviceId, std::size_t> gpu_index;
  for (std::size_t g = 0; g < domain.gpus.size(); ++g) gpu_index[domain.gpus[g]] = g;
  std::vector<Fan> fans(domain.gpus.size(), Fan{std::vector<double>(domain.switches.size()), 0, 0, std::nullopt});
  for (std::size_t s = 0; s < domain.switches.size(); ++s)
    for (const LinkId l : graph.links_of(domain.switches[s])) {
      const Link& link = graph.link(l);
      const auto gpu = gpu_index.find(link.a == domain.switches[s] ? link.b : link.a);
      if (link.kind != LinkKind::NvLink || gpu == gpu_index.end()) return std::nullopt;
      Fan& fan = fans[gpu->second];
      if (fan.latency && *fan.latency != link.latency) return std::nullopt;
      fan.latency = link.latency;
      fan.bandwidth[s] += link.bandwidth.value();
      fan.total += link.bandwidth.value();
      fan.lanes += link.lanes;
    }
  for (const Fan& fan : fans)
    for (std::size_t s = 0; s < domain.switches.size(); ++s) {
      const double share = fan.bandwidth[s] / fan.total;
      const double first = fans.front().bandwidth[s] / fans.front().total;
      if (!(share > 0) || std::abs(share - first) > kRounding * first) return std::nullopt;
    }
  return fans;
}

// "nvswitch0..3" from "nvswitch0" and "nvswitch3".
std::string range_name(const std::string& first, const std::string& last) {
  const auto stem = [](const std::string& name) { return name.find_last_not_of("0123456789") + 1; };
  const bool same_stem = stem(first) == stem(last) && first.compare(0, stem(first), last, 0, stem(last)) == 0;
  return first + ".." + (same_stem ? last.substr(stem(last)) : last);
}

}  // namespace

Collapsed collapse_planes(const Graph& graph) {
  std::vector<DeviceId> stands_for(graph.num_devices());  // the first switch of its domain, otherwise itself
  for (std::size_t d = 0; d < graph.num_devices(); ++d) stands_for[d] = DeviceId(d);
  struct Merged {
    DeviceId last;
    std::vector<DeviceId> gpus;
    std::vector<Fan> fans;
  };
  std::map<DeviceId, Merged> merged;  // by first switch
  for (const auto& [number, domain] : find_domains(graph)) {
    if (domain.switches.size() < 2 || domain.gpus.empty()) continue;
    auto fans = equal_fans(graph, domain);
    if (!fans) continue;
    for (const DeviceId s : domain.switches) stands_for[s.index()] = domain.switches.front();
    merged[domain.switches.front()] = {domain.switches.back(), domain.gpus, std::move(*fans)};
  }

  Collapsed result;
  result.device.resize(graph.num_devices());
  for (std::size_t d = 0; d < graph.num_devices(); ++d) {
    const DeviceId id(d);
    if (stands_for[d] != id) {
      result.device[d] = result.device[stands_for[d].index()];
      continue;
    }
    Device device = graph.device(id);
    const auto planes = merged.find(id);
    if (planes != merged.end()) device.name = range_name(device.name, graph.device(planes->second.last).name);
    result.device[d] = result.graph.add_device(std::move(device));
  }
  for (const auto& [nvswitch, planes] : merged)
    for (std::size_t g = 0; g < planes.gpus.size(); ++g)
      result.graph.add_link({.a = result.device[planes.gpus[g].index()],
                             .b = result.device[nvswitch.index()],
                             .kind = LinkKind::NvLink,
                             .bandwidth = base::Bandwidth(planes.fans[g].total),
                             .latency = *planes.fans[g].latency,
                             .lanes = planes.fans[g].lanes});
  for (const Link& link : graph.links()) {
    if (merged.contains(stands_for[link.a.index()]) || merged.contains(stands_for[link.b.index()])) continue;
    Link copy = link;
    copy.a = result.device[link.a.index()];
    copy.b = result.device[link.b.index()];
    result.graph.add_link(copy);
  }
  return result;
}

}  // namespace moesim::topology
