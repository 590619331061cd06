// Seeded synthetic routing with few parameters of physical meaning.
//
// In every layer an expert's popularity is a shifted Zipf law of its rank in a random order, times a log-normal factor
// shared by each cluster of neighbouring experts (hot experts sit together more often than chance would have it, which
// is what loads a rank that holds neighbours):
//
//   popularity(e) ~ (rank(e) + shift)^-exponent * exp(spread * N(0, 1)[e / cluster_experts]),   rank = 0, 1, ...
//
// Tokens belong to prompts. A prompt is about one topic, which multiplies every expert's popularity by a log-normal
// factor of its own in each layer; so prompts have different hot experts, beside those that are popular in all. Within
// a prompt, runs of neighbouring tokens (passages) have further log-normal factors of their own. The experts of a layer
// foretell those of the next: both tell prompt and passage. Over iterations (forward passes of a fixed number of
// tokens) every expert's popularity drifts by a factor whose logarithm is an autoregressive process:
// exp(-1 / drift_iterations) of it is left after an iteration.
//
// A token keeps each expert of the token before it (of its prompt) with a probability that depends on the layer's
// depth, then draws the others by weight without replacement (workloads/token_sampler.h, which also limits groups).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "workloads/model.h"
#include "workloads/trace.h"

namespace moesim::workloads {

struct GeneratorParameters {
  std::string name;  // of the preset, "custom" without
  std::uint64_t seed = 0;
  double zipf_exponent = 0;
  double zipf_shift = 1;             // > 0
  std::int32_t cluster_experts = 1;  // neighbouring experts that share a factor
  double cluster_spread = 0;         // standard deviation of its logarithm
  // Probability of keeping an expert of the token before: at the first MoE layer, mid-depth and the last. Linear over
  // the first and the last eighth of the layers, flat between. 0 for batches whose neighbours are different requests.
  double kept_first = 0;
  double kept_middle = 0;
  double kept_last = 0;
  // Topics: none unless `topics` is above 0. From nothing at the first MoE layer, where the token's own identity rules,
  // their effect grows to full over the first eighth of the layers; over the last eighth it falls to `topic_last`.
  std::int32_t topics = 0;   // that prompts are drawn from
  double topic_spread = 0;   // standard deviation of the logarithm of a topic's factors
  double topic_last = 1;     // share of topic_spread and passage_spread at the last MoE layer
  double prompt_tokens = 0;  // mean length of a prompt; 0: the batch is one prompt without end
  // Passages: none unless `passage_spread` is above 0. Their effect depends on depth as that of topics.
  double passage_spread = 0;  // standard deviation of the logarithm of a passage's factors
  double passage_tokens = 1;  // mean length of a passage, >= 1
  // Drift: none unless `iteration_tokens` is above 0.
  std::int64_t iteration_tokens = 0;  // of a forward pass
  double drift_iterations = 0;        // after so many, 1/e of the factors' logarithm is left
  double drift_spread = 0;            // its standard deviation
};

// {"preset": "deepseek-v3-decode", "seed": 1, <any parameter>}: without preset all parameters down to kept_last are
// given; seed is required. Warns where a preset was calibrated for another number of experts or top_k than the model's.
GeneratorParameters read_generator(const base::JsonNode& node, const Model& model, std::vector<std::string>& warnings);
// The JSON that read_generator reads back, without preset.
base::Json to_json(const GeneratorParameters& parameters);
std::vector<std::string> generator_presets();
std::string_view generator_preset_text(std::string_view name);

// Ids [tokens][top_k] of one layer; depends on no other layer, and the first tokens not on how many follow.
std::vector<std::uint16_t> generate_layer(const GeneratorParameters& parameters, const Model& model,
                                          std::int32_t moe_layer, std::int64_t tokens);
// All MoE layers.
Trace generate_trace(const GeneratorParameters& parameters, const Model& model, std::int64_t tokens);

}  // namespace moesim::workloads
