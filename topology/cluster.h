// A cluster: its graph, its GPUs in rank order, and how it was described.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/rank_map.h"
#include "topology/graph.h"

namespace moesim::topology {

// How GPUs of one host without an NVLink between them exchange data: from GPU to GPU over PCIe, or through a buffer in
// the memory of the sender's CPU: over PCIe twice, and into and out of that memory.
enum class PeerTransfer : std::uint8_t { Direct, HostStaged };

struct Cluster {
  std::string name;  // for tables: "9 x hgx_h200"
  std::string gpu;   // model of all GPUs, the name of their profile
  PeerTransfer p2p = PeerTransfer::Direct;
  // Set: a flow goes over one of the shortest paths of the network, which a hash of it chooses; else over the first.
  std::optional<std::uint64_t> ecmp_seed;
  Graph graph;
  std::vector<DeviceId> gpus;      // rank order: node by node
  std::vector<std::string> notes;  // assumptions worth showing ("NVLink latency is assumed")

  base::RankMap rank_map() const;
};

// Reads the "cluster" section of a scenario. Forms:
//   {"preset": "hgx_h200", "nodes": 9, "scale_out": {...}, "override": {...}}     a preset, see preset.h
//       nodes      copies of the preset's unit: nodes of an hgx_*, racks of a *_nvl72; more than 1 needs NICs
//       scale_out  what joins them, merged over the preset's: {"kind", "nic_bandwidth", "latency" of a NIC-leaf link}
//           kind "rail": an ideal switch per rail
//           kind "leaf_spine": leaf switches, each joined to every spine, with
//             leaf_size         NICs below a leaf; the last one may hold fewer, with as many uplinks
//             leaves            "by_node" (default): a leaf holds all NICs of consecutive nodes, and there are no
//             rails;
//                               "by_rail": one rail's NICs of consecutive nodes
//             spines            how many; a flow between two leaves crosses one of them, chosen by a hash of its ends
//             oversubscription  rate of a leaf's NICs over that of its uplinks; default 1
//             spine_link        rate of one cable, of which there are as many as the uplinks need; default: any rate
//             spine_latency     of a leaf-spine link; default: latency
//             ecmp_seed         of the hash; default 0
//       override   JSON merge patch on the preset's other values, e.g. {"nvlink": {"latency": "0 us"}}
//   {"star": {"gpus": 16, "gpu": "h800", "bandwidth": "50 GB/s", "latency": "0 us", "kind": "nvlink"}}
//       GPUs on one ideal switch (closed forms). The latency is that of each link; a message crosses two. With kind
//       "nvlink" (default) they are one node and one NVLink domain, with "pcie" one node, with "network" a node each.
//   {"leaf_spine": {"gpus": 72, "gpu": "h800", "bandwidth": "50 GB/s", "latency": "250 ns", "leaf_size": 8, "spines":
//   4,
//                   "oversubscription": 2}}
//       GPUs, a node each, that are themselves on the leaves of a network as above, with a link of that bandwidth
//   {"name", "devices": [...], "links": [...]}                                    a raw list, see raw_list.h
// Throws InputError; the result has passed check(), whose warnings are among the notes.
Cluster read_cluster(const base::JsonNode& node);

// The raw-list form; reading it back gives an equal cluster, to the last bit of every rate.
base::Json to_json(const Cluster& cluster);

struct PresetInfo {
  std::string name;
  std::string summary;  // one line
};
std::vector<PresetInfo> preset_list();
// The preset's JSON text with the source of every value. Throws InputError for an unknown name.
std::string_view preset_text(std::string_view name);

// Connected, symmetric among its GPUs, plausible rates. Throws InputError for what makes simulation meaningless;
// returns warnings for what is merely odd.
std::vector<std::string> check(const Cluster& cluster, const base::JsonNode* origin = nullptr);

}  // namespace moesim::topology
