#include "sim/lowering/decoder_layer.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "sim/lowering/gemm.h"

namespace moesim::lowering {
namespace {

workloads::Model model(const std::string& text) {
  const auto document = base::parse_json(text, "test.json");
  return workloads::read_model(base::JsonNode(document));
}
workloads::Model preset(const std::string& name) { return model("{\"preset\": \"" + name + "\"}"); }

PassTokens decode(std::int64_t sequences, double cached) {
  PassTokens tokens;
  tokens.sequences = sequences;
  tokens.cached = cached;
  return tokens;
}

PassTokens prefill(std::int64_t tokens, std::int64_t prompt) {
  PassTokens pass;
  pass.prefill_tokens = tokens;
  pass.prompt_tokens = prompt;
  return pass;
}

const profile::Profile& h100() {
  static const profile::Profile profile = profile::profile_preset("h100");
  return profile;
}

base::Duration attention(const workloads::Model& of, const PassTokens& tokens, std::int32_t tp = 1,
                         std::size_t kind = 0) {
  return DecoderCosts(of, h100(), tp).attention(of.attention[kind], tokens).cost.total;
}

}  // namespace

TEST_CASE("tokens of a pass: drafts are verified beside each sequence's token, the head sees the last of each prompt") {
  PassTokens tokens = decode(10, 100);
  CHECK(tokens.tokens() == 10);
  CHECK(tokens.scored() == 10);
  tokens.tokens_per_sequence = 3;
  tokens.prefill_tokens = 1000;
  tokens.prompt_tokens = 300;
  CHECK(tokens.tokens() == 30 + 1000);
  CHECK(tokens.scored() == 30 + 4);
}

TEST_CASE("an ideal GPU takes no time, and no tokens take none") {
  const auto v3 = preset("deepseek-v3");
  const auto ideal = profile::profile_preset("ideal");
  const DecoderCosts costs(v3, ideal, 1), real(v3, h100(), 1);
  CHECK(costs.attention(v3.attention[0], decode(8, 100)).cost.total == base::Duration(0));
  CHECK(costs.head(8).cost.total == base::Duration(0));
  CHECK(real.attention(v3.attention[0], decode(0, 100)).cost.total == base::Duration(0));
  CHECK(real.dense_ffn(0).cost.total == base::Duration(0));
}

TEST_CASE("a dense network is its norm and two products, cut by tensor parallelism") {
  const auto v3 = preset("deepseek-v3");
  const std::int64_t m = 256;
  for (const std::int32_t tp : {1, 4}) {
    const DecoderCosts costs(v3, h100(), tp);
    const workloads::Dtype dtype = workloads::multiplied_in(v3.other_weights);
    const auto parameters = h100().kernel(gemm_kernel(dtype));
    const base::Duration products = gemm_cost({m, 2 * 18432 / tp, 7168, dtype}, h100(), parameters).total +
                                    gemm_cost({m, 7168, 18432 / tp, dtype}, h100(), parameters).total;
    const auto part = costs.dense_ffn(m);
    CHECK(part.kernels == 3);
    CHECK(part.cost.total > products);
    CHECK(part.cost.total < products + base::Duration(20e-6));  // the norm
    CHECK(part.log_error > 0);
  }
}

TEST_CASE("attention grows with what is cached, but not beyond a window") {
  const auto oss = preset("gpt-oss-120b");  // kinds: full, window of 128
  CHECK(attention(oss, decode(64, 16384)) > attention(oss, decode(64, 1024)));
  CHECK(attention(oss, decode(64, 16384), 1, 1) == attention(oss, decode(64, 1024), 1, 1));
  CHECK(attention(oss, decode(64, 1024), 1, 1) < attention(oss, decode(64, 1024), 1, 0));
  CHECK(attention(oss, prefill(8192, 8192), 1, 1) < attention(oss, prefill(8192, 8192), 1, 0));
}

TEST_CASE("decode reads the cache at most at the rate of HBM") {
  for (const char* name : {"deepseek-v3", "qwen3-235b-a22b", "mixtral-8x7b"}) {
    CAPTURE(name);
    const auto of = preset(name);
    const double cached = 32768, sequences = 64;
    const double bytes = 2 * cached * sequences * workloads::cache_elements_per_token(of.attention[0]);
    CHECK(attention(of, decode(64, cached)) > base::Bytes(bytes) / h100().hbm_bandwidth.value);
  }
}

TEST_CASE("tensor parallelism shares heads; drafts that are verified together share the cache") {
  const auto qwen = preset("qwen3-235b-a22b");
  const auto whole = attention(qwen, decode(256, 8192)), quarter = attention(qwen, decode(256, 8192), 4);
  CHECK(quarter < whole * 0.5);
  CHECK(quarter > whole * 0.2);
  PassTokens verified = decode(64, 8192);
  verified.tokens_per_sequence = 2;
  CHECK(attention(qwen, verified) > attention(qwen, decode(64, 8192)));
  CHECK(attention(qwen, verified) < attention(qwen, decode(128, 8192)));
}

TEST_CASE("prompts cost their square: as many tokens of longer prompts take longer; half a prompt takes half") {
  const auto v3 = preset("deepseek-v3");
  CHECK(attention(v3, prefill(16384, 16384)) > attention(v3, prefill(16384, 1024)));
  const base::Duration one = attention(v3, prefill(8192, 8192)), half = attention(v3, prefill(4096, 8192));
  CHECK(half > one * 0.4);
  CHECK(half < one * 0.6);
}

TEST_CASE("tokens that travel in fewer elements are projected there and back") {
  const auto wide = preset("deepseek-v3");
  const auto narrow = model(R"({"preset": "deepseek-v3", "latent_width": 1024})");
  CHECK(DecoderCosts(wide, h100(), 1).from_latent(512).cost.total == base::Duration(0));
  CHECK(DecoderCosts(narrow, h100(), 1).from_latent(512).cost.total > base::Duration(0));
  CHECK(DecoderCosts(narrow, h100(), 1).gate(512).cost.total > DecoderCosts(wide, h100(), 1).gate(512).cost.total);
}

}  // namespace moesim::lowering
