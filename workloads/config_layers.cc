#include <algorithm>

#include <nlohmann/json.hpp>

#include "workloads/config_reader.h"

namespace moesim::workloads {

using base::JsonNode;

namespace {

constexpr std::int64_t kMost = 1 << 24;
constexpr std::int64_t kMostLayers = 10000;

bool present(const JsonNode& node, std::string_view key) {
  const auto found = node.json().find(std::string(key));
  return found != node.json().end() && !found->is_null();
}

// From which layers have experts to the model's fields.
void set_moe_layers(const std::vector<bool>& moe, Model& model) {
  model.layers = static_cast<std::int32_t>(moe.size());
  const auto first = std::find(moe.begin(), moe.end(), true);
  model.dense_layers = static_cast<std::int32_t>(first - moe.begin());
  model.moe_at.clear();
  if (std::all_of(first, moe.end(), [](bool m) { return m; })) return;
  for (std::size_t layer = 0; layer < moe.size(); ++layer)
    if (moe[layer]) model.moe_at.push_back(static_cast<std::int32_t>(layer));
}

std::vector<bool> first_dense(const ConfigView& config, std::int32_t layers) {
  std::vector<bool> moe(static_cast<std::size_t>(layers));
  if (config.has("mlp_layer_types")) {
    const JsonNode types = config.per_layer("mlp_layer_types", layers);
    for (std::size_t i = 0; i < moe.size(); ++i) moe[i] = types.at(i).one_of({"dense", "sparse"}) == 1;
    return moe;
  }
  if (config.has("moe_layer_freq") && config.required("moe_layer_freq").is_array()) {
    const JsonNode list = config.per_layer("moe_layer_freq", layers);
    for (std::size_t i = 0; i < moe.size(); ++i) moe[i] = list.at(i).integer(0, 1) == 1;
    return moe;
  }
  const std::int32_t dense = config.has("first_k_dense_replace") ? config.count("first_k_dense_replace", 0) : 0;
  const std::int32_t every = config.has("moe_layer_freq") ? config.count("moe_layer_freq") : 1;
  for (std::int32_t i = 0; i < layers; ++i) moe[static_cast<std::size_t>(i)] = i >= dense && i % every == 0;
  return moe;
}

std::vector<bool> sparse_step(const ConfigView& config, std::int32_t layers) {
  std::vector<bool> moe(static_cast<std::size_t>(layers));
  const std::int32_t step = config.has("decoder_sparse_step") ? config.count("decoder_sparse_step") : 1;
  for (std::int32_t i = 0; i < layers; ++i) moe[static_cast<std::size_t>(i)] = (i + 1) % step == 0;
  if (!config.has("mlp_only_layers")) return moe;
  const JsonNode dense = config.required("mlp_only_layers");
  for (std::size_t i = 0; i < dense.size(); ++i)
    moe[static_cast<std::size_t>(dense.at(i).integer(0, layers - 1))] = false;
  return moe;
}

}  // namespace

bool ConfigView::has(std::string_view key) const { return present(decoder_, key); }
bool ConfigView::root_has(std::string_view key) const { return present(root_, key); }

JsonNode ConfigView::find(std::string_view key) const {
  return has(key) ? decoder_.member(std::string(key)) : root_.member(std::string(key));
}

JsonNode ConfigView::required(std::string_view key) const {
  if (!decoder_.is_object()) decoder_.fail("not an object", "a model's configuration");
  if (!has(key)) decoder_.fail_key(key, "missing key \"" + std::string(key) + "\", which " + architecture_ + " needs");
  return decoder_.member(std::string(key));
}

std::int32_t ConfigView::count(std::string_view key, std::int32_t lowest) const {
  return static_cast<std::int32_t>(required(key).integer(lowest, kMost));
}

std::int32_t ConfigView::count_or(std::string_view key, std::int32_t otherwise) const {
  return has(key) ? count(key, 0) : otherwise;
}

bool ConfigView::flag(std::string_view key, bool otherwise) const {
  return has(key) ? required(key).boolean() : otherwise;
}

JsonNode ConfigView::per_layer(std::string_view key, std::int32_t layers) const {
  JsonNode list = required(key);
  if (list.size() != static_cast<std::size_t>(layers))
    throw base::InputError(list.source(), list.pointer(),
                           std::to_string(list.size()) + " entries for " + std::to_string(layers) + " layers");
  return list;
}

std::string layer_pattern(const ConfigView& config) {
  std::string pattern;
  if (config.has("hybrid_override_pattern")) {
    const JsonNode text = config.required("hybrid_override_pattern");
    pattern = text.string();
    const auto odd = pattern.find_first_not_of("M*-E");
    if (odd != std::string::npos)
      text.fail("a layer '" + pattern.substr(odd, 1) + "'", "M (mamba), * (attention), - (FFN) or E (experts)");
  } else {
    const JsonNode list = config.required("layers_block_type");
    for (std::size_t i = 0; i < list.size(); ++i)
      pattern += "M*-E"[list.at(i).one_of({"mamba", "attention", "mlp", "moe"})];
  }
  if (config.has("num_hidden_layers") && config.count("num_hidden_layers") != static_cast<std::int32_t>(pattern.size()))
    config.required("num_hidden_layers")
        .fail("a pattern of " + std::to_string(pattern.size()) + " layers does not agree");
  return pattern;
}

void read_layers(const ConfigView& config, LayerRule rule, Model& model) {
  if (rule == LayerRule::Pattern) {
    const std::string pattern = layer_pattern(config);
    std::vector<bool> moe;
    for (const char kind : pattern) moe.push_back(kind == 'E');
    set_moe_layers(moe, model);
    model.dense_ffn_layers = static_cast<std::int32_t>(std::count(pattern.begin(), pattern.end(), '-'));
    if (model.dense_ffn_layers == 0) model.dense_ffn = 0;
    if (model.experts == 0 && std::find(moe.begin(), moe.end(), true) != moe.end()) config.required("n_routed_experts");
    return;
  }
  const auto layers = static_cast<std::int32_t>(config.required("num_hidden_layers").integer(1, kMostLayers));
  std::vector<bool> moe(static_cast<std::size_t>(layers), rule == LayerRule::All);
  if (rule == LayerRule::FirstDense) moe = first_dense(config, layers);
  if (rule == LayerRule::SparseStep) moe = sparse_step(config, layers);
  if (rule == LayerRule::Interleaved) {
    const std::int32_t step = config.count("interleave_moe_layer_step");
    for (std::int32_t i = 0; i < layers; ++i) moe[static_cast<std::size_t>(i)] = (i + 1) % step == 0;
  }
  set_moe_layers(moe, model);
  model.dense_ffn_layers = static_cast<std::int32_t>(std::count(moe.begin(), moe.end(), false));
}

void read_quantization(const ConfigView& config, Model& model) {
  model.expert_weights = model.other_weights = WeightFormat::Bf16;
  if (config.anywhere("quantization_config")) {
    const JsonNode node = config.find("quantization_config");
    const base::Json& json = node.json();
    const auto text = [&](const char* key) {
      return node.is_object() && json.contains(key) && json.at(key).is_string() ? json.at(key).get<std::string>() : "";
    };
    const std::string method = text("quant_method");
    if (method == "fp8") {
      const bool blocks = json.contains("weight_block_size") && json.at("weight_block_size").is_array();
      model.expert_weights = model.other_weights = blocks ? WeightFormat::Fp8Block : WeightFormat::Fp8;
    } else if (method == "mxfp4") {
      model.expert_weights = WeightFormat::Mxfp4;  // of the experts alone, as gpt-oss does
    } else if (method == "compressed-tensors") {
      const std::string format = text("format");
      if (format == "mxfp4-pack-quantized")
        model.expert_weights = WeightFormat::Mxfp4;
      else if (format == "nvfp4-pack-quantized")
        model.expert_weights = WeightFormat::Nvfp4;
      else if (format == "float-quantized")
        model.expert_weights = WeightFormat::Fp8;
      else if (format == "pack-quantized")
        model.expert_weights = WeightFormat::Int4;
      else
        node.fail("compressed-tensors of format \"" + format + "\" are not modelled",
                  "mxfp4-pack-quantized, nvfp4-pack-quantized, float-quantized or pack-quantized");
      // Attention is left out of the quantization where its modules are ignored.
      const bool experts_only =
          json.contains("ignore") && json.at("ignore").dump().find("self_attn") != std::string::npos;
      if (!experts_only) model.other_weights = model.expert_weights;
    } else if (method == "modelopt" && (text("quant_algo") == "NVFP4" || text("quant_algo") == "FP8")) {
      model.expert_weights = model.other_weights =
          text("quant_algo") == "FP8" ? WeightFormat::Fp8 : WeightFormat::Nvfp4;
    } else if (method == "gptq" || method == "awq") {
      model.expert_weights = model.other_weights = WeightFormat::Int4;
    } else {
      node.fail("quantization \"" + method + "\" is not modelled",
                "quant_method fp8, mxfp4, compressed-tensors, modelopt (FP8 or NVFP4), gptq or awq");
    }
  }
  if (config.has("expert_dtype") && config.required("expert_dtype").string() == "fp4")
    model.expert_weights = WeightFormat::Mxfp4;
  model.weights = multiplied_in(model.expert_weights);
  const std::string stored = config.anywhere("torch_dtype") && config.find("torch_dtype").is_string()
                                 ? config.find("torch_dtype").string()
                                 : "";
  if (stored == "float32" && model.expert_weights == WeightFormat::Bf16)
    model.assumed.emplace_back("weights published in float32 are served in bf16");
}

}  // namespace moesim::workloads
