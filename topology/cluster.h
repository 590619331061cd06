// A cluster: its graph, its GPUs in rank order, and how it was described.
#pragma once

#include <cstdint>
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
  Graph graph;
  std::vector<DeviceId> gpus;      // rank order: node by node
  std::vector<std::string> notes;  // assumptions worth showing ("NVLink latency is assumed")

  base::RankMap rank_map() const;
};

// Reads the "cluster" section of a scenario. Forms:
//   {"preset": "hgx_h200", "nodes": 9, "scale_out": {...}, "override": {...}}     a preset, see preset.h
//       nodes      copies of the preset's unit: nodes of an hgx_*, racks of a *_nvl72; more than 1 needs NICs
//       scale_out  what joins them, merged over the preset's: {"kind": "rail", "nic_bandwidth", "latency"}
//       override   JSON merge patch on the preset's other values, e.g. {"nvlink": {"latency": "0 us"}}
//   {"star": {"gpus": 16, "gpu": "h800", "bandwidth": "50 GB/s", "latency": "0 us", "kind": "nvlink"}}
//       GPUs on one ideal switch (closed forms). The latency is that of each link; a message crosses two. With kind
//       "nvlink" (default) they are one node and one NVLink domain, with "pcie" one node, with "network" a node each.
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
