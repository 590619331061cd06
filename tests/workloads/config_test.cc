#include "workloads/config.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/base/input_error.h"
#include "tests/reference_data.h"
#include "tests/workloads/inputs.h"

namespace moesim::workloads {
namespace {

using tests::Contains;
using tests::input_error;
using tests::JsonText;

// The shape of each published model, written down from its model card and configuration: layers, those with experts,
// experts, top-k, FFN of an expert, elements of a token that travel to the experts, hidden size, shared experts.
struct Shape {
  const char* file;
  std::int32_t layers, moe_layers, experts, top_k, expert_ffn, dispatch_width, hidden, shared;
};
constexpr std::int32_t kDense = 0;
const std::vector<Shape>& shapes() {
  static const std::vector<Shape> list{
      {"MiniMaxAI--MiniMax-M2.5_config", 62, 62, 256, 8, 1536, 3072, 3072, 0},
      {"MiniMaxAI--MiniMax-M2.7_config", 62, 62, 256, 8, 1536, 3072, 3072, 0},
      {"MiniMaxAI--MiniMax-M3_config", 60, 57, 128, 4, 3072, 6144, 6144, 1},
      {"Qwen--Qwen3-235B-A22B_config", 94, 94, 128, 8, 1536, 4096, 4096, 0},
      {"Qwen--Qwen3-30B-A3B_config", 48, 48, 128, 8, 768, 2048, 2048, 0},
      {"Qwen--Qwen3-Coder-480B-A35B-Instruct_config", 62, 62, 160, 8, 2560, 6144, 6144, 0},
      {"Qwen--Qwen3-VL-235B-A22B-Instruct_config", 94, 94, 128, 8, 1536, 4096, 4096, 0},
      {"Qwen--Qwen3-VL-2B-Instruct_config", 28, kDense, 0, 0, 0, 0, 2048, 0},
      {"Qwen--Qwen3-VL-30B-A3B-Instruct_config", 48, 48, 128, 8, 768, 2048, 2048, 0},
      {"Qwen--Qwen3-VL-32B-Instruct_config", 64, kDense, 0, 0, 0, 0, 5120, 0},
      {"Qwen--Qwen3-VL-32B-Thinking_config", 64, kDense, 0, 0, 0, 0, 5120, 0},
      {"Qwen--Qwen3-VL-4B-Instruct_config", 36, kDense, 0, 0, 0, 0, 2560, 0},
      {"Qwen--Qwen3-VL-8B-Instruct_config", 36, kDense, 0, 0, 0, 0, 4096, 0},
      {"Qwen--Qwen3.5-122B-A10B_config", 48, 48, 256, 8, 1024, 3072, 3072, 1},
      {"Qwen--Qwen3.5-27B_config", 64, kDense, 0, 0, 0, 0, 5120, 0},
      {"Qwen--Qwen3.5-35B-A3B_config", 40, 40, 256, 8, 512, 2048, 2048, 1},
      {"Qwen--Qwen3.5-397B-A17B_config", 60, 60, 512, 10, 1024, 4096, 4096, 1},
      {"XiaomiMiMo--MiMo-7B-Base_config", 36, kDense, 0, 0, 0, 0, 4096, 0},
      {"XiaomiMiMo--MiMo-V2-Flash_config", 48, 47, 256, 8, 2048, 4096, 4096, 0},
      {"deepseek-ai--DeepSeek-R1_config", 61, 58, 256, 8, 2048, 7168, 7168, 1},
      {"deepseek-ai--DeepSeek-V3.2_config", 61, 58, 256, 8, 2048, 7168, 7168, 1},
      {"deepseek-ai--DeepSeek-V3_config", 61, 58, 256, 8, 2048, 7168, 7168, 1},
      {"deepseek-ai--DeepSeek-V4-Flash_config", 43, 43, 256, 6, 2048, 4096, 4096, 1},
      {"deepseek-ai--DeepSeek-V4-Pro_config", 61, 61, 384, 6, 3072, 7168, 7168, 1},
      // Its dense FFN, beside the experts of every layer, is taken as a shared expert.
      {"google--gemma-4-26B-A4B_config", 30, 30, 128, 8, 704, 2816, 2816, 1},
      {"meta-llama--Llama-4-Maverick-17B-128E-Instruct_config", 48, 24, 128, 1, 8192, 5120, 5120, 1},
      {"meta-llama--Llama-4-Scout-17B-16E-Instruct_config", 48, 48, 16, 1, 8192, 5120, 5120, 1},
      {"mistralai--Mixtral-8x22B-v0.1_config", 56, 56, 8, 2, 16384, 6144, 6144, 0},
      {"mistralai--Mixtral-8x7B-v0.1_config", 32, 32, 8, 2, 14336, 4096, 4096, 0},
      {"moe-lrc--deepseek2", 27, 26, 64, 6, 1408, 2048, 2048, 2},
      {"moe-lrc--olmoe", 16, 16, 64, 8, 1024, 2048, 2048, 0},
      {"moe-lrc--qwen2", 28, 28, 64, 8, 2560, 3584, 3584, 1},
      {"moonshotai--Kimi-K2-Instruct_config", 61, 60, 384, 8, 2048, 7168, 7168, 1},
      {"moonshotai--Kimi-K2.5_config", 61, 60, 384, 8, 2048, 7168, 7168, 1},
      {"moonshotai--Kimi-K3_config", 93, 92, 896, 16, 3072, 3584, 7168, 2},
      // 52 blocks: 23 mamba, 23 of experts and 6 of attention.
      {"nvidia--NVIDIA-Nemotron-3-Nano-30B-A3B-BF16_config", 52, 23, 128, 6, 1856, 2688, 2688, 1},
      {"nvidia--NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16_config", 108, 48, 512, 22, 5120, 2048, 8192, 1},
      {"nvidia--Nemotron-H-56B-Base-8K_config", 118, kDense, 0, 0, 0, 0, 8192, 0},
      {"openai--gpt-oss-120b_config", 36, 36, 128, 4, 2880, 2880, 2880, 0},
      {"openai--gpt-oss-20b_config", 24, 24, 32, 4, 2880, 2880, 2880, 0},
      {"stepfun-ai--Step-3.7-Flash_config", 45, 42, 288, 8, 1280, 4096, 4096, 1},
      {"zai-org--GLM-5.1_config", 78, 75, 256, 8, 2048, 6144, 6144, 1},
      {"zai-org--GLM-5.2_config", 78, 75, 256, 8, 2048, 6144, 6144, 1},
      {"zai-org--GLM-5_config", 78, 75, 256, 8, 2048, 6144, 6144, 1},
  };
  return list;
}

TEST_CASE("44 published configurations load with the shape of their model; 8 of them are dense") {
  const auto folder = tests::reference_data("hf_configs");
  if (!folder) return;
  int dense = 0;
  for (const Shape& shape : shapes()) {
    CAPTURE(std::string(shape.file));
    const Model m = load_config(*folder + "/" + shape.file + ".json");
    CHECK(m.layers == shape.layers);
    CHECK(m.hidden == shape.hidden);
    CHECK(m.moe_layers() == shape.moe_layers);
    CHECK(m.experts == shape.experts);
    CHECK(m.top_k == shape.top_k);
    CHECK(m.shared_experts == shape.shared);
    std::int32_t attention = 0;
    for (const Attention& group : m.attention) attention += group.layers;
    const bool blocks = m.name.find("Nemotron") != std::string::npos;  // where attention is a layer of its own
    CHECK((blocks ? attention + m.moe_layers() + m.dense_ffn_layers : attention) == m.layers);
    if (shape.moe_layers == kDense) {
      ++dense;
      CHECK(input_error([&] {
              read_model(JsonText(R"({"config": ")" + *folder + "/" + shape.file + R"(.json"})").node);
            }) == Contains("it has no MoE layers"));
      continue;
    }
    CHECK(m.expert_ffn == shape.expert_ffn);
    CHECK(m.dispatch_width() == shape.dispatch_width);
    if (!blocks) CHECK(m.moe_layers() + m.dense_ffn_layers == m.layers);
    // What it prints reads back as the same.
    CHECK(to_json(tests::model_of(to_json(m).dump())) == to_json(m));
  }
  CHECK(shapes().size() == 44);
  CHECK(dense == 8);
}

TEST_CASE("where the experts are, and groups, come from each architecture's own fields") {
  const auto folder = tests::reference_data("hf_configs");
  if (!folder) return;
  const auto load = [&](const char* file) { return load_config(*folder + "/" + file + ".json"); };
  const Model deepseek = load("deepseek-ai--DeepSeek-V3_config");
  CHECK(deepseek.name == "DeepSeek-V3");
  CHECK(deepseek.dense_layers == 3);
  CHECK(deepseek.moe_index(2) == -1);
  CHECK(deepseek.moe_index(3) == 0);
  CHECK(deepseek.groups == 8);
  CHECK(deepseek.top_groups == 4);
  const Model maverick = load("meta-llama--Llama-4-Maverick-17B-128E-Instruct_config");
  CHECK(maverick.moe_index(0) == -1);
  CHECK(maverick.moe_index(1) == 0);
  CHECK(maverick.moe_index(2) == -1);
  CHECK(maverick.moe_index(47) == 23);
  const Model nano = load("nvidia--NVIDIA-Nemotron-3-Nano-30B-A3B-BF16_config");  // MEMEM*E...
  CHECK(nano.moe_index(1) == 0);
  CHECK(nano.moe_index(5) == -1);
  CHECK(nano.moe_index(6) == 2);
  CHECK(nano.expert_matrices == 2);
  CHECK(nano.shared_width() == 3712);
  CHECK(load("moe-lrc--qwen2").shared_width() == 20480);
  CHECK(load("moe-lrc--deepseek2").attention.at(0).q_rank == 0);
}

TEST_CASE("quantized checkpoints set the formats of their weights") {
  const auto folder = tests::reference_data("hf_configs");
  if (!folder) return;
  const auto load = [&](const char* file) { return load_config(*folder + "/" + file + ".json"); };
  const auto formats = [](const Model& m) { return std::pair(m.expert_weights, m.other_weights); };
  using enum WeightFormat;
  CHECK(formats(load("deepseek-ai--DeepSeek-V3_config")) == std::pair(Fp8Block, Fp8Block));
  CHECK(formats(load("openai--gpt-oss-120b_config")) == std::pair(Mxfp4, Bf16));
  CHECK(formats(load("moonshotai--Kimi-K2.5_config")) == std::pair(Int4, Bf16));
  CHECK(formats(load("moonshotai--Kimi-K3_config")) == std::pair(Mxfp4, Bf16));
  CHECK(formats(load("deepseek-ai--DeepSeek-V4-Pro_config")) == std::pair(Mxfp4, Fp8Block));
  CHECK(formats(load("Qwen--Qwen3-30B-A3B_config")) == std::pair(Bf16, Bf16));
  CHECK(load("openai--gpt-oss-120b_config").weights == Dtype::Bf16);
  CHECK(load("deepseek-ai--DeepSeek-V3_config").weights == Dtype::Fp8Block);
}

TEST_CASE("layers modelled by weights and cache alone are tagged as assumed, ordinary attention is not") {
  const auto folder = tests::reference_data("hf_configs");
  if (!folder) return;
  const auto assumed = [&](const char* file) {
    std::string all;
    for (const std::string& text : load_config(*folder + "/" + file + ".json").assumed) all += text + ";";
    return all;
  };
  CHECK(assumed("Qwen--Qwen3.5-35B-A3B_config") == Contains("linear attention"));
  CHECK(assumed("moonshotai--Kimi-K3_config") == Contains("linear attention"));
  CHECK(assumed("nvidia--NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16_config") == Contains("mamba"));
  CHECK(assumed("deepseek-ai--DeepSeek-V3.2_config") == Contains("sparse attention"));
  CHECK(assumed("MiniMaxAI--MiniMax-M3_config") == Contains("sparse attention"));
  CHECK(assumed("deepseek-ai--DeepSeek-V4-Flash_config") == Contains("compressed sparse attention"));
  CHECK(assumed("Qwen--Qwen3-30B-A3B_config").empty());
  CHECK(assumed("deepseek-ai--DeepSeek-V3_config").empty());
}

// A small Mixtral and a small DeepSeek, complete.
base::Json mixtral() {
  return base::Json::parse(R"({"architectures": ["MixtralForCausalLM"], "num_hidden_layers": 4, "hidden_size": 64,
    "intermediate_size": 128, "num_local_experts": 8, "num_experts_per_tok": 2, "num_attention_heads": 8,
    "num_key_value_heads": 2, "vocab_size": 1000, "torch_dtype": "bfloat16"})");
}
base::Json deepseek() {
  return base::Json::parse(R"({"architectures": ["DeepseekV3ForCausalLM"], "num_hidden_layers": 4, "hidden_size": 64,
    "intermediate_size": 256, "moe_intermediate_size": 32, "n_routed_experts": 16, "num_experts_per_tok": 4,
    "n_shared_experts": 1, "n_group": 4, "topk_group": 2, "first_k_dense_replace": 1, "moe_layer_freq": [0, 1, 0, 1],
    "num_attention_heads": 8, "q_lora_rank": 16, "kv_lora_rank": 8, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8,
    "v_head_dim": 16, "vocab_size": 1000})");
}
Model read(const base::Json& json) { return read_config(JsonText(json.dump(), "config.json").node, "small"); }

TEST_CASE("moe_layer_freq is a number, or a list that wins over first_k_dense_replace") {
  base::Json json = deepseek();
  CHECK(read(json).moe_at == std::vector<std::int32_t>{1, 3});
  json["moe_layer_freq"] = 1;
  CHECK(read(json).moe_at.empty());
  CHECK(read(json).dense_layers == 1);
  json["moe_layer_freq"] = 2;
  CHECK(read(json).moe_at == std::vector<std::int32_t>{2});
}

TEST_CASE("a head is as wide as hidden over heads where head_dim is absent") {
  CHECK(read(mixtral()).attention.at(0).head_dim == 64 / 8);
  base::Json json = mixtral();
  json["head_dim"] = 128;
  CHECK(read(json).attention.at(0).head_dim == 128);
}

TEST_CASE("Mistral's params.json reads as the architecture it follows") {
  const base::Json params = base::Json::parse(R"({"dim": 7168, "n_layers": 61, "hidden_dim": 16384, "n_heads": 128,
    "vocab_size": 131072, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
    "v_head_dim": 128, "moe": {"num_experts": 128, "num_experts_per_tok": 4, "expert_hidden_dim": 4096,
    "first_k_dense_replace": 3, "route_every_n": 1, "num_shared_experts": 1}})");
  base::Json read_back = to_json(read(params));
  base::Json preset = to_json(tests::model_preset("mistral-large-3"));
  read_back["name"] = preset["name"];
  CHECK(read_back == preset);
}

TEST_CASE("each damaged configuration is one error that names the place and what is wrong") {
  struct Damage {
    const char* patch;  // merged into the configuration
    const char* place;
    const char* problem;
  };
  for (const Damage& damage : std::vector<Damage>{
           {R"({"num_experts_per_tok": null})", "/",
            "missing key \"num_experts_per_tok\", which DeepseekV3ForCausalLM needs"},
           {R"({"num_experts_per_tok": 17})", "/num_experts_per_tok", "out of range"},
           {R"({"hidden_size": "64"})", "/hidden_size", "not a number"},
           {R"({"moe_layer_freq": [0, 1, 1]})", "/moe_layer_freq", "3 entries for 4 layers"},
           {R"({"moe_layer_freq": [0, 1, 2, 1]})", "/moe_layer_freq/2", "out of range"},
           {R"({"moe_layer_freq": [0, 0, 0, 0]})", "/", "no layer that has them"},
           {R"({"n_group": 3})", "/n_group", "3 groups do not divide 16 experts"},
           {R"({"topk_group": 5})", "/topk_group", "cannot serve top-4"},
           {R"({"architectures": ["DeepseekV9ForCausalLM"]})", "/architectures/0", "is not modelled"},
           {R"({"architectures": []})", "/architectures", "no architecture"},
           {R"({"num_hidden_layers": 0})", "/num_hidden_layers", "out of range"},
           {R"({"kv_lora_rank": null})", "/", "missing key \"kv_lora_rank\""},
           {R"({"quantization_config": {"quant_method": "magic"}})", "/quantization_config",
            "\"magic\" is not modelled"},
       }) {
    CAPTURE(std::string(damage.patch));
    base::Json json = deepseek();
    json.merge_patch(base::Json::parse(damage.patch));
    const std::string error = input_error([&] { read(json); });
    CHECK(error == Contains(std::string("config.json: ") + damage.place + ": "));
    CHECK(error == Contains(damage.problem));
  }
  base::Json unnamed = deepseek();
  unnamed.erase("architectures");
  CHECK(input_error([&] { read(unnamed); }) == Contains("missing key \"architectures\""));
  base::Json heads = mixtral();
  heads["num_key_value_heads"] = 3;
  CHECK(input_error([&] { read(heads); }) == Contains("/num_key_value_heads: does not divide 8 attention heads"));
  base::Json kinds = mixtral();
  kinds["layer_types"] = {"full_attention", "lightning_attention", "full_attention", "full_attention"};
  CHECK(input_error([&] { read(kinds); }) ==
        Contains("/layer_types/1: layers of \"lightning_attention\" are not modelled"));
  CHECK(input_error([&] { read(base::Json::array()); }) == Contains("not an object"));

  const tests::ScratchFolder scratch;
  const std::string whole = deepseek().dump();
  const std::string cut = scratch.write("config.json", whole.substr(0, whole.size() / 2));
  CHECK(input_error([&] { load_config(cut); }) == Contains("config.json"));
}

TEST_CASE("numbers that only Python writes do not hinder") {
  const tests::ScratchFolder scratch;
  std::string text = mixtral().dump();
  text.replace(0, 1, R"({"time_step_limit": [0.0, Infinity, -Infinity, NaN], "note": "an \"Infinity\" in words", )");
  CHECK(load_config(scratch.write("tiny_config.json", text)).name == "tiny");
}

}  // namespace
}  // namespace moesim::workloads
