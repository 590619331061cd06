// A cluster: its graph, its GPUs in rank order, and how it was described.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/rank_map.h"
#include "topology/graph.h"

namespace moesim::topology {

struct Cluster {
  std::string name;            // for tables: "9 x hgx_h200"
  std::string gpu;             // model of all GPUs, the name of their profile
  Graph graph;
  std::vector<DeviceId> gpus;  // rank order: node by node
  std::vector<std::string> notes;  // assumptions worth showing ("NVLink latency is assumed")

  base::RankMap rank_map() const;
};

// Reads the "cluster" section of a scenario. Forms:
//   {"preset": "hgx_h200", "nodes": 9, "scale_out": {...}}   nodes > 1 or scale_out only where the preset has NICs
//   {"star": {...}}                                         N GPUs on one ideal switch (closed forms)
//   {"name", "devices": [...], "links": [...]}              a raw list, what `topology show --json` prints
// Throws InputError; the result has passed check().
Cluster read_cluster(const base::JsonNode& node);

// The raw-list form; reading it back gives an equal cluster.
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
