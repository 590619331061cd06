#include "workloads/layer_parts.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "tests/reference_data.h"
#include "tests/workloads/inputs.h"

namespace moesim::workloads {
namespace {

// "mfmf": one letter per layer, by the number of its kind of attention; '.' for none.
std::string attention_of(const Model& model, const std::string& letters) {
  std::string text;
  for (const LayerParts& parts : layer_parts(model))
    text += parts.attention < 0 ? '.' : letters.at(static_cast<std::size_t>(parts.attention));
  return text;
}

}  // namespace

TEST_CASE("two kinds of attention with as many layers alternate, and each kind is as often as the model has it") {
  CHECK(attention_of(tests::model_preset("gpt-oss-120b"), "fw").substr(0, 6) == "fwfwfw");
  const auto model = tests::model_of(R"({"preset": "qwen3-30b-a3b", "layers": 8, "attention": [
      {"kind": "gqa", "layers": 2, "heads": 8, "kv_heads": 1, "head_dim": 64},
      {"kind": "gqa", "layers": 6, "heads": 8, "kv_heads": 1, "head_dim": 64, "window": 128}]})");
  const std::string kinds = attention_of(model, "fw");
  CHECK(std::count(kinds.begin(), kinds.end(), 'f') == 2);
  CHECK(std::count(kinds.begin(), kinds.end(), 'w') == 6);
  CHECK(std::count(kinds.begin(), kinds.begin() + 4, 'f') == 1);  // one in each half
}

TEST_CASE("every preset has its attention, experts and dense networks in as many layers as it says") {
  for (const std::string& name : model_presets()) {
    CAPTURE(name);
    const Model model = tests::model_preset(name);
    const auto parts = layer_parts(model);
    REQUIRE(parts.size() == static_cast<std::size_t>(model.layers));
    std::int32_t moe = 0, dense = 0;
    std::vector<std::int32_t> kinds(model.attention.size());
    for (const LayerParts& own : parts) {
      if (own.moe >= 0) CHECK(own.moe == moe++);
      dense += own.dense_ffn ? 1 : 0;
      CHECK((own.moe >= 0) != own.dense_ffn);
      REQUIRE(own.attention >= 0);
      ++kinds[static_cast<std::size_t>(own.attention)];
    }
    CHECK(moe == model.moe_layers());
    CHECK(dense == model.dense_ffn_layers);
    for (std::size_t k = 0; k < kinds.size(); ++k) CHECK(kinds[k] == model.attention[k].layers);
  }
}

TEST_CASE("layers of one part each have attention only where they have neither experts nor a dense network") {
  const auto model = tests::model_of(R"({"preset": "qwen3-30b-a3b", "layers": 6, "moe_at": [1, 3], "dense_ffn": 64,
      "dense_ffn_layers": 1, "attention": [
      {"kind": "gqa", "layers": 1, "heads": 8, "kv_heads": 1, "head_dim": 64},
      {"kind": "mamba", "layers": 2, "heads": 8, "kv_heads": 1, "head_dim": 64, "state_dim": 16}]})");
  std::int32_t both = 0, none = 0;
  for (const LayerParts& own : layer_parts(model)) {
    const int has = (own.moe >= 0 ? 1 : 0) + (own.dense_ffn ? 1 : 0) + (own.attention >= 0 ? 1 : 0);
    both += has > 1 ? 1 : 0;
    none += has == 0 ? 1 : 0;
  }
  CHECK(both == 0);
  CHECK(none == 0);
}

TEST_CASE("Nemotron's experts have no attention, and its Mamba layers no experts") {
  const auto path = tests::reference_data("hf_configs/nvidia--NVIDIA-Nemotron-3-Nano-30B-A3B-BF16_config.json");
  if (!path) return;
  const Model model = load_model_file(*path);
  std::int32_t attention = 0;
  for (const LayerParts& own : layer_parts(model)) {
    CHECK((own.moe >= 0) != (own.attention >= 0));
    attention += own.attention >= 0 ? 1 : 0;
  }
  CHECK(attention == model.layers - model.moe_layers());
}

}  // namespace moesim::workloads
