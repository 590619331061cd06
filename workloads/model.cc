#include "workloads/model.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "workloads/config.h"
#include "workloads/presets.h"

namespace moesim::workloads {
namespace {

using base::JsonNode;
using base::JsonObject;

struct Field {
  const char* key;
  std::int32_t Model::*member;
  std::int64_t lowest, highest;
};

constexpr std::int64_t kMaxExperts = 65535;  // expert ids are 16-bit, one value is kept for padding
constexpr std::array<Field, 9> kFields = {{{"layers", &Model::layers, 1, 10000},
                                           {"dense_layers", &Model::dense_layers, 0, 10000},
                                           {"hidden", &Model::hidden, 1, 1 << 20},
                                           {"experts", &Model::experts, 1, kMaxExperts},
                                           {"top_k", &Model::top_k, 1, kMaxExperts},
                                           {"expert_ffn", &Model::expert_ffn, 1, 1 << 20},
                                           {"shared_experts", &Model::shared_experts, 0, 1000},
                                           {"groups", &Model::groups, 1, kMaxExperts},
                                           {"top_groups", &Model::top_groups, 1, kMaxExperts}}};

struct OptionalField {
  const char* key;
  std::int32_t Model::*member;
};
constexpr std::array<OptionalField, 6> kOptional{{{"latent_width", &Model::latent_width},
                                                  {"expert_matrices", &Model::expert_matrices},
                                                  {"shared_ffn", &Model::shared_ffn},
                                                  {"dense_ffn", &Model::dense_ffn},
                                                  {"dense_ffn_layers", &Model::dense_ffn_layers},
                                                  {"vocabulary", &Model::vocabulary}}};

// "every layer in this list has experts", ascending.
std::vector<std::int32_t> read_moe_at(const JsonNode& node, std::int32_t layers) {
  std::vector<std::int32_t> list;
  for (std::size_t i = 0; i < node.size(); ++i) {
    const std::int64_t lowest = list.empty() ? 0 : list.back() + 1;
    list.push_back(static_cast<std::int32_t>(node.at(i).integer(lowest, layers - 1)));
  }
  return list;
}

void read_fields(const JsonObject& object, bool all, Model& model) {
  if (all || object.has("name")) model.name = object.required("name").string();
  for (const Field& field : kFields)
    if (all || object.has(field.key))
      model.*field.member = static_cast<std::int32_t>(object.required(field.key).integer(field.lowest, field.highest));
  for (const OptionalField& field : kOptional)
    model.*field.member =
        object.get(field.key, model.*field.member, [](const JsonNode& n) { return n.integer(0, 1 << 20); });
  if (const auto list = object.optional("moe_at")) model.moe_at = read_moe_at(*list, model.layers);
  if (all || object.has("weights")) {
    model.expert_weights = read_weight_format(object.required("weights"));
    model.other_weights = model.expert_weights;
    model.weights = multiplied_in(model.expert_weights);
  }
  if (const auto other = object.optional("other_weights")) model.other_weights = read_weight_format(*other);
  model.tied_embeddings =
      object.get("tied_embeddings", model.tied_embeddings, [](const JsonNode& n) { return n.boolean(); });
  if (const auto list = object.optional("attention")) {
    model.attention.clear();
    for (std::size_t i = 0; i < list->size(); ++i) model.attention.push_back(read_attention(list->at(i)));
  }
  if (const auto list = object.optional("assumed")) {
    model.assumed.clear();
    for (std::size_t i = 0; i < list->size(); ++i) model.assumed.push_back(list->at(i).string());
  }
}

JsonObject as_model_object(const JsonNode& node) {
  return JsonObject(node, {"preset",       "config",          "name",       "layers",        "dense_layers",
                           "hidden",       "experts",         "top_k",      "expert_ffn",    "shared_experts",
                           "groups",       "top_groups",      "weights",    "other_weights", "moe_at",
                           "latent_width", "expert_matrices", "shared_ffn", "dense_ffn",     "dense_ffn_layers",
                           "vocabulary",   "tied_embeddings", "attention",  "assumed"});
}

double ceil_div(std::int32_t a, std::int32_t b) {
  const std::int32_t quotient = (a + b - 1) / b;
  return quotient;
}

}  // namespace

std::int32_t Model::moe_index(std::int32_t layer) const {
  if (moe_at.empty()) return moe_layers() > 0 && layer >= dense_layers && layer < layers ? layer - dense_layers : -1;
  const auto found = std::lower_bound(moe_at.begin(), moe_at.end(), layer);
  return found != moe_at.end() && *found == layer ? static_cast<std::int32_t>(found - moe_at.begin()) : -1;
}

void check_shape(const JsonNode& node, const Model& m) {
  const auto fail = [&](std::initializer_list<const char*> keys, const std::string& problem) {
    for (const char* key : keys)
      if (node.is_object() && node.json().contains(key)) node.member(key).fail(problem);
    node.fail(problem);
  };
  const auto text = [](std::int32_t n) { return std::to_string(n); };
  if (m.experts == 0) return;
  if (m.moe_layers() <= 0)
    fail({"dense_layers", "layers"},
         "no MoE layer left: " + text(m.dense_layers) + " dense layers of " + text(m.layers));
  if (!m.moe_at.empty() && m.moe_at.back() >= m.layers)
    fail({"layers", "moe_at"}, "experts in layer " + text(m.moe_at.back()) + " of " + text(m.layers) + " layers");
  if (m.top_k > m.experts)
    fail({"top_k", "experts"}, "top_k " + text(m.top_k) + " is above the " + text(m.experts) + " experts");
  if (m.experts % m.groups != 0)
    fail({"groups", "experts"}, text(m.groups) + " groups do not divide " + text(m.experts) + " experts");
  if (m.top_groups > m.groups)
    fail({"top_groups", "groups"}, "top_groups " + text(m.top_groups) + " is above the " + text(m.groups) + " groups");
  if (m.top_groups * (m.experts / m.groups) < m.top_k)
    fail({"top_groups", "groups", "top_k", "experts"}, text(m.top_groups) + " groups of " + text(m.experts / m.groups) +
                                                           " experts cannot serve top_k " + text(m.top_k));
}

namespace {

// A preset or config with another number of layers.
void attend_all(const JsonObject& object, Model& model) {
  if (model.attention.size() > 1)
    object.required("layers").fail("the model has several kinds of attention: which of them is in how many of these",
                                   "\"attention\" beside it, with the layers of each kind");
  for (Attention& kind : model.attention) kind.layers = model.layers;
}

}  // namespace

Model read_any_model(const JsonNode& node) {
  const JsonObject object = as_model_object(node);
  Model model;
  if (const auto preset = object.optional("preset")) {
    if (const auto config = object.optional("config")) config->fail("beside \"preset\"", "one of the two");
    const base::JsonDocument document = load_preset(PresetKind::Model, *preset);
    const JsonObject file(JsonNode(document), {"source", "model", "fields"});
    read_fields(as_model_object(file.required("model")), true, model);
  } else if (const auto config = object.optional("config")) {
    const std::filesystem::path folder = std::filesystem::path(config->document().file).parent_path();
    model = load_config((folder / config->string()).string());
  }
  const std::int32_t layers = model.layers;
  read_fields(object, !object.has("preset") && !object.has("config"), model);
  if (layers > 0 && model.layers != layers && !object.has("attention")) attend_all(object, model);
  check_shape(node, model);
  return model;
}

Model read_model(const JsonNode& node) {
  Model model = read_any_model(node);
  if (model.moe_layers() == 0)
    node.fail(model.name + " is a dense model: it has no MoE layers", "a model with experts");
  return model;
}

Model load_model_file(const std::string& path) {
  const base::JsonDocument document = load_config_text(path);
  const JsonNode root(document);
  if (is_config(root)) return load_config(path);
  if (root.is_object() && root.json().contains("schema") && root.json().contains("model"))
    return read_any_model(root.member("model"));
  return read_any_model(root);
}

std::vector<std::string> model_presets() { return preset_names(PresetKind::Model); }

std::string_view model_preset_text(std::string_view name) { return preset_text(PresetKind::Model, name); }

base::Json to_json(const Model& model) {
  base::Json json = {{"name", model.name}};
  for (const Field& field : kFields) json[field.key] = model.*field.member;
  json["weights"] = to_string(model.expert_weights);
  json["other_weights"] = to_string(model.other_weights);
  if (!model.moe_at.empty()) json["moe_at"] = model.moe_at;
  for (const OptionalField& field : kOptional) json[field.key] = model.*field.member;
  json["tied_embeddings"] = model.tied_embeddings;
  json["attention"] = base::Json::array();
  for (const Attention& attention : model.attention) json["attention"].push_back(to_json(attention));
  if (!model.assumed.empty()) json["assumed"] = model.assumed;
  return json;
}

base::Bytes read_bytes_per_token(const JsonNode& node, const Model& model) {
  const std::string text = node.is_string() ? node.string() : "";
  const std::int32_t width = model.dispatch_width();
  if (text == "bf16") return base::Bytes(2.0 * width);
  if (text == "fp8") return base::Bytes(width + 4 * ceil_div(width, 128));
  if (text == "nvfp4") return base::Bytes(ceil_div(width, 2) + ceil_div(width, 16));
  if (text.empty() || text.front() < '0' || text.front() > '9')
    node.fail("not a format of tokens on the wire", "bf16, fp8, nvfp4 or bytes per token as a text such as \"7168 B\"");
  const base::Bytes bytes = node.bytes();
  if (bytes <= base::Bytes(0)) node.fail("a token of no bytes", "more than 0 B");
  return bytes;
}

}  // namespace moesim::workloads
