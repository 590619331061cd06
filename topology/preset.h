// The compact description of one unit of a cluster (a node, or a rack that is one NVLink domain): what the files in
// presets/ hold. A unit has `unit.nodes` equal hosts with `unit.gpus_per_node` GPUs each. In a file:
//
//   "nvlink"  one of  "planes": links of each GPU to NVSwitch 0, 1, ... (all GPUs of the unit to the same switches)
//                     "mesh": links between each two GPUs of the unit, no switch
//                     "bridges": groups of GPUs of a node, joined pairwise by "bridge_links" links
//             and, where it is optional, "installed": whether it is there
//   "host"    a tree: CPUs, below them GPUs, NICs and PCIe switches, below these again; indices count within a node.
//             A GPU directly below a CPU hangs on "c2c" where there is one, everything else on "pcie".
//             With "p2p": "host_staged" each CPU has a "memory", whose bandwidth is that of writing and, at the same
//             time, of reading: half of what the DRAM moves, as staged bytes are written once and read once.
//   "nics"    NIC i of every node is on rail i.
//   "sources" path -> where the value comes from, starting with "datasheet:", "published:", "assumed:" or
//             "definition:"; a path covers everything below it unless a longer one does.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/units.h"
#include "topology/cluster.h"

namespace moesim::topology {

// The largest cluster that is accepted, against slips of the keyboard.
inline constexpr std::int64_t kMaxGpus = 131072;

inline constexpr std::array<std::string_view, 4> kSourceKinds{"datasheet", "published", "assumed", "definition"};

struct LinkSpec {
  base::Bandwidth bandwidth;  // per direction
  base::Duration latency;
  std::int32_t lanes = 1;
};

struct NvLinkSpec {
  LinkSpec link;                                   // one physical link
  std::vector<std::int32_t> planes;                // [NVSwitches] links per GPU
  std::int32_t mesh_links = 0;                     // between each two GPUs
  std::vector<std::vector<std::int32_t>> bridges;  // GPUs of a node
  std::int32_t bridge_links = 0;
};

// A CPU or PCIe switch and what hangs below it.
struct HostBranch {
  std::vector<std::int32_t> gpus;
  std::vector<std::int32_t> nics;
  std::vector<HostBranch> pcie_switches;
};

struct HostSpec {
  std::optional<LinkSpec> pcie;
  std::optional<LinkSpec> c2c;
  std::optional<LinkSpec> cpu_link;  // between each two CPUs of a node
  std::optional<LinkSpec> memory;    // of each CPU; only with PeerTransfer::HostStaged
  PeerTransfer p2p = PeerTransfer::Direct;
  std::vector<HostBranch> cpus;
};

struct NicSpec {
  std::int32_t count = 0;  // per node
  base::Bandwidth bandwidth;
};

// A two-level network: NICs on leaf switches, every leaf joined to every spine by equal links.
struct LeafSpineSpec {
  std::int32_t leaf_size = 0;                   // NICs below a full leaf
  std::int32_t spines = 0;                      // each is joined to each leaf
  double oversubscription = 1;                  // rate of a full leaf's NICs over that of its uplinks
  std::optional<base::Bandwidth> spine_link;    // one cable; unset: one link between a leaf and a spine, of any rate
  std::optional<base::Duration> spine_latency;  // of one leaf-spine link; unset: as a NIC-leaf link
  bool by_rail = false;         // a leaf holds one rail's NICs of consecutive nodes, else all NICs of consecutive nodes
  std::uint64_t ecmp_seed = 0;  // of the hash that chooses a flow's spine
};

// Without `leaf_spine` one ideal (non-blocking) leaf switch per rail joins NIC i of every node.
struct ScaleOutSpec {
  std::optional<base::Bandwidth> nic_bandwidth;  // instead of the NIC's own
  base::Duration latency;                        // of one NIC-leaf link
  std::optional<LeafSpineSpec> leaf_spine;
};

struct UnitSpec {
  std::string unit;  // "node", "rack"
  std::int32_t nodes = 1;
  std::int32_t gpus_per_node = 0;
  std::string gpu;  // model, the name of a profile
  std::optional<NvLinkSpec> nvlink;
  std::optional<HostSpec> host;
  std::optional<NicSpec> nics;
  std::optional<ScaleOutSpec> scale_out;
};

// Throws InputError.
UnitSpec read_unit(const base::JsonNode& node);

}  // namespace moesim::topology
