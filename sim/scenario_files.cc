#include "sim/scenario_files.h"

#include <array>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "base/patch.h"
#include "sim/scenario.h"
#include "topology/cluster.h"

namespace moesim::sim {
namespace {

using base::JsonNode;

// Where a scenario names other files.
constexpr std::array<const char*, 8> kPaths{"/cluster",
                                            "/routing/trace",
                                            "/routing/counts",
                                            "/model/config",
                                            "/placement/observe/trace",
                                            "/placement/observe/counts",
                                            "/profile",
                                            "/profile/file"};

// The text at `pointer`, or null.
base::Json* text_at(base::Json& json, const char* pointer) {
  const base::Json::json_pointer place(pointer);
  return json.contains(place) && json[place].is_string() ? &json[place] : nullptr;
}

}  // namespace

void check_paths(const JsonNode& root) {
  for (const char* pointer : kPaths) {
    const base::Json::json_pointer place(pointer);
    if (!root.json().contains(place) || !root.json()[place].is_string()) continue;
    JsonNode node = root;
    for (const std::filesystem::path& key : std::filesystem::path(pointer).relative_path()) node = node.member(key);
    const auto path = std::filesystem::path(root.document().file).parent_path() / node.string();
    std::error_code failed;
    if (!std::filesystem::exists(path, failed))
      node.fail("there is no file " + path.lexically_normal().string(),
                "a path from the folder of the scenario's file, or in a --set from the current folder" +
                    std::string(node.pointer() == "/cluster" ? "; a preset is {\"preset\": \"hgx_h200\"}" : ""));
  }
}

base::JsonDocument with_cluster_file(const base::JsonDocument& document) {
  const JsonNode name = JsonNode(document).member("cluster");
  const auto path = std::filesystem::path(document.file).parent_path() / name.string();
  const base::JsonDocument cluster = base::load_json(path.string());
  if (!JsonNode(cluster).is_object()) JsonNode(cluster).fail("no cluster", "an object in { }, as in `topology check`");
  topology::read_cluster(JsonNode(cluster));  // what is wrong is told of by its own file and place
  base::JsonDocument whole = document;
  whole.root = std::make_shared<base::Json>(*document.root);
  (*whole.root)["cluster"] = *cluster.root;
  return whole;
}

void shorten_paths(base::Json& scenario) {
  for (const char* pointer : kPaths)
    if (base::Json* path = text_at(scenario, pointer))
      *path = std::filesystem::path(path->get<std::string>()).filename().string();
}

void refuse_other_files(const JsonNode& node) {
  if (!node.is_object() || !node.json().contains("schema") || !node.member("schema").is_string()) return;
  const std::string schema = node.member("schema").string();
  if (schema == "moesim.waterfall/1")
    node.member("schema").fail("\"" + schema + "\": two scenarios and the factors between them, no scenario",
                               "`moesim waterfall " + node.document().file + "`");
  for (const auto& [name, verb] :
       {std::pair("moesim.comparison/1", "compare"), std::pair("moesim.curve/1", "compare"),
        std::pair("moesim.waterfall_result/1", "waterfall"), std::pair("moesim.sensitivity/1", "calibrate check")})
    if (schema == name)
      node.member("schema").fail("\"" + schema + "\": a result of `moesim " + verb + "`, no scenario",
                                 "`moesim " + std::string(verb) + " " + node.document().file + "`, which repeats it");
}

void make_paths_absolute(base::Json& scenario, const std::string& file) {
  for (const char* pointer : kPaths)
    if (base::Json* path = text_at(scenario, pointer))
      *path = std::filesystem::absolute(std::filesystem::path(file).parent_path() / path->get<std::string>())
                  .lexically_normal()
                  .string();
}

void apply_sets(base::JsonDocument& document, const std::vector<std::string>& sets) {
  for (const std::string& set : sets) base::apply_set(document, set);
  for (const char* pointer : kPaths) {
    base::Json* path = text_at(*document.root, pointer);
    if (path == nullptr) continue;
    bool typed = false;
    for (const auto& [place, source] : document.origins)
      if (place == pointer || std::string(pointer).starts_with(place + "/")) typed = source.starts_with("--set ");
    if (typed) *path = std::filesystem::absolute(path->get<std::string>()).lexically_normal().string();
  }
}

}  // namespace moesim::sim
