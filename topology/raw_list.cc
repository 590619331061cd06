#include "topology/raw_list.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <unordered_map>

#include <nlohmann/json.hpp>

#include "topology/preset.h"

namespace moesim::topology {
namespace {

using base::Json;
using base::JsonNode;
using base::JsonObject;

constexpr std::int64_t kMaxIndex = 1 << 20;  // of nodes, domains, rails, planes and lanes
constexpr std::size_t kMaxDevices = 4 * kMaxGpus;
constexpr int kExact = 17;  // digits that give back the same double

using Names = std::unordered_map<std::string, DeviceId>;

std::int32_t index(const JsonObject& object, std::string_view key, std::int32_t otherwise) {
  return object.get(key, otherwise, [](const JsonNode& n) { return n.integer(0, kMaxIndex); });
}

void read_device(const JsonNode& node, Cluster& cluster, Names& names) {
  const JsonObject object(node, {"name", "kind", "model", "node", "domain", "rail"});
  Device device;
  device.name = object.required("name").string();
  if (device.name.empty()) object.required("name").fail("a device without a name");
  device.kind = static_cast<DeviceKind>(
      object.required("kind").one_of({"gpu", "nvswitch", "pcie_switch", "cpu", "nic", "switch", "host_memory"}));
  device.model = object.get("model", std::string(), [](const JsonNode& n) { return n.string(); });
  device.node = index(object, "node", -1);
  device.domain = index(object, "domain", -1);
  device.rail = index(object, "rail", -1);
  if (device.kind == DeviceKind::Gpu) {
    for (const char* key : {"model", "node"}) object.required(key);
    if (!cluster.gpus.empty() && cluster.graph.device(cluster.gpus.front()).model != device.model)
      object.required("model").fail("clusters of mixed GPU models are not supported",
                                    "\"" + cluster.graph.device(cluster.gpus.front()).model + "\" as the GPUs above");
  }
  const DeviceId id(cluster.graph.num_devices());
  if (!names.emplace(device.name, id).second) object.required("name").fail("a device of this name is listed above");
  if (device.kind == DeviceKind::Gpu) cluster.gpus.push_back(id);
  cluster.graph.add_device(std::move(device));
}

DeviceId read_end(const JsonNode& node, const Names& names) {
  const std::string name = node.string();
  const auto found = names.find(name);
  if (found != names.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [device, id] : names) known.push_back(device);
  std::sort(known.begin(), known.end());
  const auto near = base::did_you_mean(name, known);
  node.fail("unknown device \"" + name + "\"",
            near ? "a device of the list, such as \"" + *near + "\"" : "a device of the list");
}

void read_link(const JsonNode& node, Graph& graph, const Names& names) {
  const JsonObject object(node, {"a", "b", "kind", "bandwidth", "latency", "lanes", "plane"});
  Link link;
  link.a = read_end(object.required("a"), names);
  link.b = read_end(object.required("b"), names);
  if (link.a == link.b) node.fail("a link from a device to itself");
  link.kind = static_cast<LinkKind>(
      object.required("kind").one_of({"nvlink", "pcie", "cpu_interconnect", "c2c", "network", "host_memory"}));
  link.bandwidth = object.required("bandwidth").bandwidth();
  link.latency = object.required("latency").duration();
  link.lanes = index(object, "lanes", 1);
  if (link.lanes == 0) object.required("lanes").fail("a link without lanes", "at least 1");
  link.plane = index(object, "plane", 0);
  graph.add_link(link);
}

// Makes a domain of each set of GPUs and NVSwitches that NVLink joins.
void number_domains(Graph& graph) {
  constexpr std::int32_t kUnseen = -1;
  std::int32_t next = 0;
  std::vector<DeviceId> stack;
  for (std::size_t d = 0; d < graph.num_devices(); ++d) {
    if (graph.device(DeviceId(d)).domain != kUnseen) continue;
    stack.assign(1, DeviceId(d));
    bool used = false;
    while (!stack.empty()) {
      const DeviceId here = stack.back();
      stack.pop_back();
      for (const LinkId l : graph.links_of(here)) {
        const Link& link = graph.link(l);
        if (link.kind != LinkKind::NvLink) continue;
        for (const DeviceId end : {link.a, link.b}) {
          if (graph.device(end).domain != kUnseen) continue;
          graph.set_domain(end, next);
          stack.push_back(end);
          used = true;
        }
      }
    }
    if (used) ++next;
  }
}

}  // namespace

Cluster read_raw_list(const JsonNode& node) {
  const JsonObject form(node, {"name", "p2p", "ecmp_seed", "notes", "devices", "links"});
  Cluster cluster;
  cluster.name = form.get("name", std::string("custom cluster"), [](const JsonNode& n) { return n.string(); });
  if (const auto p2p = form.optional("p2p"))
    cluster.p2p = p2p->one_of({"direct", "host_staged"}) == 0 ? PeerTransfer::Direct : PeerTransfer::HostStaged;
  if (const auto seed = form.optional("ecmp_seed"))
    cluster.ecmp_seed = static_cast<std::uint64_t>(seed->integer(0, std::numeric_limits<std::int64_t>::max()));
  if (const auto notes = form.optional("notes"))
    for (std::size_t i = 0; i < notes->size(); ++i) cluster.notes.push_back(notes->at(i).string());

  const JsonNode devices = form.required("devices");
  const JsonNode links = form.required("links");
  if (devices.size() > kMaxDevices)
    node.fail_key("devices", std::to_string(devices.size()) + " devices; at most " + std::to_string(kMaxDevices));
  Names names;
  for (std::size_t i = 0; i < devices.size(); ++i) read_device(devices.at(i), cluster, names);
  if (cluster.gpus.empty()) devices.fail("no GPUs", "at least one device of kind \"gpu\"");
  for (std::size_t i = 0; i < links.size(); ++i) read_link(links.at(i), cluster.graph, names);

  const auto& all = cluster.graph.devices();
  if (std::all_of(all.begin(), all.end(), [](const Device& d) { return d.domain < 0; })) number_domains(cluster.graph);
  std::stable_sort(cluster.gpus.begin(), cluster.gpus.end(),
                   [&](DeviceId a, DeviceId b) { return cluster.graph.device(a).node < cluster.graph.device(b).node; });
  return cluster;
}

base::Json to_json(const Cluster& cluster) {
  Json devices = Json::array();
  for (const Device& device : cluster.graph.devices()) {
    Json object = {{"name", device.name}, {"kind", std::string(to_string(device.kind))}};
    if (!device.model.empty()) object["model"] = device.model;
    if (device.node >= 0) object["node"] = device.node;
    if (device.domain >= 0) object["domain"] = device.domain;
    if (device.rail >= 0) object["rail"] = device.rail;
    devices.push_back(std::move(object));
  }
  Json links = Json::array();
  for (const Link& link : cluster.graph.links())
    links.push_back({{"a", cluster.graph.device(link.a).name},
                     {"b", cluster.graph.device(link.b).name},
                     {"kind", std::string(to_string(link.kind))},
                     {"bandwidth", base::to_string(link.bandwidth, kExact)},
                     {"latency", base::to_string(link.latency, kExact)},
                     {"lanes", link.lanes},
                     {"plane", link.plane}});
  Json form = {{"name", cluster.name}, {"p2p", cluster.p2p == PeerTransfer::Direct ? "direct" : "host_staged"}};
  if (cluster.ecmp_seed) form["ecmp_seed"] = *cluster.ecmp_seed;
  form["notes"] = cluster.notes;
  form["devices"] = std::move(devices);
  form["links"] = std::move(links);
  return form;
}

}  // namespace moesim::topology
