// Parts of config.cc. A view of a configuration, and the rules by which architectures say what their layers are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "workloads/model.h"

namespace moesim::workloads {

// The part of a configuration that describes the language decoder. A key that is null counts as absent.
class ConfigView {
 public:
  ConfigView(base::JsonNode root, base::JsonNode decoder, std::string architecture)
      : root_(std::move(root)), decoder_(std::move(decoder)), architecture_(std::move(architecture)) {}

  bool has(std::string_view key) const;
  base::JsonNode required(std::string_view key) const;  // fails, naming the architecture that needs the key
  std::int32_t count(std::string_view key, std::int32_t lowest = 1) const;
  std::int32_t count_or(std::string_view key, std::int32_t otherwise) const;
  bool flag(std::string_view key, bool otherwise) const;
  // An array of one entry per layer.
  base::JsonNode per_layer(std::string_view key, std::int32_t layers) const;
  // Of the decoder, else of the whole model.
  bool anywhere(std::string_view key) const { return has(key) || root_has(key); }
  base::JsonNode find(std::string_view key) const;

  const base::JsonNode& decoder() const { return decoder_; }
  const std::string& architecture() const { return architecture_; }

 private:
  bool root_has(std::string_view key) const;

  base::JsonNode root_;
  base::JsonNode decoder_;
  std::string architecture_;
};

enum class LayerRule : std::uint8_t {
  All,          // every layer has experts
  FirstDense,   // mlp_layer_types; or moe_layer_freq as a list; or first_k_dense_replace and moe_layer_freq
  SparseStep,   // decoder_sparse_step, mlp_only_layers
  Interleaved,  // every interleave_moe_layer_step-th
  Pattern,  // hybrid_override_pattern or layers_block_type: attention, mamba, FFN and experts are layers of their own
  None      // dense models
};
enum class AttentionRule : std::uint8_t { Grouped, Latent, Kimi3, DeepSeek4, Gemma4, Nemotron, Mimo2, Llama4, MiniMax };

// Fills layers, dense_layers, moe_at and dense_ffn_layers.
void read_layers(const ConfigView& config, LayerRule rule, Model& model);
// Fills attention, and adds to `assumed` what of it is modelled by its weights and cache alone.
void read_attention(const ConfigView& config, AttentionRule rule, Model& model);
// Fills weights, expert_weights and other_weights.
void read_quantization(const ConfigView& config, Model& model);

// The kinds of the layers of a pattern: 'M' mamba, '*' attention, '-' FFN, 'E' experts.
std::string layer_pattern(const ConfigView& config);

}  // namespace moesim::workloads
