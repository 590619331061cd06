// Counts and bandwidths of the presets against values computed by hand from the machines' published shapes.
#include <algorithm>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/topology/support.h"
#include "topology/summary.h"

namespace moesim::topology {
namespace {

// One unit of each machine. Per GPU and direction in GB/s; links of the whole unit.
struct Machine {
  const char* preset;
  const char* gpu;
  std::int32_t gpus, nodes;
  std::int32_t domains;
  std::int32_t nvlinks;   // edges: one per GPU and NVSwitch, or per pair of a mesh
  std::int32_t nv_lanes;  // physical links, each counted once
  double nvlink;          // per GPU
  double bisection;       // of a domain
  std::int32_t pcie_links;
  double pcie;  // at a GPU
  double nic;   // per GPU
};

const std::vector<Machine>& machines() {
  static const std::vector<Machine> list{
      // 8 GPUs, 8 NICs and 4 PCIe switches hang on one PCIe link each: 20.
      {"hgx_a100", "a100", 8, 1, 1, 8 * 6, 8 * 12, 12 * 25, 4 * 12 * 25, 20, 32, 25},
      {"hgx_h100", "h100", 8, 1, 1, 8 * 4, 8 * 18, 18 * 25, 4 * 18 * 25, 20, 64, 50},
      {"hgx_h200", "h200", 8, 1, 1, 8 * 4, 8 * 18, 18 * 25, 4 * 18 * 25, 20, 64, 50},
      {"hgx_h800", "h800", 8, 1, 1, 8 * 4, 8 * 8, 8 * 25, 4 * 8 * 25, 20, 64, 50},
      {"hgx_b200", "b200", 8, 1, 1, 8 * 2, 8 * 18, 18 * 50, 4 * 18 * 50, 20, 64, 50},
      {"hgx_b300", "b300", 8, 1, 1, 8 * 2, 8 * 18, 18 * 50, 4 * 18 * 50, 20, 128, 100},
      // In a tray the GPUs hang on C2C, and 4 NICs on PCIe.
      {"gb200_nvl72", "gb200", 72, 18, 1, 72 * 18, 72 * 18, 18 * 50, 36 * 18 * 50, 18 * 4, 0, 100},
      {"gb300_nvl72", "gb300", 72, 18, 1, 72 * 18, 72 * 18, 18 * 50, 36 * 18 * 50, 18 * 4, 0, 100},
      // A full mesh: 28 pairs; 4 x 4 of them cross between the halves.
      {"mi300x_8", "mi300x", 8, 1, 1, 28, 28, 7 * 64, 16 * 64, 20, 64, 50},
      // No NVLink; 8 GPUs, 8 NICs and 2 PCIe switches.
      {"pcie_h100_8", "h100_pcie", 8, 1, 0, 0, 0, 0, 0, 18, 64, 50},
      {"pcie_l40s_8", "l40s", 8, 1, 0, 0, 0, 0, 0, 18, 32, 25},
      {"pcie_rtx_pro_6000_8", "rtx_pro_6000", 8, 1, 0, 0, 0, 0, 0, 18, 64, 50},
  };
  return list;
}

const PortTotals& links(const Summary& summary, LinkKind kind) { return summary.all[static_cast<std::size_t>(kind)]; }

base::Bandwidth per_gpu(const Summary& summary, LinkKind kind) {
  const auto& range = summary.per_gpu[static_cast<std::size_t>(kind)];
  CHECK(range.lowest == range.highest);
  return range.lowest;
}

Cluster preset(const std::string& name, const std::string& more = "") {
  return read(R"({"preset": ")" + name + "\"" + more + "}");
}

TEST_CASE("link counts, bandwidths per GPU and bisections of every machine are those computed by hand") {
  REQUIRE(machines().size() == kPresets.size());
  for (const Machine& machine : machines()) {
    CAPTURE(std::string(machine.preset));
    const Cluster cluster = preset(machine.preset);
    const Summary summary = summarize(cluster);
    CHECK(cluster.gpu == machine.gpu);
    CHECK(summary.gpus == machine.gpus);
    CHECK(summary.nodes == machine.nodes);
    CHECK(summary.domains == machine.domains);
    CHECK(links(summary, LinkKind::NvLink).links == machine.nvlinks);
    CHECK(links(summary, LinkKind::NvLink).lanes == machine.nv_lanes);
    CHECK(per_gpu(summary, LinkKind::NvLink) == gb(machine.nvlink));
    CHECK(summary.domain_bisection.has_value() == (machine.bisection > 0));
    if (summary.domain_bisection) CHECK(summary.domain_bisection->lowest == gb(machine.bisection));
    CHECK(links(summary, LinkKind::Pcie).links == machine.pcie_links);
    CHECK(per_gpu(summary, LinkKind::Pcie) == gb(machine.pcie));
  }
}

TEST_CASE("two units of every machine are joined rail by rail, half of the NICs' bandwidth across the middle") {
  for (const Machine& machine : machines()) {
    CAPTURE(std::string(machine.preset));
    const Cluster cluster = preset(machine.preset, R"(, "nodes": 2)");
    const Summary summary = summarize(cluster);
    CHECK(summary.gpus == 2 * machine.gpus);
    CHECK(summary.domains == 2 * machine.domains);
    CHECK(summary.nic_per_gpu.lowest == gb(machine.nic));
    CHECK(summary.nic_per_gpu.highest == gb(machine.nic));
    CHECK(*summary.scale_out_bisection == gb(machine.nic) * static_cast<double>(machine.gpus));
    CHECK(check(cluster).empty());
  }
}

TEST_CASE("in the MI300X mesh every GPU reaches every other over their own link") {
  const Router router(preset("mi300x_8"));
  for (std::int32_t from = 0; from < 8; ++from)
    for (std::int32_t to = 0; to < 8; ++to) {
      if (from == to) continue;
      CHECK(devices(router, from, to) == "gpu" + std::to_string(from) + " gpu" + std::to_string(to));
    }
  // Between nodes the rail's NIC, and in the other node the mesh link from the GPU beside that NIC.
  CHECK(devices(Router(preset("mi300x_8", R"(, "nodes": 2)")), 1, 8 + 6) ==
        "node0.gpu1 node0.pcie_switch0 node0.nic1 leaf1 node1.nic1 node1.pcie_switch0 node1.gpu1 node1.gpu6");
}

TEST_CASE("H100 PCIe has no NVLink until its bridges are installed, and then only between the GPUs of a pair") {
  const Router without(preset("pcie_h100_8"));
  CHECK(devices(without, 2, 3) == "gpu2 pcie_switch0 gpu3");

  const Cluster bridged = preset("pcie_h100_8", R"(, "override": {"nvlink": {"installed": true}})");
  CHECK(check(bridged).empty());
  const Summary summary = summarize(bridged);
  CHECK(summary.domains == 4);
  CHECK(links(summary, LinkKind::NvLink).links == 4);
  CHECK(per_gpu(summary, LinkKind::NvLink) == gb(12 * 25));
  CHECK(summary.domain_bisection->lowest == gb(12 * 25));
  const Router with(bridged);
  for (std::int32_t gpu = 0; gpu < 8; ++gpu) {
    const std::int32_t partner = gpu ^ 1;
    CHECK(devices(with, gpu, partner) == "gpu" + std::to_string(gpu) + " gpu" + std::to_string(partner));
  }
  CHECK(devices(with, 1, 2) == "gpu1 pcie_switch0 gpu2");
  CHECK(devices(with, 1, 6) == "gpu1 pcie_switch0 cpu0 cpu1 pcie_switch1 gpu6");
}

TEST_CASE("staged copies of the L40S box cross PCIe twice and go into and out of the memory of the sender's CPU") {
  const Cluster cluster = preset("pcie_l40s_8");
  CHECK(cluster.p2p == PeerTransfer::HostStaged);
  CHECK(links(summarize(cluster), LinkKind::HostMemory).links == 2);
  const Router router(cluster);
  CHECK(devices(router, 0, 3) == "gpu0 pcie_switch0 cpu0 memory0 cpu0 pcie_switch0 gpu3");
  CHECK(devices(router, 6, 1) == "gpu6 pcie_switch1 cpu1 memory1 cpu1 cpu0 pcie_switch0 gpu1");
  // Four GPUs below one switch all stage through its one link to the CPU: it is crossed upwards and downwards.
  int up = 0;
  for (std::int32_t to = 1; to < 4; ++to)
    for (const Hop& hop : router.route(0, to).hops)
      up += router.graph().port_name(hop.port) == "pcie_switch0 -> cpu0" ? 1 : 0;
  CHECK(up == 3);

  const Cluster direct = preset("pcie_l40s_8", R"(, "override": {"host": {"p2p": "direct"}})");
  CHECK(links(summarize(direct), LinkKind::HostMemory).links == 0);
  CHECK(devices(Router(direct), 0, 3) == "gpu0 pcie_switch0 gpu3");
}

TEST_CASE("values that nobody published are shown as assumed, where they can matter") {
  const auto mentions = [](const Cluster& cluster, const std::string& text) {
    return std::any_of(cluster.notes.begin(), cluster.notes.end(),
                       [&](const std::string& note) { return note.find(text) != std::string::npos; });
  };
  CHECK(mentions(preset("mi300x_8"), "nvlink.link_bandwidth = 64 GB/s, assumed"));
  CHECK(mentions(preset("pcie_h100_8"), "nvlink.installed = false, assumed"));
  CHECK_FALSE(mentions(preset("pcie_h100_8"), "nvlink.bridge_links"));
  CHECK(
      mentions(preset("pcie_h100_8", R"(, "override": {"nvlink": {"installed": true}})"), "nvlink.bridge_links = 12"));
  CHECK(mentions(preset("pcie_l40s_8"), "host.memory.bandwidth = 150 GB/s, assumed"));
  CHECK_FALSE(mentions(preset("pcie_rtx_pro_6000_8"), "host.memory"));
  CHECK(mentions(preset("hgx_b200", R"(, "nodes": 2)"), "nics.bandwidth = 400 Gb/s, assumed: ConnectX-7"));
}

}  // namespace
}  // namespace moesim::topology
