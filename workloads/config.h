// Published model configurations: `config.json` of Hugging Face models, `params.json` of Mistral's.
//
// Read are the language decoder's layers, without vision towers and multi-token-prediction layers. What an architecture
// calls its fields is a table in config.cc; a layer of a kind that is not modelled is refused by name.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "workloads/model.h"

namespace moesim::workloads {

// The model is named after its file, or the file's folder if the file is called config.json or params.json. A model
// without experts has experts = 0. Throws InputError for an unknown architecture, missing fields, lists that do not
// have one entry per layer, and shapes that cannot be.
Model load_config(const std::string& path);
Model read_config(const base::JsonNode& root, const std::string& name);

// The file as JSON; numbers that Python writes and JSON lacks (Infinity, NaN) are null.
base::JsonDocument load_config_text(const std::string& path);
// Whether a JSON text looks like one of these rather than a model file or scenario of ours.
bool is_config(const base::JsonNode& root);

std::vector<std::string> config_architectures();

}  // namespace moesim::workloads
