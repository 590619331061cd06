// The shape of an MoE model, as far as its traffic and compute depend on it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/units.h"

namespace moesim::workloads {

enum class Dtype : std::uint8_t { Bf16, Fp8, Fp8Block, Nvfp4 };
std::string_view to_string(Dtype dtype);  // "bf16", "fp8", "fp8_block", "nvfp4"
Dtype read_dtype(const base::JsonNode& node);
// Bits of one weight with its share of the block scales: bf16 16; fp8 8 (one scale per tensor); fp8_block
// 8 + 32/128^2 (a 4-byte scale per 128 x 128 block); nvfp4 4 + 8/16 (a 1-byte scale per 16 elements).
double bits_per_weight(Dtype dtype);

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
  Dtype weights = Dtype::Bf16;

  std::int32_t moe_layers() const { return layers - dense_layers; }
};

// {"preset": "deepseek-v3", "hidden": 7000, ...}: any field of the preset can be overridden; without preset all are
// given. Throws InputError for shapes that cannot be: top_k above experts, groups that do not divide experts,
// top_groups groups with fewer than top_k experts, no MoE layer.
Model read_model(const base::JsonNode& node);
std::vector<std::string> model_presets();
std::string_view model_preset_text(std::string_view name);
base::Json to_json(const Model& model);  // read_model of it gives the model back

// What one token costs on the wire in one direction. "fp8": hidden + 4 * ceil(hidden / 128) (a 4-byte scale for 128
// elements); "bf16": 2 * hidden; "nvfp4": hidden / 2 + ceil(hidden / 16) (a 1-byte scale for 16 elements); or a number
// of bytes as text ("7168 B").
base::Bytes read_bytes_per_token(const base::JsonNode& node, const Model& model);

}  // namespace moesim::workloads
