#include "topology/preset.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "topology/builders/builders.h"

namespace moesim::topology {
namespace {

using base::JsonNode;
using base::JsonObject;

constexpr std::int64_t kMaxPerNode = 1024;  // of any kind of device
constexpr std::int64_t kMaxLinks = 4096;    // between two devices
constexpr std::int64_t kMaxMesh = 1024;     // GPUs in a mesh

std::int32_t small(const JsonNode& node, std::int64_t lowest, std::int64_t highest) {
  return static_cast<std::int32_t>(node.integer(lowest, highest));
}

LinkSpec read_link(const JsonNode& node) {
  const JsonObject link(node, {"bandwidth", "latency", "lanes"});
  return {link.required("bandwidth").bandwidth(), link.required("latency").duration(),
          link.get("lanes", 1, [](const JsonNode& n) { return small(n, 1, kMaxLinks); })};
}

std::optional<LinkSpec> read_optional_link(const JsonObject& object, std::string_view key) {
  const auto node = object.optional(key);
  return node ? std::optional(read_link(*node)) : std::nullopt;
}

// A list of indices below `count`; each index may be taken once, over all lists that share `taken`.
std::vector<std::int32_t> read_indices(const JsonNode& node, const char* what, std::vector<bool>& taken) {
  std::vector<std::int32_t> indices;
  for (std::size_t i = 0; i < node.size(); ++i) {
    if (taken.empty()) node.at(i).fail(std::string("a ") + what + " in a node without any");
    const auto index = small(node.at(i), 0, static_cast<std::int64_t>(taken.size()) - 1);
    if (taken[static_cast<std::size_t>(index)]) node.at(i).fail(std::string(what) + " listed twice");
    taken[static_cast<std::size_t>(index)] = true;
    indices.push_back(index);
  }
  return indices;
}

void require_all(const JsonNode& place, const char* what, const std::vector<bool>& taken) {
  const auto missing = std::find(taken.begin(), taken.end(), false);
  if (missing == taken.end()) return;
  place.fail(std::string(what) + " " + std::to_string(missing - taken.begin()) + " of a node is nowhere in the list");
}

// Nothing where it is optional and not installed.
std::optional<NvLinkSpec> read_nvlink(const JsonNode& node, std::int32_t nodes, std::int32_t gpus_per_node) {
  const JsonObject nvlink(node,
                          {"installed", "link_bandwidth", "latency", "planes", "mesh", "bridges", "bridge_links"});
  NvLinkSpec spec;
  spec.link = {nvlink.required("link_bandwidth").bandwidth(), nvlink.required("latency").duration(), 1};
  if (nvlink.has("planes") + nvlink.has("mesh") + nvlink.has("bridges") != 1)
    node.fail("NVLink is wired in one way",
              "exactly one of \"planes\", \"mesh\" and \"bridges\" (an override sets the other to null)");
  if (const auto planes = nvlink.optional("planes")) {
    if (planes->size() == 0) planes->fail("no NVSwitch", "the links of a GPU to each NVSwitch");
    for (std::size_t i = 0; i < planes->size(); ++i) spec.planes.push_back(small(planes->at(i), 1, kMaxLinks));
  } else if (const auto mesh = nvlink.optional("mesh")) {
    spec.mesh_links = small(*mesh, 1, kMaxLinks);
    if (std::int64_t{nodes} * gpus_per_node > kMaxMesh)
      mesh->fail("too many GPUs for a mesh", "at most " + std::to_string(kMaxMesh));
  } else {
    const JsonNode bridges = nvlink.required("bridges");
    std::vector<bool> taken(static_cast<std::size_t>(gpus_per_node));
    for (std::size_t i = 0; i < bridges.size(); ++i) {
      spec.bridges.push_back(read_indices(bridges.at(i), "GPU", taken));
      if (spec.bridges.back().size() < 2) bridges.at(i).fail("a bridge of fewer than 2 GPUs");
    }
    spec.bridge_links = small(nvlink.required("bridge_links"), 1, kMaxLinks);
  }
  if (spec.bridges.empty() && nvlink.has("bridge_links"))
    nvlink.required("bridge_links").fail("\"bridge_links\" without \"bridges\"");
  const bool installed = nvlink.get("installed", true, [](const JsonNode& n) { return n.boolean(); });
  return installed ? std::optional(spec) : std::nullopt;
}

struct Taken {
  std::vector<bool> gpus;
  std::vector<bool> nics;
};

HostBranch read_branch(const JsonNode& node, Taken& taken) {
  const JsonObject branch(node, {"gpus", "nics", "pcie_switches"});
  HostBranch result;
  if (const auto gpus = branch.optional("gpus")) result.gpus = read_indices(*gpus, "GPU", taken.gpus);
  if (const auto nics = branch.optional("nics")) result.nics = read_indices(*nics, "NIC", taken.nics);
  if (const auto switches = branch.optional("pcie_switches"))
    for (std::size_t i = 0; i < switches->size(); ++i)
      result.pcie_switches.push_back(read_branch(switches->at(i), taken));
  return result;
}

bool uses_pcie(const HostBranch& cpu, bool has_c2c) {
  return !cpu.nics.empty() || !cpu.pcie_switches.empty() || (!cpu.gpus.empty() && !has_c2c);
}

HostSpec read_host(const JsonNode& node, std::int32_t gpus_per_node, std::int32_t nics) {
  const JsonObject host(node, {"pcie", "c2c", "cpu_link", "memory", "p2p", "cpus"});
  HostSpec spec;
  spec.pcie = read_optional_link(host, "pcie");
  spec.c2c = read_optional_link(host, "c2c");
  spec.cpu_link = read_optional_link(host, "cpu_link");
  if (const auto p2p = host.optional("p2p"))
    spec.p2p = p2p->one_of({"direct", "host_staged"}) == 0 ? PeerTransfer::Direct : PeerTransfer::HostStaged;
  const auto memory = read_optional_link(host, "memory");
  if (spec.p2p == PeerTransfer::HostStaged) {
    if (!memory) host.required("p2p").fail("staged in a host without memory", "\"memory\" beside \"p2p\"");
    spec.memory = memory;
  }
  const JsonNode cpus = host.required("cpus");
  Taken taken{std::vector<bool>(static_cast<std::size_t>(gpus_per_node)),
              std::vector<bool>(static_cast<std::size_t>(nics))};
  for (std::size_t i = 0; i < cpus.size(); ++i) {
    spec.cpus.push_back(read_branch(cpus.at(i), taken));
    if (!spec.pcie && uses_pcie(spec.cpus.back(), spec.c2c.has_value()))
      cpus.at(i).fail("hangs on PCIe, but the host has no \"pcie\"");
  }
  require_all(cpus, "GPU", taken.gpus);
  require_all(cpus, "NIC", taken.nics);
  return spec;
}

ScaleOutSpec read_scale_out(const JsonNode& node, const std::optional<NicSpec>& nics) {
  const auto kind = node.is_object() && node.json().contains("kind")
                        ? node.member("kind").one_of({"rail", "leaf_spine"})
                        : std::size_t{0};
  const JsonObject scale_out =
      kind == 0 ? JsonObject(node, {"kind", "nic_bandwidth", "latency"})
                : JsonObject(node, {"kind", "nic_bandwidth", "latency", "leaf_size", "spines", "oversubscription",
                                    "spine_link", "spine_latency", "leaves", "ecmp_seed"});
  static_cast<void>(scale_out.required("kind"));
  ScaleOutSpec spec;
  if (const auto bandwidth = scale_out.optional("nic_bandwidth")) spec.nic_bandwidth = bandwidth->bandwidth();
  spec.latency = scale_out.required("latency").duration();
  if (kind == 0) return spec;
  spec.leaf_spine =
      read_leaf_spine(scale_out, spec.nic_bandwidth.value_or(nics ? nics->bandwidth : base::Bandwidth(0)));
  if (const auto leaves = scale_out.optional("leaves"))
    spec.leaf_spine->by_rail = leaves->one_of({"by_node", "by_rail"}) == 1;
  return spec;
}

}  // namespace

UnitSpec read_unit(const JsonNode& node) {
  const JsonObject preset(node, {"summary", "unit", "gpu", "nvlink", "host", "nics", "scale_out", "sources"});
  const JsonObject unit(preset.required("unit"), {"name", "nodes", "gpus_per_node"});
  UnitSpec spec;
  spec.unit = unit.required("name").string();
  spec.nodes = small(unit.required("nodes"), 1, kMaxPerNode);
  spec.gpus_per_node = small(unit.required("gpus_per_node"), 1, kMaxPerNode);
  spec.gpu = preset.required("gpu").string();
  if (const auto nvlink = preset.optional("nvlink")) spec.nvlink = read_nvlink(*nvlink, spec.nodes, spec.gpus_per_node);
  if (const auto nics_node = preset.optional("nics")) {
    const JsonObject nics(*nics_node, {"count", "bandwidth"});
    spec.nics = NicSpec{small(nics.required("count"), 1, kMaxPerNode), nics.required("bandwidth").bandwidth()};
    if (!preset.has("host")) nics_node->fail("NICs without a host to hang on", "\"host\" beside \"nics\"");
  }
  if (const auto host = preset.optional("host"))
    spec.host = read_host(*host, spec.gpus_per_node, spec.nics ? spec.nics->count : 0);
  if (const auto scale_out = preset.optional("scale_out")) spec.scale_out = read_scale_out(*scale_out, spec.nics);
  return spec;
}

}  // namespace moesim::topology
