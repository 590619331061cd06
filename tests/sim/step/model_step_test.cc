// Whole-model steps against closed forms and sums of their parts.
#include "sim/step/model_step.h"

#include <doctest/doctest.h>

#include "sim/lowering/decoder_layer.h"
#include "tests/approx.h"
#include "tests/sim/step/model_scenarios.h"

namespace moesim::step {
namespace {

using tests::Approx;
using tests::DenseModel;
using tests::Parts;
using tests::phase;
using tests::run;
using tests::star;

constexpr const char* kIdeal = R"("profile": {"preset": "ideal"})";

Parts dense(const DenseModel& model, int gpus, const std::string& step, const std::string& more) {
  return {star(gpus), model.section(), "", step, "", more};
}

}  // namespace

TEST_CASE("two micro-batches of \"Insights into DeepSeek-V3\" take 14.757 ms at 50 GB/s and 0.82 ms at 900 GB/s") {
  // 61 layers, in each two exchanges of 32 tokens after each other: (1 + 2) bytes x 32 x 9 x 7000.
  const double bytes = 61 * 2 * (1 + 2) * 32.0 * 9 * 7000;
  const auto slow = sim::run(sim::load_scenario("examples/22-isca25-step-50.json", {}));
  CHECK(slow.total.value() == Approx(bytes / 50e9).epsilon(1e-9));
  CHECK(slow.total.value() == Approx(14.757e-3).epsilon(1e-4));
  CHECK(slow.serving->tokens_per_s_per_user == Approx(67.8).epsilon(1e-3));
  const auto fast = sim::run(sim::load_scenario("examples/23-isca25-step-900.json", {}));
  CHECK(fast.total.value() == Approx(bytes / 900e9).epsilon(1e-9));
  CHECK(fast.total.value() == Approx(0.82e-3).epsilon(1e-3));
}

TEST_CASE("a dense model is its layers' attention and network and the head, without any communication") {
  const DenseModel model;
  const auto scenario = tests::read(
      dense(model, 1, R"("batch": 64, "kv_tokens": 2048, "prefill_tokens": 512, "prompt_tokens": 256)", ""));
  const auto result = sim::run(scenario);
  lowering::PassTokens tokens;
  tokens.sequences = 64;
  tokens.cached = 2048;
  tokens.prefill_tokens = 512;
  tokens.prompt_tokens = 256;
  const lowering::DecoderCosts costs(scenario.model, scenario.profile, 1);
  const base::Duration layer =
      costs.attention(scenario.model.attention.front(), tokens).cost.total + costs.dense_ffn(64 + 512).cost.total;
  CHECK(result.total.value() == Approx((layer * 4 + costs.head(64 + 2).cost.total).value()).epsilon(1e-9));
  REQUIRE(result.phases.size() == 3);
  CHECK(result.links.empty());
  CHECK(result.serving->exposed == base::Duration(0));
  CHECK(result.serving->waiting == base::Duration(0));
  CHECK(scenario.warnings.empty());
}

TEST_CASE("tensor parallelism of an ideal GPU is two all-reduces a layer: one shot for few bytes, two for many") {
  const DenseModel model;
  for (const double tokens : {8.0, 64.0, 1024.0}) {
    CAPTURE(tokens);
    const auto result =
        run(dense(model, 4, "\"batch\": " + std::to_string(static_cast<int>(tokens)) + ", \"kv_tokens\": 128",
                  std::string(kIdeal) + R"(, "plan": {"tp": 4})"));
    const double bytes = tokens * 4096 * 2;
    // One shot: all to each of 3 others; two shots: a quarter to each of 3 others, twice.
    const double sent = bytes <= 512 * 1024 ? 3 * bytes : 2 * 3 * bytes / 4;
    CHECK(result.total.value() == Approx(4 * 2 * sent / 450e9).epsilon(1e-9));
    CHECK(phase(result, "TP collective").critical.value() == Approx(result.total.value()));
    CHECK(phase(result, "TP collective").mean_rank.value() == Approx(result.total.value()));
    CHECK(result.serving->exposed.value() == Approx(result.total.value()));
  }
}

TEST_CASE("a pipeline's stages follow each other, each hands on its tokens, and as many batches are under way") {
  const DenseModel model;
  const std::string step = R"("batch": 16, "kv_tokens": 128)";
  const auto ideal = run(dense(model, 2, step, std::string(kIdeal) + R"(, "plan": {"pp": 2})"));
  CHECK(ideal.total.value() == Approx(16 * 4096 * 2 / 450e9).epsilon(1e-9));
  const auto one = run(dense(model, 1, step, "")), two = run(dense(model, 2, step, R"("plan": {"pp": 2})"));
  CHECK(two.total.value() == Approx((one.total + ideal.total).value()).epsilon(1e-9));
  CHECK(two.serving->sequences == 2 * one.serving->sequences);
  CHECK(two.serving->output_tokens_per_s_per_gpu ==
        Approx(one.serving->output_tokens_per_s_per_gpu * (one.total / two.total)));
}

TEST_CASE("a mapping that spreads tensor-parallel ranks over nodes is slower") {
  const DenseModel model;
  const auto with = [&](const std::string& plan) {
    Parts parts = dense(model, 16, R"("batch": 64, "kv_tokens": 1024)", "\"plan\": " + plan);
    parts.cluster = R"({"preset": "hgx_h100", "nodes": 2})";
    return run(parts).total;
  };
  const auto near = with(R"({"tp": 8, "pp": 2})");
  CHECK(with(R"({"tp": 8, "pp": 2, "mapping": "pp_innermost"})") > near * 1.2);
  CHECK(with(R"({"tp": 8, "attention_dp": 2, "mapping": "dp_innermost"})") >
        with(R"({"tp": 8, "attention_dp": 2})") * 1.2);
}

TEST_CASE("drafts: a step gives 1 + a + a^2 tokens of a sequence, and costs their layers and verification") {
  const auto with = [](const std::string& more) {
    Parts parts;
    parts.step += more;
    return run(parts);
  };
  const auto plain = with("");
  CHECK(plain.serving->tokens_per_step == 1);
  base::Duration before = plain.total;
  for (const auto& [drafts, tokens] : {std::pair(1, 1.8), std::pair(2, 1 + .8 + .64)}) {
    const auto result =
        with(", \"speculative\": {\"draft_tokens\": " + std::to_string(drafts) + ", \"acceptance\": 0.8}");
    CHECK(result.serving->tokens_per_step == Approx(tokens));
    CHECK(result.serving->tpot.value() == Approx(result.total.value() / tokens));
    CHECK(result.total > before);
    before = result.total;
  }
  // Nothing accepted: drafting is only a cost.
  const auto none = with(R"(, "speculative": {"draft_tokens": 1, "acceptance": 0})");
  CHECK(none.serving->tokens_per_step == 1);
  CHECK(none.serving->tpot > plain.serving->tpot);
}

TEST_CASE("a sequence of kernels that the host launches takes at least a launch for each of them") {
  for (const std::int64_t batch : {1, 512}) {
    CAPTURE(batch);
    const auto with = [&](const std::string& launch) {
      Parts parts;
      parts.cluster = star(1);
      parts.step = "\"batch\": " + std::to_string(batch) + R"(, "kv_tokens": 512, "launch": ")" + launch + "\"";
      return tests::read(parts);
    };
    const auto scenario = with("eager");
    const auto eager = sim::run(scenario), graph = sim::run(with("graph"));
    lowering::PassTokens tokens;
    tokens.sequences = batch;
    tokens.cached = 512;
    const lowering::DecoderCosts costs(scenario.model, scenario.profile, 1);
    const auto launched = [](const lowering::PartCost& part) {
      return std::max(part.cost.total, kHostLaunch * static_cast<double>(part.kernels)).value();
    };
    const auto took = [&](const char* name) { return phase(eager, name).critical.value(); };
    CHECK(took("attention") ==
          Approx(3 * launched(costs.attention(scenario.model.attention.front(), tokens))).epsilon(1e-9));
    CHECK(took("gate") == Approx(2 * launched(costs.gate(batch))).epsilon(1e-9));
    CHECK(took("shared expert") == Approx(2 * launched(costs.shared_expert(batch))).epsilon(1e-9));
    CHECK(took("dense FFN") == Approx(launched(costs.dense_ffn(batch))).epsilon(1e-9));
    CHECK(took("head") == Approx(launched(costs.head(batch))).epsilon(1e-9));
    CHECK(eager.total >= graph.total);
    if (batch == 1) CHECK(eager.total > graph.total);
  }
}

TEST_CASE("tokens that travel in fewer elements are projected back in every MoE layer") {
  std::string narrow = tests::kShort;
  narrow.insert(narrow.size() - 1, R"(, "latent_width": 1024)");
  for (const char* plan : {R"("plan": {"tp": 1})", R"("plan": {"tp": 8})", R"("plan": {"tp": 4, "moe_tp": 8})"}) {
    CAPTURE(plan);
    Parts parts;
    parts.model = narrow;
    parts.more = plan;
    const auto scenario = tests::read(parts);
    const auto result = sim::run(scenario);
    // A rank projects its own 32 tokens, or all that it has of the copies where every rank has all.
    const auto tokens = 32 * (scenario.whole->dealt ? 1 : scenario.whole->plan.attention_dp);
    const lowering::DecoderCosts costs(scenario.model, scenario.profile, scenario.whole->plan.tp);
    CHECK(phase(result, "latent projection").critical.value() ==
          Approx(2 * costs.from_latent(tokens).cost.total.value()).epsilon(1e-9));
    parts.model = tests::kShort;
    CHECK(tests::find_phase(run(parts), "latent projection") == nullptr);
  }
}

TEST_CASE("SMs that communication holds are taken from the micro-batch that computes") {
  const auto attention = [](const char* sms) {
    Parts parts;
    parts.cluster = R"({"preset": "hgx_h800", "nodes": 2})";
    parts.routing = R"({"generate": {"preset": "deepseek-v3-prefill", "seed": 1}})";
    parts.step = R"("phase": "prefill", "prefill_tokens": 4096, "prompt_tokens": 1024, "overlap": "two_batch")";
    parts.communication = std::string(R"({"kernel": "deepep_normal", "sms": )") + sms + "}";
    const auto result = run(parts);
    return phase(result, "attention").mean_rank + phase(result, "shared expert").mean_rank;
  };
  CHECK(attention("60") > attention("12") * 1.02);
}

TEST_CASE("no step is faster than reading its weights and caches once") {
  for (const std::string& name : workloads::model_presets()) {
    CAPTURE(name);
    Parts parts;
    parts.cluster = star(16, "b200", "900 GB/s");
    parts.model = "{\"preset\": \"" + name + "\"}";
    parts.routing = R"({"preset": "balanced"})";
    parts.step = R"("batch": 64, "kv_tokens": 2048)";
    const auto scenario = tests::read(parts);
    const auto result = sim::run(scenario);
    const workloads::GpuMemory& use = scenario.whole->fit->use;
    // The embedding is read where a token needs it; 64 x 16 tokens keep every expert busy.
    const base::Bytes read = use.weights() - use.embedding + use.caches;
    const base::Duration least = read / scenario.profile.hbm_bandwidth.value;
    CHECK(result.total > least);
    CHECK(result.total < least * 4 + base::Duration(1e-3) * scenario.model.layers);
  }
}

}  // namespace moesim::step
