#include "workloads/parameters.h"

#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "tests/reference_data.h"
#include "tests/workloads/inputs.h"
#include "workloads/config.h"

namespace moesim::workloads {
namespace {

using tests::model_preset;

enum class Counted : std::uint8_t { WithEmbedding, WithoutEmbedding };

// What the publisher says, in billions, and the last digit given: 37 means 36.5 to 37.5.
struct Published {
  const char* preset;
  double total, total_digit;
  double active, active_digit;
  Counted counted;  // whether the publisher's active count includes the table of the input embedding
};

TEST_CASE("parameters of the presets are within 2 % of the published ones, or within their rounding") {
  const std::vector<Published> models{
      {"mixtral-8x7b", 46.7, 0.1, 12.9, 0.1, Counted::WithEmbedding},
      {"mixtral-8x22b", 141, 1, 39, 1, Counted::WithEmbedding},
      {"deepseek-v3", 671, 1, 37, 1, Counted::WithEmbedding},
      {"deepseek-r1", 671, 1, 37, 1, Counted::WithEmbedding},
      {"kimi-k2", 1026, 1, 32.9, 0.1, Counted::WithEmbedding},
      {"qwen3-235b-a22b", 235, 1, 22, 1, Counted::WithEmbedding},
      {"qwen3-30b-a3b", 30.5, 0.1, 3.3, 0.1, Counted::WithEmbedding},
      {"gpt-oss-120b", 117, 1, 5.1, 0.1, Counted::WithoutEmbedding},
      {"gpt-oss-20b", 21, 1, 3.6, 0.1, Counted::WithoutEmbedding},
      {"llama-4-maverick", 400, 1, 17, 1, Counted::WithEmbedding},
      {"llama-4-scout", 109, 1, 17, 1, Counted::WithEmbedding},
      // Sold as 675 and 41 with a vision encoder of 2.5.
      {"mistral-large-3", 673, 1, 39, 1, Counted::WithoutEmbedding},
      {"minimax-m2", 230, 1, 10, 1, Counted::WithoutEmbedding},
      {"olmoe", 7, 1, 1.3, 0.1, Counted::WithEmbedding},
      // How their active parameters (32 and 2.4) are counted is not known; here they are 5 and 2 % more.
      {"glm-4.5", 355, 1, 33.6, 0.1, Counted::WithEmbedding},
      {"deepseek-v2-lite", 16, 1, 2.45, 0.01, Counted::WithoutEmbedding},
  };
  const auto agree = [](double value, double published, double digit) {
    return std::abs(value / 1e9 - published) <= std::max(0.02 * published, digit / 2);
  };
  for (const Published& p : models) {
    CAPTURE(std::string(p.preset));
    const Parameters parameters = count_parameters(model_preset(p.preset));
    const double active =
        p.counted == Counted::WithEmbedding ? parameters.active() : parameters.active_without_embedding();
    CHECK_MESSAGE(agree(parameters.total(), p.total, p.total_digit), parameters.total());
    CHECK_MESSAGE(agree(active, p.active, p.active_digit), active);
  }
}

TEST_CASE("latent, linear, mamba and compressed models too have the parameters that their names say") {
  const auto folder = tests::reference_data("hf_configs");
  if (!folder) return;
  struct Named {
    const char* file;
    double total, active;  // billions, from the model's card or name
  };
  for (const Named& named : std::vector<Named>{
           {"nvidia--NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16_config", 550, 55},
           {"nvidia--NVIDIA-Nemotron-3-Nano-30B-A3B-BF16_config", 31.6, 3.6},
           {"Qwen--Qwen3.5-122B-A10B_config", 122, 10},
           {"Qwen--Qwen3.5-397B-A17B_config", 397, 17},
           {"deepseek-ai--DeepSeek-V4-Flash_config", 284, 13},
           {"deepseek-ai--DeepSeek-V4-Pro_config", 1600, 49},
           {"Qwen--Qwen3-Coder-480B-A35B-Instruct_config", 480, 35},
           {"google--gemma-4-26B-A4B_config", 25.2, 3.8},
       }) {
    CAPTURE(std::string(named.file));
    const Parameters p = count_parameters(load_config(*folder + "/" + named.file + ".json"));
    CHECK(p.total() / 1e9 == doctest::Approx(named.total).epsilon(0.02));
    CHECK(p.active() / 1e9 == doctest::Approx(named.active).epsilon(0.05));
  }
}

TEST_CASE("a token in the cache costs its keys and values, latents or compressed vectors") {
  const auto bf16 = [](const char* preset) { return cache_bytes_per_token(model_preset(preset), 2).value(); };
  CHECK(bf16("deepseek-v3") == 61 * (512 + 64) * 2);
  CHECK(bf16("qwen3-30b-a3b") == 48 * 2 * 4 * 128 * 2);
  CHECK(bf16("mixtral-8x7b") == 32 * 2 * 8 * (4096 / 32) * 2);
  // Of GPT-OSS, every second layer forgets what is further back than 128 tokens.
  CHECK(bf16("gpt-oss-120b") == 36 / 2 * 2 * 8 * 64 * 2);
  CHECK(state_bytes(model_preset("gpt-oss-120b"), 2).value() == 36 / 2 * 128 * 2 * 8 * 64 * 2);
  CHECK(state_bytes(model_preset("deepseek-v3"), 2).value() == 0);

  Model m;
  m.attention.push_back(
      {.kind = AttentionKind::Compressed, .layers = 3, .heads = 8, .head_dim = 512, .compression = 4});
  CHECK(cache_bytes_per_token(m, 1).value() == 3 * 512 / 4);
  m.attention = {{.kind = AttentionKind::Mamba, .layers = 2, .heads = 16, .head_dim = 64, .state_dim = 128}};
  CHECK(cache_bytes_per_token(m, 2).value() == 0);
  CHECK(state_bytes(m, 2).value() == 2 * 16 * 64 * 128 * 2);
}

TEST_CASE("weights weigh what their formats say, embeddings two bytes each") {
  Model m = model_preset("gpt-oss-20b");
  const Parameters p = count_parameters(m);
  CHECK(weight_bytes(m).value() == doctest::Approx(p.routed * 4.25 / 8 + (p.total() - p.routed) * 2).epsilon(1e-12));
  CHECK(expert_bytes(m).value() == 3.0 * 2880 * 2880 * 4.25 / 8);
  m.latent_width = 1440;
  CHECK(expert_bytes(m).value() == 3.0 * 1440 * 2880 * 4.25 / 8);
}

TEST_CASE("what a token costs on the wire follows its width on the way, not the hidden size") {
  Model m = model_preset("deepseek-v3");
  m.latent_width = 3584;
  const auto bytes = [&](const char* text) { return read_bytes_per_token(tests::JsonText(text).node, m).value(); };
  CHECK(bytes("\"bf16\"") == 2 * 3584);
  CHECK(bytes("\"fp8\"") == 3584 + 4 * 3584 / 128);
  CHECK(bytes("\"nvfp4\"") == 3584 / 2 + 3584 / 16);
}

}  // namespace
}  // namespace moesim::workloads
