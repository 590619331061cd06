#include <algorithm>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "workloads/config_reader.h"

namespace moesim::workloads {
namespace {

using base::JsonNode;

std::int32_t count_of(const JsonNode& object, const char* key) {
  if (!object.is_object() || !object.json().contains(key))
    object.fail_key(key, "missing key \"" + std::string(key) + "\"");
  return static_cast<std::int32_t>(object.member(key).integer(1, 1 << 24));
}

void add(Model& model, Attention attention, std::ptrdiff_t layers) {
  if (layers == 0) return;
  attention.layers = static_cast<std::int32_t>(layers);
  model.attention.push_back(attention);
}

void assume(Model& model, const std::string& text) {
  if (std::find(model.assumed.begin(), model.assumed.end(), text) == model.assumed.end()) model.assumed.push_back(text);
}

constexpr const char* kLinear = "linear attention: by its weights and the size of its state";
constexpr const char* kMamba = "mamba layers: by their weights and the size of their state";
constexpr const char* kSparse =
    "sparse attention: by the weights and keys of its index; which tokens it picks is not modelled";

Attention grouped(const ConfigView& config) {
  Attention a;
  a.heads = config.count("num_attention_heads");
  a.kv_heads = config.count_or("num_key_value_heads", a.heads);
  a.head_dim = config.has("head_dim")             ? config.count("head_dim")
               : config.has("attention_head_dim") ? config.count("attention_head_dim")
                                                  : config.count("hidden_size") / a.heads;
  a.output_gate = config.flag("attn_output_gate", false);
  if (a.heads % std::max(a.kv_heads, 1) != 0)
    config.required("num_key_value_heads").fail("does not divide " + std::to_string(a.heads) + " attention heads");
  return a;
}

Attention delta_rule(const ConfigView& config) {
  Attention a;
  a.kind = AttentionKind::Linear;
  a.heads = config.count("linear_num_value_heads");
  a.kv_heads = config.count("linear_num_key_heads");
  a.head_dim = config.count("linear_key_head_dim");
  a.v_head_dim = config.count("linear_value_head_dim");
  a.convolution = config.count("linear_conv_kernel_dim");
  a.output_gate = true;
  return a;
}

// Layers by their kind in layer_types, refused by name if unknown. Without the list all are full attention.
std::map<std::string, int> layer_types(const ConfigView& config, std::int32_t layers,
                                       std::initializer_list<std::string_view> known) {
  std::map<std::string, int> counts;
  if (!config.has("layer_types")) return {{"full_attention", layers}};
  const JsonNode list = config.per_layer("layer_types", layers);
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string kind = list.at(i).string();
    if (std::find(known.begin(), known.end(), kind) == known.end()) {
      list.at(i).fail("layers of \"" + kind + "\" are not modelled for " + config.architecture());
    }
    ++counts[kind];
  }
  return counts;
}

void read_grouped(const ConfigView& config, Model& model) {
  Attention full = grouped(config);
  if (!config.has("layer_types") && config.has("sliding_window") && config.flag("use_sliding_window", true))
    full.window = config.count("sliding_window");
  auto types = layer_types(config, model.layers, {"full_attention", "sliding_attention", "linear_attention"});
  add(model, full, types["full_attention"]);
  if (types["sliding_attention"] > 0) {
    Attention sliding = full;
    sliding.window = config.count("sliding_window");
    add(model, sliding, types["sliding_attention"]);
  }
  if (types["linear_attention"] > 0) {
    add(model, delta_rule(config), types["linear_attention"]);
    assume(model, kLinear);
  }
}

Attention latent(const ConfigView& config) {
  Attention a;
  a.kind = AttentionKind::Mla;
  a.heads = config.count("num_attention_heads");
  a.head_dim = config.count("qk_nope_head_dim");
  a.v_head_dim = config.count("v_head_dim");
  a.rope_dim = config.count("qk_rope_head_dim");
  a.kv_rank = config.count("kv_lora_rank");
  a.q_rank = config.count_or("q_lora_rank", 0);
  return a;
}

void read_latent(const ConfigView& config, Model& model) {
  const Attention a = latent(config);
  if (!config.has("index_n_heads")) return add(model, a, model.layers);
  assume(model, kSparse);
  Attention indexed = a;
  indexed.index_heads = config.count("index_n_heads");
  indexed.index_dim = config.count("index_head_dim");
  indexed.index_top = config.count("index_topk");
  if (!config.has("indexer_types")) return add(model, indexed, model.layers);
  // Layers may use the index of a layer before them.
  const JsonNode types = config.per_layer("indexer_types", model.layers);
  int own = 0;
  for (std::size_t i = 0; i < types.size(); ++i) own += types.at(i).one_of({"shared", "full"}) == 1 ? 1 : 0;
  add(model, indexed, own);
  Attention sharing = a;
  sharing.index_top = indexed.index_top;
  add(model, sharing, model.layers - own);
}

void read_kimi3(const ConfigView& config, Model& model) {
  const JsonNode linear = config.required("linear_attn_config");
  std::set<std::int64_t> delta_layers;
  std::set<std::int64_t> full_layers;
  const auto collect = [&](const char* key, std::set<std::int64_t>& layers) {
    if (!linear.is_object() || !linear.json().contains(key))
      linear.fail_key(key, "missing the list \"" + std::string(key) + "\"");
    const JsonNode list = linear.member(key);
    for (std::size_t i = 0; i < list.size(); ++i) layers.insert(list.at(i).integer(1, model.layers));
  };
  collect("kda_layers", delta_layers);
  collect("full_attn_layers", full_layers);
  if (static_cast<std::int32_t>(delta_layers.size() + full_layers.size()) != model.layers)
    throw base::InputError(
        linear.source(), linear.pointer(),
        "kda_layers and full_attn_layers do not make up " + std::to_string(model.layers) + " layers");
  Attention full = latent(config);
  full.output_gate = config.flag("mla_use_output_gate", false);
  add(model, full, static_cast<std::ptrdiff_t>(full_layers.size()));
  Attention delta;
  delta.kind = AttentionKind::Linear;
  delta.heads = delta.kv_heads = count_of(linear, "num_heads");
  delta.head_dim = count_of(linear, "head_dim");
  delta.convolution = count_of(linear, "short_conv_kernel_size");
  delta.output_gate = true;
  delta.low_rank_gate = true;
  add(model, delta, static_cast<std::ptrdiff_t>(delta_layers.size()));
  assume(model, kLinear);
}

void read_deepseek4(const ConfigView& config, Model& model) {
  Attention a;
  a.kind = AttentionKind::Compressed;
  a.heads = config.count("num_attention_heads");
  a.kv_heads = 1;
  a.head_dim = config.count("head_dim");
  a.q_rank = config.count("q_lora_rank");
  a.o_rank = config.count("o_lora_rank");
  a.o_groups = config.count("o_groups");
  a.window = config.count("sliding_window");
  // One entry per layer, and further ones for the layers of multi-token prediction.
  const JsonNode ratios = config.required("compress_ratios");
  if (ratios.size() < static_cast<std::size_t>(model.layers))
    throw base::InputError(ratios.source(), ratios.pointer(),
                           std::to_string(ratios.size()) + " entries for " + std::to_string(model.layers) + " layers");
  std::map<std::int64_t, int> layers;
  for (std::int32_t i = 0; i < model.layers; ++i) ++layers[ratios.at(static_cast<std::size_t>(i)).integer(0, 1 << 20)];
  constexpr std::int64_t kIndexed = 4;  // the finest compression is the one with an index
  for (const auto& [ratio, number] : layers) {
    Attention group = a;
    group.compression = static_cast<std::int32_t>(ratio);
    if (ratio == kIndexed) {
      group.index_heads = config.count("index_n_heads");
      group.index_dim = config.count("index_head_dim");
      group.index_top = config.count("index_topk");
    }
    add(model, group, number);
  }
  assume(model, "compressed sparse attention: by its weights and the size of its cache");
  assume(model, "hyper-connections and the hash routing of the first layers are not modelled");
}

void read_gemma4(const ConfigView& config, Model& model) {
  auto types = layer_types(config, model.layers, {"full_attention", "sliding_attention"});
  Attention sliding = grouped(config);
  sliding.window = config.count("sliding_window");
  add(model, sliding, types["sliding_attention"]);
  Attention full = grouped(config);
  full.kv_heads = config.count_or("num_global_key_value_heads", full.kv_heads);
  full.head_dim = config.count_or("global_head_dim", full.head_dim);
  full.shared_kv = config.flag("attention_k_eq_v", false);
  add(model, full, types["full_attention"]);
}

void read_nemotron(const ConfigView& config, Model& model) {
  const std::string pattern = layer_pattern(config);
  const auto layers = [&](char kind) { return std::count(pattern.begin(), pattern.end(), kind); };
  add(model, grouped(config), layers('*'));
  if (layers('M') == 0) return;
  Attention mamba;
  mamba.kind = AttentionKind::Mamba;
  mamba.heads = config.count("mamba_num_heads");
  mamba.head_dim = config.count("mamba_head_dim");
  mamba.kv_heads = config.count("n_groups");
  mamba.state_dim = config.count("ssm_state_size");
  mamba.convolution = config.count("conv_kernel");
  add(model, mamba, layers('M'));
  assume(model, kMamba);
}

void read_mimo2(const ConfigView& config, Model& model) {
  const JsonNode pattern = config.per_layer("hybrid_layer_pattern", model.layers);
  int sliding_layers = 0;
  for (std::size_t i = 0; i < pattern.size(); ++i) sliding_layers += pattern.at(i).integer(0, 1) == 1 ? 1 : 0;
  Attention full = grouped(config);
  full.v_head_dim = config.count("v_head_dim");
  add(model, full, model.layers - sliding_layers);
  Attention sliding;
  sliding.heads = config.count("swa_num_attention_heads");
  sliding.kv_heads = config.count("swa_num_key_value_heads");
  sliding.head_dim = config.count("swa_head_dim");
  sliding.v_head_dim = config.count("swa_v_head_dim");
  sliding.window = config.count("sliding_window");
  add(model, sliding, sliding_layers);
}

void read_llama4(const ConfigView& config, Model& model) {
  const Attention full = grouped(config);
  if (!config.has("attention_chunk_size")) return add(model, full, model.layers);
  constexpr std::int32_t kFullEvery = 4;
  const std::int32_t full_layers = model.layers / kFullEvery;
  add(model, full, full_layers);
  Attention chunked = full;
  chunked.window = config.count("attention_chunk_size");
  add(model, chunked, model.layers - full_layers);
  assume(model, "every fourth layer attends to all tokens, the others to a chunk");
}

void read_minimax(const ConfigView& config, Model& model) {
  const Attention full = grouped(config);
  if (config.has("attn_type_list")) {
    const JsonNode types = config.per_layer("attn_type_list", model.layers);
    for (std::size_t i = 0; i < types.size(); ++i)
      if (types.at(i).integer(0, 1) == 0)
        types.at(i).fail("lightning attention is not modelled", "1, softmax attention");
  }
  if (!config.has("sparse_attention_config")) return add(model, full, model.layers);
  const JsonNode sparse = config.required("sparse_attention_config");
  if (!sparse.is_object() || !sparse.json().contains("sparse_attention_freq"))
    sparse.fail_key("sparse_attention_freq", "missing key \"sparse_attention_freq\"");
  const JsonNode layers = sparse.member("sparse_attention_freq");
  if (layers.size() != static_cast<std::size_t>(model.layers))
    throw base::InputError(layers.source(), layers.pointer(),
                           std::to_string(layers.size()) + " entries for " + std::to_string(model.layers) + " layers");
  int indexed_layers = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) indexed_layers += layers.at(i).integer(0, 1) == 1 ? 1 : 0;
  add(model, full, model.layers - indexed_layers);
  Attention indexed = full;
  indexed.index_heads = count_of(sparse, "sparse_num_index_heads");
  indexed.index_dim = count_of(sparse, "sparse_index_dim");
  indexed.index_top = count_of(sparse, "sparse_topk_blocks") * count_of(sparse, "sparse_block_size");
  add(model, indexed, indexed_layers);
  assume(model, kSparse);
}

}  // namespace

void read_attention(const ConfigView& config, AttentionRule rule, Model& model) {
  switch (rule) {
    case AttentionRule::Grouped:
      return read_grouped(config, model);
    case AttentionRule::Latent:
      return read_latent(config, model);
    case AttentionRule::Kimi3:
      return read_kimi3(config, model);
    case AttentionRule::DeepSeek4:
      return read_deepseek4(config, model);
    case AttentionRule::Gemma4:
      return read_gemma4(config, model);
    case AttentionRule::Nemotron:
      return read_nemotron(config, model);
    case AttentionRule::Mimo2:
      return read_mimo2(config, model);
    case AttentionRule::Llama4:
      return read_llama4(config, model);
    case AttentionRule::MiniMax:
      return read_minimax(config, model);
  }
}

}  // namespace moesim::workloads
