#include "workloads/model.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/base/input_error.h"
#include "tests/workloads/inputs.h"

namespace moesim::workloads {
namespace {

using tests::Contains;
using tests::input_error;
using tests::JsonText;
using tests::model_of;
using tests::model_preset;

TEST_CASE("every model preset reads, names its source and explains every field") {
  CHECK(model_presets() == std::vector<std::string>{"deepseek-r1", "deepseek-v2-lite", "deepseek-v3", "glm-4.5",
                                                    "gpt-oss-120b", "gpt-oss-20b", "kimi-k2", "llama-4-maverick",
                                                    "llama-4-scout", "minimax-m2", "mistral-large-3", "mixtral-8x22b",
                                                    "mixtral-8x7b", "olmoe", "qwen3-235b-a22b", "qwen3-30b-a3b"});
  for (const std::string& name : model_presets()) {
    CAPTURE(name);
    const Model model = model_preset(name);
    CHECK(model.moe_layers() > 0);
    const JsonText text{std::string(model_preset_text(name))};
    CHECK(text.node.member("source").string().starts_with("https://"));
    for (const auto& [key, value] : text.node.member("model").json().items())
      if (key != "name") CHECK(text.node.member("fields").json().contains(key));
  }
}

TEST_CASE("the DeepSeek-V3 preset has 671 billion weights, attention and embeddings aside") {
  // Experts and shared experts of 3 matrices [hidden, expert_ffn]: 58 layers * 257 * 3 * 7168 * 2048 = 656e9.
  const Model m = model_preset("deepseek-v3");
  const double experts =
      3.0 * m.hidden * m.expert_ffn * (m.experts + m.shared_experts) * static_cast<double>(m.moe_layers());
  CHECK(experts == doctest::Approx(656e9).epsilon(0.01));
  CHECK(m.top_k == 8);
  CHECK(m.groups == 8);
  CHECK(m.top_groups == 4);
  CHECK(m.weights == Dtype::Fp8Block);
}

TEST_CASE("fields of a preset can be overridden, one by one") {
  const Model m = model_of(R"({"preset": "deepseek-v3", "hidden": 7000, "weights": "bf16"})");
  const Model preset = model_preset("deepseek-v3");
  CHECK(m.hidden == 7000);
  CHECK(m.weights == Dtype::Bf16);
  CHECK(m.name == preset.name);
  CHECK(m.experts == preset.experts);
}

TEST_CASE("with another number of layers attention of one kind is in all of them, of several kinds it must be said") {
  const Model few = model_of(R"({"preset": "deepseek-v3", "layers": 5})");
  REQUIRE(few.attention.size() == 1);
  CHECK(few.attention.front().layers == 5);
  const std::string error = input_error([] { model_of(R"({"preset": "gpt-oss-120b", "layers": 4})"); });
  CHECK(error.find("/layers: the model has several kinds of attention") != std::string::npos);
}

TEST_CASE("a model printed as JSON reads back equal") {
  for (const std::string& name : model_presets()) {
    const base::Json json = to_json(model_preset(name));
    CHECK(to_json(model_of(json.dump())) == json);
  }
}

TEST_CASE("impossible shapes of models are refused, naming the field") {
  struct Bad {
    const char* change;
    const char* place;
    const char* problem;
  };
  for (const Bad& bad : std::vector<Bad>{
           {R"("top_k": 300, "groups": 1, "top_groups": 1)", "/top_k", "top_k 300 is above the 256 experts"},
           {R"("groups": 7)", "/groups", "7 groups do not divide 256 experts"},
           {R"("experts": 255)", "/experts", "8 groups do not divide 255 experts"},
           {R"("top_groups": 9)", "/top_groups", "top_groups 9 is above the 8 groups"},
           {R"("groups": 64, "top_groups": 1)", "/top_groups", "1 groups of 4 experts cannot serve top_k 8"},
           {R"("top_k": 129)", "/top_k", "4 groups of 32 experts cannot serve top_k 129"},
           {R"("dense_layers": 61)", "/dense_layers", "no MoE layer left"},
           {R"("layers": 3)", "/layers", "no MoE layer left"},
           {R"("hidden": 0)", "/hidden", "out of range"},
           {R"("experts": 65536)", "/experts", "out of range"},
           {R"("top_k": 0)", "/top_k", "out of range"},
           {R"("weights": "int3")", "/weights", "bf16, fp8, fp8_block, nvfp4, mxfp4"},
           {R"("hiden": 1)", "/", "did you mean \"hidden\""}}) {
    CAPTURE(bad.change);
    const std::string error =
        input_error([&] { model_of(std::string(R"({"preset": "deepseek-v3", )") + bad.change + "}"); });
    CHECK(error == Contains(std::string("test.json: ") + bad.place + ": "));
    CHECK(error == Contains(bad.problem));
  }
  CHECK(input_error([] { model_of(R"({"preset": "deepseek-v4"})"); }) == Contains("did you mean \"deepseek-v3\""));
  CHECK(input_error([] { model_of(R"({"name": "mine", "layers": 2})"); }) == Contains("missing key \"dense_layers\""));
}

TEST_CASE("a token on the wire costs its elements and their scales") {
  const Model m = model_preset("deepseek-v3");
  const auto bytes = [](const char* text, const Model& model) {
    return read_bytes_per_token(JsonText(text).node, model).value();
  };
  CHECK(bytes("\"bf16\"", m) == 2 * 7168);
  CHECK(bytes("\"fp8\"", m) == 7168 * (1 + 4.0 / 128));
  CHECK(bytes("\"nvfp4\"", m) == 7168 * (1 / 2.0 + 1 / 16.0));
  CHECK(bytes("\"7168 B\"", m) == 7168);
  CHECK(bytes("\"7 KiB\"", m) == 7168);
  Model odd = m;
  odd.hidden = 129;  // a block begun is a block paid
  CHECK(bytes("\"fp8\"", odd) == 129 + 2 * 4);
  CHECK(bytes("\"nvfp4\"", odd) == 65 + 9);

  for (const char* bad : {"\"fp16\"", "\"\"", "7168", "\"0 B\"", "\"7168\"", "null"}) {
    CAPTURE(bad);
    CHECK(input_error([&] { bytes(bad, m); }) == Contains("test.json: /: "));
  }
  CHECK(input_error([&] { bytes("\"fp16\"", m); }) == Contains("bf16, fp8, nvfp4"));
}

TEST_CASE("bits of a weight include its share of the block scales") {
  CHECK(bits_per_weight(Dtype::Bf16) == 16);
  CHECK(bits_per_weight(Dtype::Fp8) == 8);
  CHECK(bits_per_weight(Dtype::Fp8Block) * 128 * 128 == 8 * 128 * 128 + 32);
  CHECK(bits_per_weight(Dtype::Nvfp4) * 16 == 4 * 16 + 8);
}

}  // namespace
}  // namespace moesim::workloads
