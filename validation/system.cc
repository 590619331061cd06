#include "validation/system.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <mutex>

#include <nlohmann/json.hpp>

#include "base/patch.h"

namespace moesim::validation {
namespace {

struct Row {
  std::string_view system;
  std::string_view profile;
  std::string_view cluster;    // the "cluster" section of a scenario, without the number of nodes
  std::int32_t gpus_per_unit;  // of the preset's unit, a node or a rack
};

// PCIe cards without a preset of their own stand in the two-socket server of pcie_rtx_pro_6000_8. Two GPUs of the
// measured L40S and RTX PRO servers exchange data at several times the rate of four: a PCIe switch joins two, not four
// (assumed).
constexpr std::array<Row, 14> kSystems{{
    {"a100_sxm", "a100", R"({"preset": "hgx_a100"})", 8},
    {"h100_sxm", "h100", R"({"preset": "hgx_h100"})", 8},
    {"h200_sxm", "h200", R"({"preset": "hgx_h200"})", 8},
    {"b200_sxm", "b200", R"({"preset": "hgx_b200"})", 8},
    {"b300_sxm", "b300", R"({"preset": "hgx_b300"})", 8},
    {"gb200", "gb200", R"({"preset": "gb200_nvl72"})", 72},
    {"gb300", "gb300", R"({"preset": "gb300_nvl72"})", 72},
    {"l40s", "l40s",
     R"({"preset": "pcie_rtx_pro_6000_8", "override": {"gpu": "l40s",
         "host": {"pcie": {"bandwidth": "32 GB/s"}, "cpus": [
           {"pcie_switches": [{"gpus": [0, 1], "nics": [0, 1]}, {"gpus": [2, 3], "nics": [2, 3]}]},
           {"pcie_switches": [{"gpus": [4, 5], "nics": [4, 5]}, {"gpus": [6, 7], "nics": [6, 7]}]}]}}})",
     8},
    {"rtx_pro_6000_server", "rtx_pro_6000",
     R"({"preset": "pcie_rtx_pro_6000_8", "override": {"host": {"cpus": [
           {"pcie_switches": [{"gpus": [0, 1], "nics": [0, 1]}, {"gpus": [2, 3], "nics": [2, 3]}]},
           {"pcie_switches": [{"gpus": [4, 5], "nics": [4, 5]}, {"gpus": [6, 7], "nics": [6, 7]}]}]}}})",
     8},
    {"a100_pcie", "a100_pcie",
     R"({"preset": "pcie_rtx_pro_6000_8", "override": {"gpu": "a100_pcie", "host": {"pcie": {"bandwidth": "32 GB/s"}}}})",
     8},
    {"a30", "a30",
     R"({"preset": "pcie_rtx_pro_6000_8", "override": {"gpu": "a30", "host": {"pcie": {"bandwidth": "32 GB/s"}}}})", 8},
    {"h100_pcie", "h100_pcie", R"({"preset": "pcie_h100_8"})", 8},
    {"l4", "l4",
     R"({"preset": "pcie_rtx_pro_6000_8", "override": {"gpu": "l4", "host": {"pcie": {"bandwidth": "32 GB/s"}}}})", 8},
    {"hopper_8gpu_ib400", "hopper_ib400", R"({"preset": "hgx_h100", "override": {"gpu": "hopper_ib400"}})", 8},
}};

const Row& row_of(std::string_view name) {
  for (const Row& row : kSystems)
    if (row.system == name) return row;
  if (name == "b60") throw base::InputError("", "", "system \"b60\" is an Intel GPU: only NVIDIA systems are modelled");
  throw base::InputError("", "",
                         "unknown system \"" + std::string(name) + "\"" + base::suggestion(name, system_names()));
}

}  // namespace

struct System::Clusters {
  std::mutex mutex;
  std::map<std::int32_t, std::shared_ptr<const ClusterView>> by_units;
};

System::System(std::string_view name)
    : name_(name), profile_(profile::profile_preset(row_of(name).profile)), clusters_(std::make_shared<Clusters>()) {}

std::shared_ptr<const ClusterView> System::cluster(std::int32_t gpus) const {
  const Row& row = row_of(name_);
  const std::int32_t units = std::max(1, (gpus + row.gpus_per_unit - 1) / row.gpus_per_unit);
  const std::lock_guard lock(clusters_->mutex);
  std::shared_ptr<const ClusterView>& view = clusters_->by_units[units];
  if (view == nullptr) {
    base::JsonDocument document = base::parse_json(row.cluster, "cluster of system " + name_);
    if (units > 1) base::apply_set(document, "nodes=" + std::to_string(units));
    auto fresh = std::make_shared<ClusterView>();
    fresh->cluster = topology::read_cluster(base::JsonNode(document));
    fresh->router = std::make_unique<topology::Router>(fresh->cluster);
    view = std::move(fresh);
  }
  return view;
}

std::string System::cluster_section(std::int32_t gpus) const {
  const Row& row = row_of(name_);
  const std::int32_t units = std::max(1, (gpus + row.gpus_per_unit - 1) / row.gpus_per_unit);
  base::Json section = base::Json::parse(row.cluster);
  if (units > 1) section["nodes"] = units;
  return section.dump();
}

bool System::has_nvlink() const {
  const auto view = cluster(1);
  const topology::Graph& graph = view->cluster.graph;
  for (const topology::LinkId id : graph.links_of(view->cluster.gpus.front()))
    if (graph.link(id).kind == topology::LinkKind::NvLink) return true;
  return false;
}

std::vector<std::string> system_names() {
  std::vector<std::string> names;
  for (const Row& row : kSystems) names.emplace_back(row.system);
  return names;
}

std::string system_of_gpu(std::string_view gpu) {
  // The first whose words the name has; drivers say "PCIe" where it is a card.
  constexpr std::array<std::array<std::string_view, 3>, 15> kNames{{{"GB300", "", "gb300"},
                                                                    {"GB200", "", "gb200"},
                                                                    {"B300", "", "b300_sxm"},
                                                                    {"B200", "", "b200_sxm"},
                                                                    {"H200", "", "h200_sxm"},
                                                                    {"H100", "PCIe", "h100_pcie"},
                                                                    {"H100", "", "h100_sxm"},
                                                                    {"H800", "", ""},
                                                                    {"A100", "PCIe", "a100_pcie"},
                                                                    {"A100", "PCIE", "a100_pcie"},
                                                                    {"A100", "", "a100_sxm"},
                                                                    {"A30", "", "a30"},
                                                                    {"L40S", "", "l40s"},
                                                                    {"L4", "", "l4"},
                                                                    {"RTX PRO 6000", "", "rtx_pro_6000_server"}}};
  const auto has = [&](std::string_view word) {
    const std::size_t at = gpu.find(word);
    if (at == std::string_view::npos) return false;
    const std::size_t end = at + word.size();
    return end >= gpu.size() || std::isalnum(static_cast<unsigned char>(gpu[end])) == 0;
  };
  for (const auto& [name, with, system] : kNames)
    if (has(name) && (with.empty() || has(with))) return std::string(system);
  return "";
}

std::string system_of_file(std::string_view path) {
  const std::string_view file = path.substr(path.rfind('/') + 1);
  const std::string_view system = file.substr(0, std::min(file.find("__"), file.size()));
  for (const Row& row : kSystems)
    if (row.system == system) return std::string(system);
  return "";
}

}  // namespace moesim::validation
