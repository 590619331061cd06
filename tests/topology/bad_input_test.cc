// Each wrong input is one error that names its place and says what is wrong.
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "base/patch.h"
#include "tests/topology/support.h"

namespace moesim::topology {
namespace {

using base::Json;

struct Case {
  std::string text;
  std::string place;
  std::string says;
};

void check_refused(const std::string& text, const std::string& place, const std::string& says) {
  CAPTURE(text);
  bool refused = false;
  try {
    read(text);
  } catch (const base::InputError& error) {
    refused = true;
    CHECK(error.place() == place);
    CHECK(error.source() == "test");
    CHECK_MESSAGE(std::string(error.what()).find(says) != std::string::npos, error.what());
  }
  CHECK_MESSAGE(refused, "accepted");
}

TEST_CASE("a wrong preset, star or form is refused with its place") {
  const std::vector<Case> cases{
      {R"([])", "/", "not an object"},
      {R"({})", "/", "describes no cluster"},
      {R"({"preset": "hgx_h10"})", "/preset", "did you mean \"hgx_h100\"?"},
      {R"({"preset": 7})", "/preset", "not a text"},
      {R"({"preset": "hgx_h100", "nodez": 2})", "/", "did you mean \"nodes\"?"},
      {R"({"preset": "hgx_h100", "nodes": 0})", "/nodes", "out of range"},
      {R"({"preset": "hgx_h100", "nodes": -3})", "/nodes", "out of range"},
      {R"({"preset": "hgx_h100", "nodes": 2.5})", "/nodes", "not a whole number"},
      {R"({"preset": "hgx_h100", "nodes": 1000000000})", "/nodes", "too large"},
      {R"({"preset": "gb200_nvl72", "nodes": 2000})", "/nodes", "a rack of 72 GPUs"},
      {R"({"preset": "hgx_h100", "nodes": 0})", "/nodes", "1 to 16384"},
      {R"({"preset": "hgx_h100", "nodes": 1e30})", "/nodes", "at most 131072 of each in all"},
      {R"({"preset": "hgx_h100", "override": {"nvlink": null, "host": {"p2p": "host_staged"}}})", "/override/host/p2p",
       "without memory"},
      {R"({"preset": "pcie_h100_8", "override": {"nvlink": {"installed": 1}}})", "/override/nvlink/installed",
       "true or false"},
      {R"({"preset": "hgx_h100", "nodes": 2, "scale_out": 3})", "/scale_out", "not an object"},
      {R"({"preset": "hgx_h100", "nodes": 2, "scale_out": {"kind": "torus"}})", "/scale_out/kind", "rail, leaf_spine"},
      {R"({"preset": "hgx_h100", "nodes": 2, "scale_out": {"latency": 1}})", "/scale_out/latency", "without a unit"},
      {R"({"preset": "hgx_h100", "nodes": 2, "scale_out": {"rails": 4}})", "/scale_out", "unknown key \"rails\""},
      {R"({"preset": "hgx_h100", "nodes": 2, "scale_out": {"nic_bandwidth": "0 GB/s"}})", "/scale_out/nic_bandwidth",
       "above zero"},
      {R"({"preset": "hgx_h100", "nodes": 2, "scale_out": {"spines": 4}})", "/scale_out", "unknown key \"spines\""},
      {R"({"preset": "hgx_h100", "nodes": 2, "scale_out": {"kind": "leaf_spine", "spines": 4}})", "/scale_out",
       "leaf_size"},
      {R"({"preset": "hgx_h100", "nodes": 2, "scale_out": {"kind": "leaf_spine", "leaf_size": 8, "spines": 0}})",
       "/scale_out/spines", "out of range"},
      {R"({"preset": "hgx_h100", "nodes": 2, "scale_out": {"kind": "leaf_spine", "leaf_size": 8, "spines": 4,
           "spine_link": "400 GB/s"}})",
       "/scale_out/spine_link", "100 GB/s from each leaf to each spine: not a whole number"},
      {R"({"leaf_spine": {"gpus": 4, "gpu": "x", "bandwidth": "1 GB/s", "latency": "0 us", "leaf_size": 2}})",
       "/leaf_spine", "spines"},
      {R"({"preset": "hgx_h100", "override": 1})", "/override", "not an object"},
      {R"({"preset": "hgx_h100", "override": {"sources": {}}})", "/override", "unknown key \"sources\""},
      {R"({"preset": "hgx_h100", "override": {"nvlink": {"latency": 3}}})", "/override/nvlink/latency",
       "without a unit"},
      {R"({"preset": "hgx_h100", "override": {"nvlink": {"latencie": "3 us"}}})", "/override/nvlink",
       "did you mean \"latency\"?"},
      {R"({"preset": "hgx_h100", "override": {"nvlink": {"planes": [5, 4, 0]}}})", "/override/nvlink/planes/2",
       "out of range"},
      {R"({"preset": "hgx_h100", "override": {"nvlink": {"planes": []}}})", "/override/nvlink/planes", "no NVSwitch"},
      {R"({"preset": "hgx_h100", "override": {"nvlink": {"mesh": 1}}})", "/override", "exactly one of"},
      {R"({"preset": "hgx_h100", "override": {"nvlink": {"link_bandwidth": "0 GB/s"}}})",
       "/override/nvlink/link_bandwidth", "above zero"},
      {R"({"preset": "hgx_h100", "override": {"host": null}})", "/override", "NICs without a host"},
      {R"({"preset": "hgx_h100", "override": {"unit": {"gpus_per_node": 4}}})", "/override", "does not fit"},
      {R"({"preset": "hgx_h100", "override": {"unit": {"gpus_per_node": 9}}})", "/override", "GPU 8 of a node"},
      {R"({"preset": "hgx_h100", "override": {"host": {"cpu_link": null}, "nvlink": null}})", "/", "not connected"},
      {R"({"star": {"gpus": 0, "gpu": "x", "bandwidth": "1 GB/s", "latency": "0 us"}})", "/star/gpus", "out of range"},
      {R"({"star": {"gpus": 1e9, "gpu": "x", "bandwidth": "1 GB/s", "latency": "0 us"}})", "/star/gpus",
       "out of range"},
      {R"({"star": {"gpus": 4, "gpu": "x", "bandwidth": 50, "latency": "0 us"}})", "/star/bandwidth", "without a unit"},
      {R"({"star": {"gpus": 4, "gpu": "x", "bandwidth": "-1 GB/s", "latency": "0 us"}})", "/star/bandwidth",
       "not negative"},
      {R"({"star": {"gpus": 4, "gpu": "x", "bandwidth": "1 GB/s"}})", "/star", "missing key \"latency\""},
      {R"({"star": {"gpus": 4, "gpu": "x", "bandwidth": "1 GB/s", "latency": "3 s"}})", "/", "at most 1 s"},
      {R"({"star": {}, "nodes": 2})", "/", "unknown key \"nodes\""},
  };
  for (const Case& c : cases) check_refused(c.text, c.place, c.says);
}

TEST_CASE("an error about an overridden value names the patch that set it") {
  base::JsonDocument document = base::parse_json(R"({"preset": "hgx_h100", "override": {}})", "test");
  base::apply_set(document, "override.nvlink.latency=3");
  CHECK_THROWS_WITH_AS(read_cluster(base::JsonNode(document)),
                       doctest::Contains("--set override.nvlink.latency=3: /override/nvlink/latency: "),
                       base::InputError);
}

// Two GPUs on a switch, to be spoilt.
Json small_list() {
  return to_json(read(R"({"star": {"gpus": 3, "gpu": "x", "bandwidth": "1 GB/s", "latency": "0 us"}})"));
}

TEST_CASE("a wrong raw list is refused with its place") {
  struct Spoilt {
    const char* pointer;  // what is set in the list
    Json value;
    std::string place;
    std::string says;
  };
  // Devices: 0 is the switch, 1 to 3 are GPUs. Links: 0 to 2.
  const std::vector<Spoilt> cases{
      {"/devices", Json::array(), "/devices", "no GPUs"},
      {"/devices/2/name", "gpu0", "/devices/2/name", "listed above"},
      {"/devices/2/name", "", "/devices/2/name", "without a name"},
      {"/devices/2/kind", "gpus", "/devices/2/kind", "nvswitch"},
      {"/devices/2/model", "y", "/devices/2/model", "mixed GPU models"},
      {"/devices/2/node", -1, "/devices/2/node", "out of range"},
      {"/devices/2/node", 1e9, "/devices/2/node", "out of range"},
      {"/devices/2/colour", "red", "/devices/2", "unknown key \"colour\""},
      {"/devices/2/domain", 5, "/", "joins devices of the domains"},
      {"/links/1/a", "gpu7", "/links/1/a", "unknown device \"gpu7\""},
      {"/links/1/a", "nvswitch0", "/links/1", "to itself"},
      {"/links/1/a", "gpu0", "/", "two nvlink links gpu0 - nvswitch0"},
      {"/links/1/kind", "infiniband", "/links/1/kind", "network"},
      {"/links/1/bandwidth", "0 GB/s", "/links/1/bandwidth", "above zero"},
      {"/links/1/bandwidth", "-4 GB/s", "/links/1/bandwidth", "not negative"},
      {"/links/1/bandwidth", 4, "/links/1/bandwidth", "without a unit"},
      {"/links/1/latency", "-1 us", "/links/1/latency", "not negative"},
      {"/links/1/latency", "1 GB", "/links/1/latency", "one of the units"},
      {"/links/1/lanes", 0, "/links/1/lanes", "without lanes"},
      {"/links", Json::array(), "/", "nothing joins nvswitch0 and gpu0"},
      {"/p2p", "maybe", "/p2p", "host_staged"},
  };
  CHECK_NOTHROW(read_json(small_list()));
  for (const Spoilt& spoilt : cases) {
    Json list = small_list();
    list[Json::json_pointer(spoilt.pointer)] = spoilt.value;
    check_refused(list.dump(), spoilt.place, spoilt.says);
  }
}

TEST_CASE("what is missing from a raw list is named") {
  for (const std::string key : {"name", "kind", "model", "node"}) {
    Json list = small_list();
    list["devices"][1].erase(key);
    check_refused(list.dump(), "/devices/1", "missing key \"" + key + "\"");
  }
  for (const std::string key : {"a", "b", "kind", "bandwidth", "latency"}) {
    Json list = small_list();
    list["links"][1].erase(key);
    check_refused(list.dump(), "/links/1", "missing key \"" + key + "\"");
  }
  for (const std::string key : {"devices", "links"}) {
    Json list = small_list();
    list.erase(key);
    check_refused(list.dump(), "/", "missing key \"" + key + "\"");
  }
}

TEST_CASE("a GPU that only another GPU leads to is refused, although the graph is connected") {
  Json list = small_list();
  list["links"][2]["b"] = "gpu0";
  check_refused(list.dump(), "/", "no route from gpu1 to gpu2");
}

}  // namespace
}  // namespace moesim::topology
