#include <cmath>
#include <map>

#include "base/error.h"
#include "topology/builders/builders.h"

namespace moesim::topology {
namespace {

constexpr std::int32_t kMostSpines = 4096;
constexpr double kMostOversubscription = 1000;

// Cables of `cable` in a link of `rate`, 0 where they do not fill it.
std::int32_t cables(base::Bandwidth rate, base::Bandwidth cable) {
  const double ratio = rate.value() / cable.value();
  const double whole = std::round(ratio);
  return whole >= 1 && whole < kMaxGpus && std::abs(ratio - whole) <= 1e-9 * whole ? static_cast<std::int32_t>(whole)
                                                                                   : 0;
}

base::Bandwidth uplink(const LeafSpineSpec& spec, base::Bandwidth end_rate) {
  return end_rate * (spec.leaf_size / spec.oversubscription / spec.spines);
}

}  // namespace

LeafSpineSpec read_leaf_spine(const base::JsonObject& object, base::Bandwidth end_rate) {
  LeafSpineSpec spec;
  const auto whole = [](std::int64_t most) { return [most](const base::JsonNode& n) { return n.integer(1, most); }; };
  spec.leaf_size = static_cast<std::int32_t>(whole(kMaxGpus)(object.required("leaf_size")));
  spec.spines = static_cast<std::int32_t>(whole(kMostSpines)(object.required("spines")));
  spec.oversubscription = object.get("oversubscription", 1.0, [](const base::JsonNode& n) {
    return n.number(1 / kMostOversubscription, kMostOversubscription);
  });
  if (const auto cable = object.optional("spine_link")) {
    spec.spine_link = cable->bandwidth();
    const base::Bandwidth rate = uplink(spec, end_rate);
    if (end_rate.value() > 0 && cables(rate, *spec.spine_link) == 0)
      cable->fail("leaf_size times the NIC rate over oversubscription and spines is " + base::to_string(rate) +
                      " from each leaf to each spine: not a whole number of such links",
                  "a rate that divides it");
  }
  if (const auto latency = object.optional("spine_latency")) spec.spine_latency = latency->duration();
  spec.ecmp_seed = static_cast<std::uint64_t>(object.get("ecmp_seed", std::int64_t{0}, [](const base::JsonNode& n) {
    return n.integer(0, std::numeric_limits<std::int64_t>::max());
  }));
  return spec;
}

void add_leaf_spine(Cluster& cluster, const LeafSpineSpec& spec, base::Bandwidth end_rate, base::Duration latency) {
  Graph& graph = cluster.graph;
  // The ends in the order in which they fill leaves: node by node, or one rail's after another's.
  std::map<std::int32_t, std::vector<DeviceId>> ends;
  for (std::size_t d = 0; d < graph.num_devices(); ++d) {
    const Device& device = graph.devices()[d];
    const bool direct = device.kind == DeviceKind::Gpu && graph.links_of(DeviceId(d)).empty();
    if (device.kind != DeviceKind::Nic && !direct) continue;
    ends[spec.by_rail ? device.rail : -1].emplace_back(d);
  }
  for (std::size_t d = 0; !spec.by_rail && d < graph.num_devices(); ++d) graph.set_rail(DeviceId(d), -1);
  std::vector<DeviceId> spines;
  for (std::int32_t s = 0; s < spec.spines; ++s)
    spines.push_back(graph.add_device({.name = "spine" + std::to_string(s), .kind = DeviceKind::Switch}));
  const base::Bandwidth rate = uplink(spec, end_rate);
  const std::int32_t lanes = spec.spine_link ? cables(rate, *spec.spine_link) : 1;
  std::int32_t leaves = 0;
  for (const auto& [rail, members] : ends) {
    DeviceId leaf;
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (i % static_cast<std::size_t>(spec.leaf_size) == 0) {
        leaf = graph.add_device({.name = "leaf" + std::to_string(leaves++), .kind = DeviceKind::Switch, .rail = rail});
        for (const DeviceId spine : spines)
          graph.add_link({.a = leaf,
                          .b = spine,
                          .kind = LinkKind::Network,
                          .bandwidth = rate,
                          .latency = spec.spine_latency.value_or(latency),
                          .lanes = lanes});
      }
      graph.add_link(
          {.a = members[i], .b = leaf, .kind = LinkKind::Network, .bandwidth = end_rate, .latency = latency});
    }
  }
  cluster.ecmp_seed = spec.ecmp_seed;
  cluster.notes.push_back(
      "leaf and spine, assumed: all bytes from one GPU to another cross one spine, which a hash of the two chooses "
      "(ECMP, "
      "seed " +
      std::to_string(spec.ecmp_seed) + ")" +
      (lanes > 1 ? "; the " + std::to_string(lanes) + " cables between a leaf and a spine share its load evenly" : ""));
}

Cluster read_leaf_spine_form(const base::JsonNode& node) {
  const base::JsonObject form(node, {"gpus", "gpu", "bandwidth", "latency", "leaf_size", "spines", "oversubscription",
                                     "spine_link", "spine_latency", "ecmp_seed"});
  const auto gpus = static_cast<std::int32_t>(form.required("gpus").integer(1, kMaxGpus));
  const std::string model = form.required("gpu").string();
  const base::Bandwidth bandwidth = form.required("bandwidth").bandwidth();
  const base::Duration latency = form.required("latency").duration();
  const LeafSpineSpec spec = read_leaf_spine(form, bandwidth);
  Cluster cluster;
  cluster.name = "leaf and spine of " + std::to_string(gpus) + " " + model;
  for (std::int32_t i = 0; i < gpus; ++i)
    cluster.gpus.push_back(cluster.graph.add_device(
        {.name = "gpu" + std::to_string(i), .kind = DeviceKind::Gpu, .model = model, .node = i}));
  add_leaf_spine(cluster, spec, bandwidth, latency);
  return cluster;
}

}  // namespace moesim::topology
