#include "topology/cluster.h"

#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "topology/builders/builders.h"
#include "topology/raw_list.h"

namespace moesim::topology {

base::RankMap Cluster::rank_map() const {
  base::RankMap map;
  // Domains are numbered as they appear; GPUs without NVLink share a domain per node.
  std::map<std::pair<bool, std::int32_t>, std::int32_t> domains;
  for (const DeviceId id : gpus) {
    const Device& device = graph.device(id);
    const bool nvlink = device.domain >= 0;
    const std::pair key{nvlink, nvlink ? device.domain : device.node};
    map.node.push_back(device.node);
    map.domain.push_back(domains.emplace(key, static_cast<std::int32_t>(domains.size())).first->second);
  }
  return map;
}

Cluster read_cluster(const base::JsonNode& node) {
  if (!node.is_object()) node.fail("not an object", "an object in { }");
  const auto has = [&](const char* key) { return node.json().contains(key); };
  Cluster cluster;
  if (has("preset")) {
    cluster = read_preset_form(node);
  } else if (has("star")) {
    const base::JsonObject form(node, {"star"});
    cluster = read_star(form.required("star"));
  } else if (has("leaf_spine")) {
    const base::JsonObject form(node, {"leaf_spine"});
    cluster = read_leaf_spine_form(form.required("leaf_spine"));
  } else if (has("devices") || has("links")) {
    cluster = read_raw_list(node);
  } else {
    node.fail("describes no cluster",
              "one of the keys \"preset\", \"star\", \"leaf_spine\" and \"devices\" with \"links\"");
  }
  MOESIM_CHECK(!cluster.gpus.empty(), "a builder made a cluster without GPUs");
  cluster.gpu = cluster.graph.device(cluster.gpus.front()).model;
  for (const std::string& warning : check(cluster, &node)) {
    const std::string note = "warning: " + warning;
    if (std::find(cluster.notes.begin(), cluster.notes.end(), note) == cluster.notes.end())
      cluster.notes.push_back(note);
  }
  return cluster;
}

}  // namespace moesim::topology
