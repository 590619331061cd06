#include "workloads/presets.h"

#include <algorithm>

#include "base/embedded.h"

namespace moesim::workloads {

std::span<const base::EmbeddedFile> embedded_presets();  // written by moesim_embed

namespace {

std::string_view prefix(PresetKind kind) { return kind == PresetKind::Model ? "model_" : "routing_"; }

const base::EmbeddedFile* find(PresetKind kind, std::string_view name) {
  for (const base::EmbeddedFile& file : embedded_presets())
    if (file.name.starts_with(prefix(kind)) && file.name.substr(prefix(kind).size()) == name) return &file;
  return nullptr;
}

std::string unknown(PresetKind kind, std::string_view name) {
  return std::string("unknown ") + (kind == PresetKind::Model ? "model" : "routing") + " preset \"" +
         std::string(name) + "\"" + base::suggestion(name, preset_names(kind));
}

}  // namespace

std::vector<std::string> preset_names(PresetKind kind) {
  std::vector<std::string> names;
  for (const base::EmbeddedFile& file : embedded_presets())
    if (file.name.starts_with(prefix(kind))) names.emplace_back(file.name.substr(prefix(kind).size()));
  std::sort(names.begin(), names.end());
  return names;
}

std::string_view preset_text(PresetKind kind, std::string_view name) {
  const base::EmbeddedFile* file = find(kind, name);
  if (file == nullptr) throw base::InputError("", "", unknown(kind, name));
  return file->text;
}

base::JsonDocument load_preset(PresetKind kind, const base::JsonNode& node) {
  const std::string name = node.string();
  const base::EmbeddedFile* file = find(kind, name);
  if (file == nullptr) node.fail(unknown(kind, name));
  return base::parse_json(file->text, "preset " + name);
}

}  // namespace moesim::workloads
