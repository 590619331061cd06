// The file of a waterfall, and what 10 % more of a resource is.
#include <algorithm>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "calibration/profile/profile.h"
#include "planning/waterfall.h"
#include "topology/cluster.h"

namespace moesim::planning {
namespace {

using base::Json;
using base::JsonNode;
using base::JsonObject;

std::vector<int> factor_names(const JsonObject& object, const char* key, const std::vector<std::string>& names) {
  std::vector<int> list;
  const auto node = object.optional(key);
  for (std::size_t i = 0; node && i < node->size(); ++i) {
    const std::string name = node->at(i).string();
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) node->at(i).fail("no such factor" + base::suggestion(name, names));
    list.push_back(static_cast<int>(found - names.begin()));
  }
  return list;
}

Json read_patch(const JsonNode& node) {
  if (!node.is_object()) node.fail("not a patch", "an object");
  return node.json();
}

Factor read_factor(const JsonNode& node, const std::vector<std::string>& names) {
  const JsonObject object(node, {"name", "group", "what", "cases", "patch"});
  Factor factor{object.required("name").string(), "", object.required("what").string(), {}};
  if (const auto group = object.optional("group")) factor.group = group->string();
  if (const auto patch = object.optional("patch")) {
    if (object.has("cases")) patch->fail("beside \"cases\"", "one of the two");
    factor.cases.push_back({{}, {}, read_patch(*patch)});
    return factor;
  }
  const JsonNode cases = object.required("cases");
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const JsonObject one(cases.at(i), {"with", "without", "patch"});
    factor.cases.push_back(
        {factor_names(one, "with", names), factor_names(one, "without", names), read_patch(one.required("patch"))});
  }
  return factor;
}

template <class Quantity>
std::string scaled(Quantity value, double factor) {
  return base::to_string(value * factor, 17);
}

}  // namespace

WaterfallFile read_waterfall(const base::JsonDocument& document) {
  // First of all, so that a scenario in its place is told apart.
  const JsonNode schema = JsonNode(document).member("schema");
  if (schema.string() != "moesim.waterfall/1")
    schema.fail("not \"moesim.waterfall/1\"",
                "a file that names two scenarios and the factors between them, such as "
                "examples/ten-x/deepseek-r1.json");
  const JsonObject root(JsonNode(document), {"schema", "name", "baseline", "target", "factors", "not_modelled"});
  root.required("schema");
  WaterfallFile file;
  file.name = root.required("name").string();
  const std::filesystem::path folder = std::filesystem::path(document.file).parent_path();
  file.baseline_path = (folder / root.required("baseline").string()).string();
  file.target_path = (folder / root.required("target").string()).string();
  const JsonNode factors = root.required("factors");
  std::vector<std::string> names;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const std::string name = factors.at(i).member("name").string();
    if (std::find(names.begin(), names.end(), name) != names.end())
      factors.at(i).member("name").fail("two factors of this name", "a different one");
    names.push_back(name);
  }
  if (names.empty() || names.size() > static_cast<std::size_t>(kMaxFactors))
    factors.fail(std::to_string(names.size()) + " factors", "1 to " + std::to_string(kMaxFactors));
  for (std::size_t i = 0; i < factors.size(); ++i) file.factors.push_back(read_factor(factors.at(i), names));
  if (const auto list = root.optional("not_modelled"))
    for (std::size_t i = 0; i < list->size(); ++i) file.not_modelled.push_back(list->at(i).string());
  return file;
}

std::vector<std::pair<std::string, Json>> with_more(const Json& scenario, double factor) {
  const base::JsonDocument document{"scenario", std::make_shared<Json>(scenario), {}};
  const JsonNode root(document);
  const topology::Cluster cluster = topology::read_cluster(root.member("cluster"));
  std::vector<std::pair<std::string, Json>> list;
  const auto add = [&](const std::string& name, const Json& patch) {
    list.emplace_back(name, scenario);
    list.back().second.merge_patch(patch);
  };
  const bool given = scenario.contains("profile");
  const JsonNode section = given ? root.member("profile") : root;
  const profile::Profile gpu = profile::read_profile(given ? &section : nullptr, cluster.gpu);
  if (!gpu.ideal) {
    const auto more = [&](const Json& values) { return Json{{"profile", {{"override", values}}}}; };
    add("HBM bandwidth", more({{"hbm_bandwidth", scaled(gpu.hbm_bandwidth.value, factor)}}));
    add("HBM capacity", more({{"hbm_capacity", scaled(gpu.hbm_capacity.value, factor)}}));
    Json rates = {{"bf16", scaled(gpu.bf16.value, factor)}};
    if (gpu.fp8) rates["fp8"] = scaled(gpu.fp8->value, factor);
    if (gpu.fp4) rates["fp4"] = scaled(gpu.fp4->value, factor);
    add("tensor throughput", more(rates));
  }
  const Json& form = scenario["cluster"];
  if (!form.contains("preset")) return list;
  Json preset = Json::parse(topology::preset_text(form["preset"].get<std::string>()));
  if (form.contains("override")) preset.merge_patch(form["override"]);
  if (form.contains("scale_out")) preset["scale_out"].merge_patch(form["scale_out"]);
  if (preset.contains("nvlink") && preset["nvlink"].contains("link_bandwidth")) {
    const base::Bandwidth link = base::parse_bandwidth(preset["nvlink"]["link_bandwidth"].get<std::string>());
    add("NVLink bandwidth", {{"cluster", {{"override", {{"nvlink", {{"link_bandwidth", scaled(link, factor)}}}}}}}});
  }
  const bool switched =
      preset.contains("nvlink") && preset["nvlink"].value("installed", true) && !preset["nvlink"].contains("bridges");
  if ((!switched || form.value("nodes", 1) > 1) && preset.contains("host") && preset["host"].contains("pcie")) {
    const base::Bandwidth link = base::parse_bandwidth(preset["host"]["pcie"]["bandwidth"].get<std::string>());
    add("PCIe bandwidth", {{"cluster", {{"override", {{"host", {{"pcie", {{"bandwidth", scaled(link, factor)}}}}}}}}}});
  }
  if (form.value("nodes", 1) > 1 && preset.contains("nics")) {
    const Json& nic = preset["scale_out"].contains("nic_bandwidth") ? preset["scale_out"]["nic_bandwidth"]
                                                                    : preset["nics"]["bandwidth"];
    add("NIC bandwidth",
        {{"cluster",
          {{"scale_out", {{"nic_bandwidth", scaled(base::parse_bandwidth(nic.get<std::string>()), factor)}}}}}});
  }
  return list;
}

}  // namespace moesim::planning
