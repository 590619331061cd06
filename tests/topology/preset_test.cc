#include "topology/preset.h"

#include <algorithm>
#include <set>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/topology/support.h"
#include "topology/summary.h"

namespace moesim::topology {
namespace {

using base::Json;

const PortTotals& links(const Summary& summary, LinkKind kind) { return summary.all[static_cast<std::size_t>(kind)]; }

base::Bandwidth per_gpu(const Summary& summary, LinkKind kind) {
  const auto& range = summary.per_gpu[static_cast<std::size_t>(kind)];
  CHECK(range.lowest == range.highest);
  return range.lowest;
}

void collect_leaves(const Json& value, const std::string& path, std::set<std::string>& leaves) {
  if (!value.is_object()) {
    leaves.insert(path);
    return;
  }
  for (const auto& [key, below] : value.items()) collect_leaves(below, path.empty() ? key : path + "." + key, leaves);
}

TEST_CASE("every value of every preset has a source and every source has a value") {
  REQUIRE(preset_list().size() == kPresets.size());
  for (const std::string& name : kPresets) {
    CAPTURE(name);
    Json preset = Json::parse(preset_text(name));
    const Json sources = preset["sources"];
    preset.erase("sources");
    preset.erase("summary");
    std::set<std::string> leaves;
    collect_leaves(preset, "", leaves);
    std::set<std::string> used;
    for (const std::string& leaf : leaves) {
      bool covered = false;
      for (const auto& [path, source] : sources.items()) {
        if (leaf != path && !leaf.starts_with(path + ".")) continue;
        covered = true;
        used.insert(path);
      }
      CHECK_MESSAGE(covered, leaf << " has no source");
    }
    for (const auto& item : sources.items()) {
      const std::string& path = item.key();
      const auto& source = item.value();
      CHECK_MESSAGE(used.contains(path), path << " is a source of nothing");
      const auto text = source.get<std::string>();
      CHECK_MESSAGE(std::any_of(kSourceKinds.begin(), kSourceKinds.end(),
                                [&](std::string_view kind) { return text.starts_with(std::string(kind) + ": "); }),
                    text);
    }
  }
}

TEST_CASE("every preset reads, is symmetric and can be listed") {
  for (const PresetInfo& info : preset_list()) {
    CAPTURE(info.name);
    const Cluster cluster = read(R"({"preset": ")" + info.name + R"("})");
    CHECK(cluster.name == info.name);
    CHECK(check(cluster).empty());
    CHECK(!info.summary.empty());
  }
  CHECK_THROWS_WITH_AS(preset_text("hgx_h10"), doctest::Contains("did you mean \"hgx_h100\"?"), base::InputError);
}

TEST_CASE("an HGX H100 or H200 node has 5, 4, 4 and 5 NVLinks per GPU and 450 GB/s") {
  for (const std::string name : {"h100", "h200"}) {
    const Cluster cluster = read(R"({"preset": "hgx_)" + name + R"("})");
    const Summary summary = summarize(cluster);
    CHECK(cluster.gpu == name);
    CHECK(summary.gpus == 8);
    CHECK(summary.nodes == 1);
    CHECK(summary.domains == 1);
    CHECK(links(summary, LinkKind::NvLink).links == 8 * 4);
    CHECK(links(summary, LinkKind::NvLink).lanes == 8 * (5 + 4 + 4 + 5));
    CHECK(per_gpu(summary, LinkKind::NvLink) == gb(25) * (5 + 4 + 4 + 5));
    CHECK(summary.domain_bisection->lowest == gb(450) * (8 / 2.0));
    // 8 GPUs, 8 NICs and 4 switches each hang on one PCIe link.
    CHECK(links(summary, LinkKind::Pcie).links == 8 + 8 + 4);
    CHECK(links(summary, LinkKind::CpuInterconnect).links == 1);
    CHECK(per_gpu(summary, LinkKind::Pcie) == gb(64));
  }
}

TEST_CASE("a GB200 NVL72 rack has exactly one link from each of 72 GPUs to each of 18 NVSwitches") {
  const Cluster cluster = read(R"({"preset": "gb200_nvl72"})");
  const Summary summary = summarize(cluster);
  CHECK(summary.gpus == 72);
  CHECK(summary.nodes == 18);
  CHECK(summary.domains == 1);
  CHECK(summary.gpus_per_domain.lowest == 72);
  CHECK(links(summary, LinkKind::NvLink).links == 72 * 18);
  CHECK(links(summary, LinkKind::NvLink).lanes == 72 * 18);
  for (const Link& link : cluster.graph.links())
    if (link.kind == LinkKind::NvLink) CHECK(link.lanes == 1);
  CHECK(per_gpu(summary, LinkKind::NvLink) == gb(50) * 18);
  CHECK(summary.domain_bisection->lowest == gb(900) * (72 / 2.0));
  CHECK(links(summary, LinkKind::C2c).links == 72);
  CHECK(per_gpu(summary, LinkKind::C2c) == gb(450) / 2);
}

TEST_CASE("the RTX PRO 6000 box has no NVLink, only PCIe below two CPUs") {
  const Summary summary = summarize(read(R"({"preset": "pcie_rtx_pro_6000_8"})"));
  CHECK(summary.domains == 0);
  CHECK(!summary.domain_bisection.has_value());
  CHECK(links(summary, LinkKind::NvLink).links == 0);
  CHECK(per_gpu(summary, LinkKind::Pcie) == gb(64));
  CHECK(links(summary, LinkKind::Pcie).links == 8 + 8 + 2);
}

TEST_CASE("several nodes join NIC i of each on leaf i") {
  const Cluster cluster = read(R"({"preset": "hgx_h200", "nodes": 9})");
  const Summary summary = summarize(cluster);
  CHECK(cluster.name == "9 x hgx_h200");
  CHECK(summary.gpus == 9 * 8);
  CHECK(summary.nodes == 9);
  CHECK(summary.domains == 9);
  CHECK(links(summary, LinkKind::Network).links == 9 * 8);
  CHECK(summary.nic_per_gpu.lowest == gb(50));
  constexpr int smaller_half = 9 / 2;
  CHECK(*summary.scale_out_bisection == gb(50) * (smaller_half * 8));
  for (const Link& link : cluster.graph.links()) {
    if (link.kind != LinkKind::Network) continue;
    CHECK(cluster.graph.device(link.b).kind == DeviceKind::Switch);
    CHECK(cluster.graph.device(link.a).rail == cluster.graph.device(link.b).rail);
  }
}

TEST_CASE("several racks count racks, and each tray has a rail per GPU") {
  const Summary summary = summarize(read(R"({"preset": "gb200_nvl72", "nodes": 2})"));
  CHECK(summary.gpus == 2 * 72);
  CHECK(summary.nodes == 2 * 18);
  CHECK(summary.domains == 2);
  CHECK(summary.nic_per_gpu.highest == gb(100));
  CHECK(*summary.scale_out_bisection == gb(100) * 72);
}

TEST_CASE("a GPU's rail is that of the NIC paired with it") {
  const Cluster cluster = read(R"({"preset": "gb200_nvl72", "nodes": 2})");
  for (std::size_t rank = 0; rank < cluster.gpus.size(); ++rank)
    CHECK(cluster.graph.device(cluster.gpus[rank]).rail == static_cast<std::int32_t>(rank % 4));
}

TEST_CASE("scale_out changes the NIC's rate and the latency of its link") {
  const Cluster cluster =
      read(R"({"preset": "hgx_h100", "nodes": 2, "scale_out": {"nic_bandwidth": "200 Gb/s", "latency": "1 us"}})");
  for (const Link& link : cluster.graph.links()) {
    if (link.kind != LinkKind::Network) continue;
    CHECK(link.bandwidth == gb(25));
    CHECK(link.latency == ns(1000));
  }
}

TEST_CASE("an override changes one value of a preset, which then is no longer assumed") {
  const auto mentions = [](const Cluster& cluster, const std::string& text) {
    return std::any_of(cluster.notes.begin(), cluster.notes.end(),
                       [&](const std::string& note) { return note.find(text) != std::string::npos; });
  };
  const Cluster plain = read(R"({"preset": "gb200_nvl72"})");
  const Cluster changed = read(R"({"preset": "gb200_nvl72", "override": {"nvlink": {"latency": "0 us"}}})");
  for (const Link& link : changed.graph.links())
    if (link.kind == LinkKind::NvLink) CHECK(link.latency == ns(0));
  CHECK(changed.graph.num_links() == plain.graph.num_links());
  CHECK(mentions(plain, "nvlink.latency = 200 ns, assumed"));
  CHECK(!mentions(changed, "assumed: one GPU-NVSwitch link"));
  CHECK(!mentions(changed, "nvlink.latency"));
}

TEST_CASE("assumptions about NICs are noted only where there are several nodes") {
  const auto about_nics = [](const std::string& note) { return note.find("scale_out.latency") != std::string::npos; };
  const Cluster one = read(R"({"preset": "hgx_h100"})");
  const Cluster two = read(R"({"preset": "hgx_h100", "nodes": 2})");
  CHECK(std::none_of(one.notes.begin(), one.notes.end(), about_nics));
  CHECK(std::any_of(two.notes.begin(), two.notes.end(), about_nics));
}

TEST_CASE("the compact format holds a full mesh, as of MI300X") {
  const Cluster cluster = read(R"({"preset": "hgx_h100",
    "override": {"gpu": "mi300x", "nvlink": {"link_bandwidth": "64 GB/s", "planes": null, "mesh": 1}}})");
  const Summary summary = summarize(cluster);
  CHECK(links(summary, LinkKind::NvLink).links == 8 * 7 / 2);
  CHECK(per_gpu(summary, LinkKind::NvLink) == gb(64) * 7);
  CHECK(summary.domain_bisection->lowest == gb(64) * (4 * 4));
  CHECK(devices(Router(cluster), 2, 5) == "gpu2 gpu5");
}

TEST_CASE("the compact format holds bridged pairs, each a domain") {
  const Cluster cluster = read(R"({"preset": "pcie_rtx_pro_6000_8", "override": {"nvlink":
    {"link_bandwidth": "25 GB/s", "latency": "200 ns", "bridges": [[0, 1], [2, 3], [4, 5], [6, 7]], "bridge_links": 12}}})");
  const Summary summary = summarize(cluster);
  CHECK(summary.domains == 4);
  CHECK(per_gpu(summary, LinkKind::NvLink) == gb(300));
  const Router router(cluster);
  CHECK(devices(router, 2, 3) == "gpu2 gpu3");
  CHECK(devices(router, 1, 2) == "gpu1 pcie_switch0 gpu2");  // not through GPU 0 or 3
}

}  // namespace
}  // namespace moesim::topology
