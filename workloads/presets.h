// The presets compiled in from workloads/presets/: files named model_NAME.json and routing_NAME.json.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace moesim::workloads {

enum class PresetKind : std::uint8_t { Model, Routing };

std::vector<std::string> preset_names(PresetKind kind);
// Throws InputError for an unknown name.
std::string_view preset_text(PresetKind kind, std::string_view name);
// The preset named by `node` as a document; an unknown name is an InputError at `node`.
base::JsonDocument load_preset(PresetKind kind, const base::JsonNode& node);

}  // namespace moesim::workloads
