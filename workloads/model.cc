#include "workloads/model.h"

#include <array>

#include <nlohmann/json.hpp>

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

void read_fields(const JsonObject& object, bool all, Model& model) {
  if (all || object.has("name")) model.name = object.required("name").string();
  for (const Field& field : kFields)
    if (all || object.has(field.key))
      model.*field.member = static_cast<std::int32_t>(object.required(field.key).integer(field.lowest, field.highest));
  if (all || object.has("weights")) model.weights = read_dtype(object.required("weights"));
}

void check_shape(const JsonObject& object, const Model& m) {
  const auto fail = [&](std::initializer_list<const char*> keys, const std::string& problem) {
    for (const char* key : keys)
      if (const auto node = object.optional(key)) node->fail(problem);
    object.node().fail(problem);
  };
  const auto text = [](std::int32_t n) { return std::to_string(n); };
  if (m.dense_layers >= m.layers)
    fail({"dense_layers", "layers"},
         "no MoE layer left: " + text(m.dense_layers) + " dense layers of " + text(m.layers));
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

JsonObject as_model_object(const JsonNode& node) {
  return JsonObject(node, {"preset", "name", "layers", "dense_layers", "hidden", "experts", "top_k", "expert_ffn",
                           "shared_experts", "groups", "top_groups", "weights"});
}

double ceil_div(std::int32_t a, std::int32_t b) {
  const std::int32_t quotient = (a + b - 1) / b;
  return quotient;
}

}  // namespace

std::string_view to_string(Dtype dtype) {
  switch (dtype) {
    case Dtype::Bf16:
      return "bf16";
    case Dtype::Fp8:
      return "fp8";
    case Dtype::Fp8Block:
      return "fp8_block";
    case Dtype::Nvfp4:
      return "nvfp4";
  }
  return "";
}

Dtype read_dtype(const JsonNode& node) {
  constexpr std::array kOrder = {Dtype::Bf16, Dtype::Fp8, Dtype::Fp8Block, Dtype::Nvfp4};
  return kOrder[node.one_of({"bf16", "fp8", "fp8_block", "nvfp4"})];
}

double bits_per_weight(Dtype dtype) {
  switch (dtype) {
    case Dtype::Bf16:
      return 16;
    case Dtype::Fp8:
      return 8;
    case Dtype::Fp8Block:
      return 8 + 32.0 / (128 * 128);
    case Dtype::Nvfp4:
      return 4 + 8.0 / 16;
  }
  return 0;
}

Model read_model(const JsonNode& node) {
  const JsonObject object = as_model_object(node);
  Model model;
  if (const auto preset = object.optional("preset")) {
    const base::JsonDocument document = load_preset(PresetKind::Model, *preset);
    const JsonObject file(JsonNode(document), {"source", "model", "fields"});
    read_fields(as_model_object(file.required("model")), true, model);
  }
  read_fields(object, !object.has("preset"), model);
  check_shape(object, model);
  return model;
}

std::vector<std::string> model_presets() { return preset_names(PresetKind::Model); }

std::string_view model_preset_text(std::string_view name) { return preset_text(PresetKind::Model, name); }

base::Json to_json(const Model& model) {
  base::Json json = {{"name", model.name}};
  for (const Field& field : kFields) json[field.key] = model.*field.member;
  json["weights"] = to_string(model.weights);
  return json;
}

base::Bytes read_bytes_per_token(const JsonNode& node, const Model& model) {
  const std::string text = node.is_string() ? node.string() : "";
  if (text == "bf16") return base::Bytes(2.0 * model.hidden);
  if (text == "fp8") return base::Bytes(model.hidden + 4 * ceil_div(model.hidden, 128));
  if (text == "nvfp4") return base::Bytes(ceil_div(model.hidden, 2) + ceil_div(model.hidden, 16));
  if (text.empty() || text.front() < '0' || text.front() > '9')
    node.fail("not a format of tokens on the wire", "bf16, fp8, nvfp4 or bytes per token as a text such as \"7168 B\"");
  const base::Bytes bytes = node.bytes();
  if (bytes <= base::Bytes(0)) node.fail("a token of no bytes", "more than 0 B");
  return bytes;
}

}  // namespace moesim::workloads
