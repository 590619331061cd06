#include "topology/graph.h"

#include <doctest/doctest.h>

#include "base/error.h"

namespace moesim::topology {
namespace {

Graph two_gpus_on_a_switch() {
  Graph graph;
  const DeviceId a = graph.add_device({.name = "a"});
  const DeviceId s = graph.add_device({.name = "s", .kind = DeviceKind::NvSwitch});
  const DeviceId b = graph.add_device({.name = "b"});
  graph.add_link({.a = a, .b = s, .bandwidth = base::Bandwidth(1e9)});
  graph.add_link({.a = s, .b = b, .bandwidth = base::Bandwidth(2e9)});
  return graph;
}

TEST_CASE("a port is one direction of a link and names both ends in order") {
  const Graph graph = two_gpus_on_a_switch();
  const Port forward{LinkId(0U), false};
  const Port back{LinkId(0U), true};
  CHECK(graph.port_name(forward) == "a -> s");
  CHECK(graph.port_name(back) == "s -> a");
  CHECK(graph.port_from(back) == graph.port_to(forward));
  CHECK(back.index() == forward.index() + 1);
}

TEST_CASE("the port out of a device leaves that device, whichever end of the link it is") {
  const Graph graph = two_gpus_on_a_switch();
  for (const Link& link : graph.links()) {
    const LinkId id(static_cast<std::size_t>(&link - graph.links().data()));
    CHECK(graph.port_from(graph.port_out_of(link.a, id)) == link.a);
    CHECK(graph.port_from(graph.port_out_of(link.b, id)) == link.b);
  }
  CHECK_THROWS_AS(graph.port_out_of(DeviceId(2U), LinkId(0U)), base::InternalError);
}

TEST_CASE("the Boost adjacency carries device and link indices") {
  const Graph graph = two_gpus_on_a_switch();
  CHECK(boost::num_vertices(graph.adjacency()) == graph.num_devices());
  CHECK(boost::num_edges(graph.adjacency()) == graph.num_links());
  CHECK(graph.links_of(DeviceId(1U)) == std::vector{LinkId(0U), LinkId(1U)});
  CHECK(graph.links_of(DeviceId(2U)) == std::vector{LinkId(1U)});
}

TEST_CASE("links to unknown devices or to the same device are programming errors") {
  Graph graph = two_gpus_on_a_switch();
  CHECK_THROWS_AS(graph.add_link({.a = DeviceId(0U), .b = DeviceId(9U)}), base::InternalError);
  CHECK_THROWS_AS(graph.add_link({.a = DeviceId(0U), .b = DeviceId(0U)}), base::InternalError);
}

}  // namespace
}  // namespace moesim::topology
