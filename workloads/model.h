// The shape of a model, as far as its traffic, compute and memory depend on it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/units.h"
#include "workloads/attention.h"
#include "workloads/weights.h"

namespace moesim::workloads {

struct Model {
  std::string name;
  std::int32_t layers = 0;        // decoder layers, dense ones included
  std::int32_t dense_layers = 0;  // leading layers without experts
  std::int32_t hidden = 0;        // elements
  std::int32_t experts = 0;       // routed, per layer
  std::int32_t top_k = 0;
  std::int32_t expert_ffn = 0;  // intermediate size of one routed expert
  std::int32_t shared_experts = 0;
  std::int32_t groups = 1;  // group-limited routing: number of groups and how many a token may use
  std::int32_t top_groups = 1;
  Dtype weights = Dtype::Bf16;  // that the experts are multiplied in; as they are stored: expert_weights

  // What many models leave at its default.
  std::vector<std::int32_t> moe_at;                  // the layers with experts, ascending; empty: all from
                                                     // dense_layers on
  std::int32_t latent_width = 0;                     // of a token on its way to routed experts and back, where
                                                     // it is projected to fewer elements first; 0: hidden
  std::int32_t expert_matrices = 3;                  // 3 with a gate (SwiGLU), 2 without
  std::int32_t shared_ffn = 0;                       // of one shared expert; 0: expert_ffn
  WeightFormat expert_weights = WeightFormat::Bf16;  // stored, of routed experts
  WeightFormat other_weights = WeightFormat::Bf16;   // stored, of the rest
  // For parameters and caches only; 0 or empty where nobody said.
  std::int32_t dense_ffn = 0;         // of a layer without experts
  std::int32_t dense_ffn_layers = 0;  // how many layers have one
  std::int32_t vocabulary = 0;
  bool tied_embeddings = false;  // the output matrix is the input embedding
  std::vector<Attention> attention;
  std::vector<std::string> assumed;  // what is modelled coarsely, in words

  std::int32_t moe_layers() const {
    return moe_at.empty() ? (experts > 0 ? layers - dense_layers : 0) : static_cast<std::int32_t>(moe_at.size());
  }
  // Position of a layer among the MoE layers, or -1 for a layer without experts.
  std::int32_t moe_index(std::int32_t layer) const;
  std::int32_t dispatch_width() const { return latent_width > 0 ? latent_width : hidden; }
  std::int32_t shared_width() const { return shared_ffn > 0 ? shared_ffn : expert_ffn; }
};

// {"preset": "deepseek-v3", "hidden": 7000, ...}: any field of the preset can be overridden; {"config": "config.json"}
// (a path beside the file of `node`) reads a published configuration, see config.h; without either all fields are
// given. Throws InputError for shapes that cannot be: top_k above experts, groups that do not divide experts,
// top_groups groups with fewer than top_k experts, no MoE layer.
Model read_model(const base::JsonNode& node);
// The same, of a model that may have no experts.
Model read_any_model(const base::JsonNode& node);
// A file: a published configuration, a "model" section, or a scenario that has one.
Model load_model_file(const std::string& path);
// Throws InputError at the object's field that does not fit the others.
void check_shape(const base::JsonNode& node, const Model& model);
std::vector<std::string> model_presets();
std::string_view model_preset_text(std::string_view name);
base::Json to_json(const Model& model);  // read_model of it gives the model back

// What one token of w = dispatch_width() elements costs on the wire in one direction. "fp8": w + 4 * ceil(w / 128) (a
// 4-byte scale for 128 elements); "bf16": 2 * w; "nvfp4": w / 2 + ceil(w / 16) (a 1-byte scale for 16 elements); or a
// number of bytes as text ("7168 B").
base::Bytes read_bytes_per_token(const base::JsonNode& node, const Model& model);

}  // namespace moesim::workloads
