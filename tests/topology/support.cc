#include "tests/topology/support.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace moesim::topology {

Cluster read(const std::string& text) {
  const base::JsonDocument document = base::parse_json(text, "test");
  return read_cluster(base::JsonNode(document));
}

Cluster read_json(const base::Json& json) { return read(json.dump()); }

std::string devices(const Router& router, std::int32_t from, std::int32_t to) {
  const Graph& graph = router.graph();
  std::string text = graph.device(router.gpus()[static_cast<std::size_t>(from)]).name;
  for (const Hop& hop : router.route(from, to).hops) {
    CHECK(hop.share == 1);
    text += " " + graph.device(graph.port_to(hop.port)).name;
  }
  return text;
}

Cluster without_link(const Cluster& cluster, const std::string& a, const std::string& b) {
  base::Json json = to_json(cluster);
  auto& links = json["links"];
  const std::size_t before = links.size();
  for (std::size_t l = 0; l < links.size(); ++l)
    if (links[l]["a"] == a && links[l]["b"] == b) links.erase(l);
  REQUIRE(links.size() + 1 == before);
  return read_json(json);
}

}  // namespace moesim::topology
