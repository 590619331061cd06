#include <algorithm>
#include <span>

#include <nlohmann/json.hpp>

#include "base/embedded.h"
#include "base/patch.h"
#include "topology/builders/builders.h"

namespace moesim::topology {

std::span<const base::EmbeddedFile> embedded_presets();

namespace {

using base::Json;
using base::JsonNode;

constexpr const char* kOverride = "override";
constexpr const char* kScaleOut = "scale_out";
constexpr std::size_t kMostShown = 40;  // characters of a value in a note

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const auto& file : embedded_presets()) names.emplace_back(file.name);
  return names;
}

const base::EmbeddedFile* find_preset(std::string_view name) {
  const auto files = embedded_presets();
  const auto found = std::find_if(files.begin(), files.end(), [&](const auto& file) { return file.name == name; });
  return found == files.end() ? nullptr : &*found;
}

// Reads the patched preset. An error about a value that the scenario set names the place in the scenario.
UnitSpec read_patched(const base::JsonDocument& document, const JsonNode& cluster) {
  try {
    return read_unit(JsonNode(document));
  } catch (const base::InputError& error) {
    if (error.source() == document.file && error.place() == "/scale_out" && cluster.json().contains(kScaleOut)) {
      const std::string before = error.source() + ": " + error.place() + ": ";
      throw base::InputError(cluster.source(), cluster.pointer() + error.place(),
                             std::string(error.what()).substr(before.size()));
    }
    if (error.source() == document.file && cluster.json().contains(kOverride))
      cluster.member(kOverride).fail("does not fit the rest of the " + std::string(error.what()));
    if (error.source() != kOverride && error.source() != kScaleOut) throw;
    std::string pointer = cluster.pointer() + (error.source() == kOverride ? "/override" : "") + error.place();
    if (pointer.back() == '/') pointer.pop_back();
    JsonNode nearest = cluster;  // the innermost value of the scenario on the way there
    const std::string rest = pointer.substr(cluster.pointer().size());
    for (std::size_t begin = 1; begin <= rest.size();) {
      const std::size_t end = std::min(rest.find('/', begin), rest.size());
      const std::string key = rest.substr(begin, end - begin);
      if (!nearest.is_object() || !nearest.json().contains(key)) break;
      nearest = nearest.member(key);
      begin = end + 1;
    }
    const std::string before = error.source() + ": " + error.place() + ": ";
    throw base::InputError(nearest.source(), pointer, std::string(error.what()).substr(before.size()));
  }
}

// Calls take(dotted path, value) for every value of an object that is not itself an object.
template <class Take>
void for_each_leaf(const Json& value, const std::string& path, const Take& take) {
  if (!value.is_object()) return take(path, value);
  for (const auto& [key, below] : value.items()) for_each_leaf(below, path.empty() ? key : path + "." + key, take);
}

bool covers(const std::string& path, const std::string& other) {
  return other.starts_with(path) && (other.size() == path.size() || other[path.size()] == '.');
}

const Json* find_path(const Json& root, const std::string& path) {
  const Json* place = &root;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    const auto found = place->find(path.substr(begin, end - begin));
    if (found == place->end()) return nullptr;
    place = &*found;
    begin = end + 1;
  }
  return place;
}

std::string shown(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

// Whether a value of the preset can matter to traffic of this cluster.
bool matters(const std::string& path, const UnitSpec& spec, bool scales_out) {
  if (path == "nvlink.installed") return true;
  if (path.starts_with("nvlink") && !spec.nvlink) return false;
  const bool all_nvlink = spec.nvlink && spec.nvlink->bridges.empty();
  if (path == "host.pcie.lanes") return false;
  if (path.starts_with("host.memory")) return !all_nvlink && spec.host && spec.host->memory;
  if (path.starts_with("host.p2p") || path.starts_with("host.cpu_link")) return !all_nvlink;
  if (path.starts_with("host")) return scales_out || !all_nvlink;
  return scales_out || path.starts_with("nvlink");
}

// One note per assumed value that can matter and that the scenario does not set, with its explanation up to the first
// semicolon.
void add_notes(Cluster& cluster, const UnitSpec& spec, const Json& preset, const Json& overrides, bool scales_out) {
  std::vector<std::string> set;
  for_each_leaf(overrides, "", [&](const std::string& leaf, const Json&) { set.push_back(leaf); });
  for (const auto& [path, source] : preset.at("sources").items()) {
    const auto text = source.get<std::string>();
    const Json* value = find_path(preset, path);
    if (!text.starts_with("assumed:") || !matters(path, spec, scales_out) || value == nullptr) continue;
    if (std::any_of(set.begin(), set.end(), [&, &assumed = path](const std::string& s) { return covers(s, assumed); }))
      continue;
    const std::string is = value->dump().size() > kMostShown ? "" : " = " + shown(*value);
    cluster.notes.push_back(path + is + ", " + text.substr(0, text.find(';')));
  }
}

}  // namespace

std::vector<PresetInfo> preset_list() {
  std::vector<PresetInfo> list;
  for (const auto& file : embedded_presets())
    list.push_back({std::string(file.name), Json::parse(file.text).at("summary").get<std::string>()});
  return list;
}

std::string_view preset_text(std::string_view name) {
  if (const auto* file = find_preset(name)) return file->text;
  throw base::InputError(
      "", "", "unknown cluster preset \"" + std::string(name) + "\"" + base::suggestion(name, preset_names()));
}

Cluster read_preset_form(const JsonNode& node) {
  const base::JsonObject form(node, {"preset", "nodes", "scale_out", "override"});
  const JsonNode name_node = form.required("preset");
  const std::string name = name_node.string();
  const auto* file = find_preset(name);
  if (file == nullptr)
    name_node.fail("unknown cluster preset \"" + name + "\"" + base::suggestion(name, preset_names()));

  base::JsonDocument document = base::parse_json(file->text, "preset " + name);
  Json overrides = Json::object();
  if (const auto patch = form.optional("override")) {
    const base::JsonObject accepted(*patch, {"unit", "gpu", "nvlink", "host", "nics"});
    base::apply_merge_patch(document, patch->json(), kOverride);
    overrides = patch->json();
  }
  if (const auto patch = form.optional("scale_out")) {
    if (!patch->is_object()) patch->fail("not an object", "an object such as {\"kind\": \"rail\"}");
    const Json wrapped = {{"scale_out", patch->json()}};
    base::apply_merge_patch(document, wrapped, kScaleOut);
    overrides.update(wrapped);
  }

  const UnitSpec spec = read_patched(document, node);
  const std::int64_t unit_gpus = static_cast<std::int64_t>(spec.nodes) * spec.gpus_per_node;
  const std::int64_t unit_nics = spec.nics ? static_cast<std::int64_t>(spec.nodes) * spec.nics->count : 0;
  const JsonNode blamed = form.optional("nodes").value_or(node);
  const std::int64_t most = std::max<std::int64_t>(1, kMaxGpus / std::max(unit_gpus, unit_nics));
  const auto given = form.optional("nodes");
  if (std::max(unit_gpus, unit_nics) > kMaxGpus ||
      (given && given->is_number() && given->number() > static_cast<double>(most)))
    blamed.fail("too large: more than " + std::to_string(most) + " of the preset's unit, a " + spec.unit + " of " +
                    std::to_string(unit_gpus) + " GPUs and " + std::to_string(unit_nics) + " NICs",
                "at most " + std::to_string(kMaxGpus) + " of each in all");
  const std::int64_t units = given ? given->integer(1, most) : 1;
  if (units > 1 && (!spec.nics || !spec.scale_out))
    blamed.fail("nothing joins the " + spec.unit + "s: this preset has no " + (spec.nics ? "scale_out" : "NICs"), "1");
  if (const auto scale_out = form.optional("scale_out"); scale_out && !spec.nics)
    scale_out->fail("a scale-out network for a preset without NICs");

  Cluster cluster;
  cluster.name = units > 1 ? std::to_string(units) + " x " + name : name;
  add_units(cluster, spec, static_cast<std::int32_t>(units));
  if (units > 1) add_scale_out(cluster, spec, *spec.scale_out);
  add_notes(cluster, spec, *document.root, overrides, units > 1);
  if (units == 1 && form.has("scale_out"))
    cluster.notes.push_back("warning: scale_out has no effect on a single " + spec.unit);
  return cluster;
}

}  // namespace moesim::topology
