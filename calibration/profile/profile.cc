#include "calibration/profile/profile.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <sstream>

#include <nlohmann/json.hpp>

#include "base/embedded.h"
#include "base/file.h"

namespace moesim::profile {

std::span<const base::EmbeddedFile> embedded_presets();

namespace {

using base::JsonNode;
using base::JsonObject;

constexpr std::string_view kHypothetical = "hypothetical GPU";

template <class Read>
auto read_sourced(const JsonNode& node, Read read) {
  const JsonObject object(node, {"value", "source", "reference", "error"});
  Sourced<decltype(read(node))> result;
  result.value = read(object.required("value"));
  result.source = static_cast<Source>(object.required("source").one_of({"measured", "fitted", "datasheet", "assumed"}));
  result.reference = object.required("reference").string();
  result.relative_error = object.get("error", 0.0, [](const JsonNode& n) { return n.number(0, 10); });
  return result;
}

LinkCeiling read_ceiling(const JsonNode& node) {
  const JsonObject object(node, {"share", "latency"});
  LinkCeiling ceiling;
  if (const auto share = object.optional("share"))
    ceiling.share = read_sourced(*share, [](const JsonNode& n) { return n.number(0.001, 1); });
  if (const auto latency = object.optional("latency"))
    ceiling.latency = read_sourced(*latency, [](const JsonNode& n) { return n.duration(); });
  return ceiling;
}

template <class T>
base::Json sourced_json(const Sourced<T>& number, base::Json value) {
  return {{"value", std::move(value)},
          {"source", to_string(number.source)},
          {"reference", number.reference},
          {"error", number.relative_error}};
}

base::Json duration_json(const Sourced<base::Duration>& number) {
  return sourced_json(number, base::format_number(number.value.value() * 1e6, 12) + " us");
}

base::Json ceiling_json(const LinkCeiling& ceiling) {
  base::Json json = base::Json::object();
  if (ceiling.share) json["share"] = sourced_json(*ceiling.share, ceiling.share->value);
  if (ceiling.latency) json["latency"] = duration_json(*ceiling.latency);
  return json;
}

Profile read_text(std::string_view text, const std::string& source) {
  const auto document = base::parse_json(text, source);
  const JsonObject root(JsonNode(document),
                        {"schema", "name", "gpu", "family", "ideal", "sms", "hbm_bandwidth", "hbm_capacity", "l2",
                         "clock", "bf16", "fp8", "fp4", "power", "launch", "links", "kernels"});
  const auto flop_rate = [](const JsonNode& n) { return n.flop_rate(); };
  root.required("schema").one_of({"moesim.profile/1"});
  Profile profile;
  profile.name = root.required("name").string();
  profile.gpu = root.required("gpu").string();
  profile.text = text;
  profile.hash = base::content_hash(text);
  profile.ideal = root.get("ideal", false, [](const JsonNode& n) { return n.boolean(); });
  if (profile.ideal) return profile;
  profile.family = root.required("family").string();
  profile.sms = read_sourced(root.required("sms"), [](const JsonNode& n) { return n.number(1, 1e4); });
  profile.hbm_bandwidth = read_sourced(root.required("hbm_bandwidth"), [](const JsonNode& n) { return n.bandwidth(); });
  profile.hbm_capacity = read_sourced(root.required("hbm_capacity"), [](const JsonNode& n) { return n.bytes(); });
  profile.l2 = read_sourced(root.required("l2"), [](const JsonNode& n) { return n.bytes(); });
  profile.clock = read_sourced(root.required("clock"), [](const JsonNode& n) { return n.frequency(); });
  profile.bf16 = read_sourced(root.required("bf16"), flop_rate);
  if (const auto fp8 = root.optional("fp8")) profile.fp8 = read_sourced(*fp8, flop_rate);
  if (const auto fp4 = root.optional("fp4")) profile.fp4 = read_sourced(*fp4, flop_rate);
  profile.power = read_sourced(root.required("power"), [](const JsonNode& n) { return n.power(); });
  profile.launch = read_sourced(root.required("launch"), [](const JsonNode& n) { return n.duration(); });
  if (const auto links = root.optional("links")) {
    const JsonObject kinds(*links, {"nvlink", "pcie", "network"});
    for (const auto& [key, ceiling] :
         {std::pair("nvlink", &profile.links.nvlink), std::pair("pcie", &profile.links.pcie),
          std::pair("network", &profile.links.network)})
      if (const auto kind = kinds.optional(key)) *ceiling = read_ceiling(*kind);
  }
  if (const auto own = root.optional("kernels")) {
    for (std::size_t i = 0; i < own->size(); ++i)
      profile.kernels.push_back(std::make_shared<KernelCalibration>(read_kernel_calibration(own->at(i))));
  }
  return profile;
}

}  // namespace

std::string_view to_string(Source source) {
  switch (source) {
    case Source::Measured:
      return "measured";
    case Source::Fitted:
      return "fitted";
    case Source::Datasheet:
      return "datasheet";
    case Source::Assumed:
      return "assumed";
  }
  return "assumed";
}

KernelParameters Profile::kernel(std::string_view kernel_name) const {
  for (const auto& own : kernels)
    if (own->kernel == kernel_name) return resolve(*own, name, family);
  return resolve(*kernel_calibration(kernel_name), name, family);
}

std::shared_ptr<const KernelCalibration> Profile::calibration(std::string_view kernel_name) const {
  for (const auto& own : kernels)
    if (own->kernel == kernel_name) return own;
  const auto shipped = calibrated_kernels();
  if (std::find(shipped.begin(), shipped.end(), kernel_name) == shipped.end()) return nullptr;
  return kernel_calibration(kernel_name);
}

std::vector<std::string> Profile::assumptions() const {
  std::vector<std::string> list;
  const auto add = [&](const char* what, const auto& number, const std::string& value) {
    if (number.source == Source::Assumed)
      list.push_back(std::string(what) + " " + value + " (" + number.reference + ")");
  };
  if (ideal) return list;
  if (hbm_capacity.reference.starts_with(kHypothetical))
    add("HBM capacity", hbm_capacity, base::to_string(hbm_capacity.value));
  add("HBM bandwidth", hbm_bandwidth, base::to_string(hbm_bandwidth.value));
  add("bf16", bf16, base::to_string(bf16.value));
  if (fp8) add("fp8", *fp8, base::to_string(fp8->value));
  if (fp4) add("fp4", *fp4, base::to_string(fp4->value));
  add("kernel launch", launch, base::to_string(launch.value));
  return list;
}

std::vector<std::string> profile_presets() {
  std::vector<std::string> names;
  for (const base::EmbeddedFile& file : embedded_presets()) names.emplace_back(file.name);
  return names;
}

Profile profile_preset(std::string_view name) {
  for (const base::EmbeddedFile& file : embedded_presets())
    if (file.name == name) return read_text(file.text, std::string(name) + " (profile preset)");
  throw base::InputError("", "",
                         "unknown profile \"" + std::string(name) + "\"" + base::suggestion(name, profile_presets()));
}

Profile load_profile(const std::string& path) { return read_text(base::read_file(path), path); }

base::Json to_json(const Profile& profile) {
  base::Json json = base::Json::parse(profile.text);
  json.erase("links");
  json.erase("kernels");
  if (profile.ideal) return json;
  json["launch"] = duration_json(profile.launch);
  base::Json links = base::Json::object();
  for (const auto& [key, ceiling] : {std::pair("nvlink", &profile.links.nvlink), std::pair("pcie", &profile.links.pcie),
                                     std::pair("network", &profile.links.network)})
    if (ceiling->share || ceiling->latency) links[key] = ceiling_json(*ceiling);
  if (!links.empty()) json["links"] = std::move(links);
  if (profile.kernels.empty()) return json;
  json["kernels"] = base::Json::array();
  for (const auto& kernel : profile.kernels) json["kernels"].push_back(to_json(*kernel));
  return json;
}

namespace {

template <class T>
void override_value(const JsonNode& node, T value, Sourced<T>& of, Profile& profile) {
  if (value == of.value) return;
  profile.hash = base::content_hash(profile.hash + node.pointer() + node.json().dump());
  of = {value, Source::Assumed, std::string(kHypothetical) + ": " + profile.gpu + " has " + base::to_string(of.value),
        0};
}

void override_values(const JsonNode& node, Profile& profile) {
  const JsonObject section(node, {"hbm_bandwidth", "hbm_capacity", "bf16", "fp8", "fp4"});
  if (profile.ideal) node.fail("profile \"ideal\" has no values to override", "a GPU's profile");
  if (const auto value = section.optional("hbm_bandwidth"))
    override_value(*value, value->bandwidth(), profile.hbm_bandwidth, profile);
  if (const auto value = section.optional("hbm_capacity"))
    override_value(*value, value->bytes(), profile.hbm_capacity, profile);
  if (const auto value = section.optional("bf16")) override_value(*value, value->flop_rate(), profile.bf16, profile);
  for (const auto& [key, rate] : {std::pair("fp8", &profile.fp8), std::pair("fp4", &profile.fp4)}) {
    const auto value = section.optional(key);
    if (!value) continue;
    if (!*rate) value->fail(profile.name + " multiplies no " + key, "a rate that it has");
    override_value(*value, value->flop_rate(), **rate, profile);
  }
}

// What an override says of a GPU that has no profile of its own: nothing that was read for another may be left.
std::string override_keys(const Profile& profile) {
  std::string keys = "hbm_bandwidth, hbm_capacity, bf16";
  if (profile.fp8) keys += ", fp8";
  if (profile.fp4) keys += ", fp4";
  return keys;
}

// Of a GPU without a profile, from that of another one: its kernels are those of the other's family.
Profile profile_like(const JsonNode& preset, const JsonNode& section, const std::string& gpu) {
  Profile profile = profile_preset(preset.string());
  const std::string keys = override_keys(profile);
  const auto given = section.json().find("override");
  std::istringstream words(keys);
  for (std::string key; std::getline(words >> std::ws, key, ',');)
    if (given == section.json().end() || !given->is_object() || !given->contains(key))
      preset.fail("the GPU \"" + gpu + "\" has no profile; from that of another it needs profile.override." + key,
                  "profile.override with " + keys);
  const auto hypothetical = [&](auto& number) {
    number.source = Source::Assumed;
    number.reference = std::string(kHypothetical) + " like " + profile.gpu;
  };
  hypothetical(profile.hbm_bandwidth);
  hypothetical(profile.hbm_capacity);
  hypothetical(profile.bf16);
  if (profile.fp8) hypothetical(*profile.fp8);
  if (profile.fp4) hypothetical(*profile.fp4);
  profile.name = gpu;
  profile.hash = base::content_hash(profile.hash + gpu);
  return profile;
}

Profile read_base_profile(const JsonNode* node, const std::string& gpu) {
  const auto names = profile_presets();
  const auto known = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const bool named =
      node != nullptr && (node->is_string() || node->json().contains("preset") || node->json().contains("file"));
  if (!named) {
    if (node != nullptr) JsonObject(*node, {"preset", "file", "override"}).required("override");
    if (!known(gpu))
      throw base::InputError("", "", "the cluster's GPU \"" + gpu + "\" has no profile" + base::suggestion(gpu, names),
                             "a GPU with a profile; or profile.preset, a GPU like it or \"ideal\", and beside a GPU "
                             "profile.override with " +
                                 override_keys(profile_preset("b200")));
    return profile_preset(gpu);
  }
  const auto load = [&](const JsonNode& file) {
    const std::string path = (std::filesystem::path(file.document().file).parent_path() / file.string()).string();
    if (!std::filesystem::exists(path)) file.fail("there is no file " + path, "a profile that `calibrate` wrote");
    Profile profile = load_profile(path);
    if (profile.name != gpu) file.fail("the profile of " + profile.name, "one of the cluster's GPU, \"" + gpu + "\"");
    return profile;
  };
  if (node->is_string()) return load(*node);
  const JsonObject section(*node, {"preset", "file", "override"});
  if (const auto file = section.optional("file")) {
    if (section.has("preset")) file->fail("beside \"preset\"", "one of the two");
    return load(*file);
  }
  const JsonNode preset = section.required("preset");
  const std::string name = preset.string();
  if (!known(name)) preset.fail("unknown profile" + base::suggestion(name, names));
  Profile profile = profile_preset(name);
  if (!profile.ideal && !known(gpu)) return profile_like(preset, *node, gpu);
  if (!profile.ideal && name != gpu)
    preset.fail("the profile of another GPU than the cluster's", "\"" + gpu + "\", \"ideal\", or no profile at all");
  return profile;
}

}  // namespace

Profile read_profile(const JsonNode* node, const std::string& gpu) {
  Profile profile = read_base_profile(node, gpu);
  if (node != nullptr && node->json().contains("override")) override_values(node->member("override"), profile);
  return profile;
}

}  // namespace moesim::profile
