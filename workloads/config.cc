#include "workloads/config.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "workloads/config_reader.h"

namespace moesim::workloads {
namespace {

using base::JsonNode;

// What an architecture calls its fields. An empty name: it has no such field.
struct Architecture {
  std::string_view name;
  std::string_view experts, top_k, expert_ffn;
  std::string_view shared;      // count of shared experts
  std::string_view shared_ffn;  // width of all of them together
  std::string_view dense_ffn;
  LayerRule layers;
  AttentionRule attention;
};

constexpr std::string_view kIntermediate = "intermediate_size";
constexpr std::string_view kMoeIntermediate = "moe_intermediate_size";
constexpr std::string_view kPerToken = "num_experts_per_tok";
constexpr std::string_view kSharedFfn = "shared_expert_intermediate_size";

constexpr Architecture deepseek(std::string_view name, AttentionRule attention) {
  return {name,          "n_routed_experts",    kPerToken, kMoeIntermediate, "n_shared_experts", "",
          kIntermediate, LayerRule::FirstDense, attention};
}
constexpr Architecture qwen(std::string_view name) {
  return {name,
          "num_experts",
          kPerToken,
          kMoeIntermediate,
          "",
          kSharedFfn,
          kIntermediate,
          LayerRule::SparseStep,
          AttentionRule::Grouped};
}
constexpr Architecture all_layers(std::string_view name, std::string_view experts, AttentionRule attention) {
  return {name, experts, kPerToken, kIntermediate, "", "", "", LayerRule::All, attention};
}
constexpr Architecture dense(std::string_view name) {
  return {name, "", "", "", "", "", kIntermediate, LayerRule::None, AttentionRule::Grouped};
}

constexpr std::array kArchitectures{
    all_layers("MixtralForCausalLM", "num_local_experts", AttentionRule::Grouped),
    deepseek("DeepseekV2ForCausalLM", AttentionRule::Latent),
    deepseek("DeepseekV3ForCausalLM", AttentionRule::Latent),
    deepseek("DeepseekV32ForCausalLM", AttentionRule::Latent),
    deepseek("KimiK25ForConditionalGeneration", AttentionRule::Latent),
    deepseek("GlmMoeDsaForCausalLM", AttentionRule::Latent),
    deepseek("Glm4MoeForCausalLM", AttentionRule::Grouped),
    deepseek("DeepseekV4ForCausalLM", AttentionRule::DeepSeek4),
    deepseek("MiMoV2FlashForCausalLM", AttentionRule::Mimo2),
    qwen("Qwen2MoeForCausalLM"),
    qwen("Qwen3MoeForCausalLM"),
    qwen("Qwen3VLMoeForConditionalGeneration"),
    qwen("Qwen3_5MoeForConditionalGeneration"),
    all_layers("GptOssForCausalLM", "num_local_experts", AttentionRule::Grouped),
    all_layers("MiniMaxM2ForCausalLM", "num_local_experts", AttentionRule::MiniMax),
    all_layers("OlmoeForCausalLM", "num_experts", AttentionRule::Grouped),
    Architecture{"MiniMaxM3ForCausalLM", "num_local_experts", kPerToken, kMoeIntermediate, "n_shared_experts",
                 "shared_intermediate_size", "dense_intermediate_size", LayerRule::FirstDense, AttentionRule::MiniMax},
    Architecture{"Llama4ForConditionalGeneration", "num_local_experts", kPerToken, kIntermediate, "", "",
                 "intermediate_size_mlp", LayerRule::Interleaved, AttentionRule::Llama4},
    Architecture{"KimiK3ForConditionalGeneration", "num_experts", "num_experts_per_token", kMoeIntermediate,
                 "num_shared_experts", "", kIntermediate, LayerRule::FirstDense, AttentionRule::Kimi3},
    Architecture{"Step3p7FlashForCausalLM", "num_experts", kPerToken, kMoeIntermediate, "n_shared_experts",
                 "share_expert_dim", kIntermediate, LayerRule::FirstDense, AttentionRule::Grouped},
    Architecture{"Gemma4ForConditionalGeneration", "num_experts", "top_k_experts", kMoeIntermediate, "", kIntermediate,
                 "", LayerRule::All, AttentionRule::Gemma4},
    Architecture{"NemotronHForCausalLM", "n_routed_experts", kPerToken, kMoeIntermediate, "n_shared_experts",
                 "moe_shared_expert_intermediate_size", kIntermediate, LayerRule::Pattern, AttentionRule::Nemotron},
    dense("Qwen3VLForConditionalGeneration"),
    dense("Qwen3_5ForConditionalGeneration"),
    dense("MiMoForCausalLM"),
    dense("LlamaForCausalLM"),
    dense("MistralForCausalLM"),
    dense("Qwen2ForCausalLM"),
    dense("Qwen3ForCausalLM")};

const Architecture& architecture_of(const JsonNode& root) {
  if (!root.is_object()) root.fail("not an object", "a model's config.json");
  if (!root.json().contains("architectures"))
    root.fail_key("architectures", "missing key \"architectures\"; this is no model's config.json");
  const JsonNode list = root.member("architectures");
  if (list.size() == 0) list.fail("no architecture", "one of " + base::suggestion("", config_architectures()));
  const std::string name = list.at(0).string();
  for (const Architecture& known : kArchitectures)
    if (known.name == name) return known;
  list.at(0).fail("architecture \"" + name + "\" is not modelled" + base::suggestion(name, config_architectures()));
}

constexpr std::int32_t kMostExperts = 65535;

void read_experts(const ConfigView& config, const Architecture& names, Model& model) {
  model.expert_ffn = config.count(names.expert_ffn);
  if (config.has("routed_expert_hidden_size")) model.latent_width = config.count("routed_expert_hidden_size");
  if (config.has("moe_latent_size")) model.latent_width = config.count("moe_latent_size");
  if (model.latent_width == model.hidden) model.latent_width = 0;
  const auto experts = config.required(names.experts);
  model.experts = static_cast<std::int32_t>(experts.integer(1, kMostExperts));
  const auto top_k = config.required(names.top_k);
  model.top_k = static_cast<std::int32_t>(top_k.integer(1, model.experts));
  const std::string_view groups = config.has("n_group") ? "n_group" : "num_expert_group";
  if (config.has(groups)) {
    model.groups = config.count(groups);
    model.top_groups = config.count("topk_group");
    if (model.experts % model.groups != 0)
      config.required(groups).fail(std::to_string(model.groups) + " groups do not divide " +
                                   std::to_string(model.experts) + " experts");
    const std::int32_t reachable = model.top_groups * (model.experts / model.groups);
    if (model.top_groups > model.groups || reachable < model.top_k)
      config.required("topk_group").fail("groups that cannot serve top-" + std::to_string(model.top_k));
  }
  if (names.name == "Llama4ForConditionalGeneration") model.shared_experts = 1;
  if (!names.shared.empty()) model.shared_experts = config.count_or(names.shared, 0);
  if (names.shared_ffn.empty() || config.count_or(names.shared_ffn, 0) == 0) return;
  // One width for all shared experts together.
  const std::int32_t width = config.count(names.shared_ffn);
  model.shared_experts = std::max(model.shared_experts, 1);
  if (width % model.shared_experts != 0)
    config.required(names.shared_ffn)
        .fail("not the width of " + std::to_string(model.shared_experts) + " alike experts");
  model.shared_ffn = width / model.shared_experts;
  if (model.shared_ffn == model.expert_ffn) model.shared_ffn = 0;
}

// Mistral's params.json in the words of DeepSeek's configuration, which its models follow.
base::Json as_deepseek(const JsonNode& params) {
  const base::Json& from = params.json();
  base::Json to;
  const auto copy = [&](const base::Json& source, const char* old_key, const char* new_key) {
    if (source.contains(old_key)) to[new_key] = source.at(old_key);
  };
  const bool latent = from.contains("kv_lora_rank") && !from.at("kv_lora_rank").is_null();
  to["architectures"] = {latent ? "DeepseekV3ForCausalLM" : "Glm4MoeForCausalLM"};
  constexpr std::array<std::pair<const char*, const char*>, 13> kKeys{{{"dim", "hidden_size"},
                                                                       {"n_layers", "num_hidden_layers"},
                                                                       {"hidden_dim", "intermediate_size"},
                                                                       {"n_heads", "num_attention_heads"},
                                                                       {"n_kv_heads", "num_key_value_heads"},
                                                                       {"head_dim", "head_dim"},
                                                                       {"vocab_size", "vocab_size"},
                                                                       {"tied_embeddings", "tie_word_embeddings"},
                                                                       {"q_lora_rank", "q_lora_rank"},
                                                                       {"kv_lora_rank", "kv_lora_rank"},
                                                                       {"qk_nope_head_dim", "qk_nope_head_dim"},
                                                                       {"qk_rope_head_dim", "qk_rope_head_dim"},
                                                                       {"v_head_dim", "v_head_dim"}}};
  for (const auto& [old_key, new_key] : kKeys) copy(from, old_key, new_key);
  const base::Json& moe = from.at("moe");
  copy(moe, "num_experts", "n_routed_experts");
  copy(moe, "num_experts_per_tok", "num_experts_per_tok");
  copy(moe, "expert_hidden_dim", "moe_intermediate_size");
  copy(moe, "first_k_dense_replace", "first_k_dense_replace");
  copy(moe, "route_every_n", "moe_layer_freq");
  copy(moe, "num_shared_experts", "n_shared_experts");
  return to;
}

// Python writes numbers that JSON does not have; none of them is a field that is read here.
std::string without_infinities(std::string text) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"' && (i == 0 || text[i - 1] != '\\')) quoted = !quoted;
    if (quoted) continue;
    for (const std::string_view word : {"-Infinity", "Infinity", "NaN"})
      if (text.compare(i, word.size(), word) == 0) text.replace(i, word.size(), "null");
  }
  return text;
}

}  // namespace

std::vector<std::string> config_architectures() {
  std::vector<std::string> names;
  for (const Architecture& known : kArchitectures) names.emplace_back(known.name);
  return names;
}

bool is_config(const JsonNode& root) {
  if (!root.is_object()) return false;
  const base::Json& json = root.json();
  return json.contains("architectures") || json.contains("model_type") || json.contains("hidden_size") ||
         (json.contains("dim") && json.contains("moe"));
}

Model read_config(const JsonNode& root, const std::string& name) {
  if (root.is_object() && root.json().contains("dim") && root.json().contains("moe") &&
      !root.json().contains("architectures")) {
    if (!root.member("moe").is_object()) root.member("moe").fail("not an object", "the experts of params.json");
    const base::JsonDocument document{root.document().file, std::make_shared<base::Json>(as_deepseek(root)), {}};
    return read_config(JsonNode(document), name);
  }
  const Architecture& names = architecture_of(root);
  const bool nested = root.json().contains("text_config");
  const ConfigView config(root, nested ? root.member("text_config") : root, std::string(names.name));
  Model model;
  model.name = name;
  model.hidden = config.count("hidden_size");
  model.vocabulary = config.count("vocab_size");
  if (config.anywhere("tie_word_embeddings")) model.tied_embeddings = config.find("tie_word_embeddings").boolean();
  if (!names.dense_ffn.empty()) model.dense_ffn = config.count_or(names.dense_ffn, 0);
  if (config.has("mlp_hidden_act") && config.required("mlp_hidden_act").string() == "relu2") model.expert_matrices = 2;
  const bool has_experts = !names.experts.empty() && (names.layers != LayerRule::Pattern || config.has(names.experts));
  if (has_experts) read_experts(config, names, model);
  read_layers(config, names.layers, model);
  if (has_experts && model.moe_layers() == 0) config.decoder().fail("experts, but no layer that has them");
  if (model.dense_ffn_layers > 0 && model.dense_ffn == 0) config.required(names.dense_ffn);
  read_attention(config, names.attention, model);
  read_quantization(config, model);
  check_shape(root, model);
  return model;
}

base::JsonDocument load_config_text(const std::string& path) {
  return base::parse_json(without_infinities(base::read_file(path)), path);
}

Model load_config(const std::string& path) {
  const base::JsonDocument document = load_config_text(path);
  const std::filesystem::path file(path);
  std::string name = file.stem().string();
  if (name == "config" || name == "params") name = std::filesystem::absolute(file).parent_path().filename().string();
  constexpr std::string_view kSuffix = "_config";
  if (name.ends_with(kSuffix)) name.resize(name.size() - kSuffix.size());
  // Hugging Face folders are named OWNER--MODEL.
  if (const auto owner = name.find("--"); owner != std::string::npos) name.erase(0, owner + 2);
  return read_config(JsonNode(document), name);
}

}  // namespace moesim::workloads
