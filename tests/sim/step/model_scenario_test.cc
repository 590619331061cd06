// Sections of whole-model scenarios: memory, and what is refused with which words.
#include "sim/model_scenario.h"

#include <doctest/doctest.h>

#include "tests/base/input_error.h"
#include "tests/sim/step/model_scenarios.h"

namespace moesim::sim {
namespace {

using tests::input_error;
using tests::Parts;
using tests::star;

std::string error_of(const Parts& parts) {
  return input_error([&] { tests::read(parts); });
}

struct Served {
  const char* model;
  const char* gpu;
  int gpus;
  const char* plan;
  double kv_tokens = 4096;
  const char* batch = "1";
};

Parts parts_of(const Served& served) {
  Parts parts;
  parts.cluster = star(served.gpus, served.gpu);
  parts.model = served.model;
  parts.routing = R"({"preset": "balanced"})";
  parts.step = std::string("\"batch\": ") + served.batch + ", \"kv_tokens\": " + std::to_string(served.kv_tokens);
  parts.more = std::string("\"plan\": ") + served.plan;
  return parts;
}

bool fits(const Served& served) {
  const std::string error = error_of(parts_of(served));
  const bool refused = error.find("do not fit: a GPU needs ") != std::string::npos;
  if (!refused) CHECK_MESSAGE(error == "no InputError was thrown", error);
  return !refused;
}

}  // namespace

TEST_CASE("published: what fits where") {
  CHECK(fits({R"({"preset": "gpt-oss-120b"})", "h100", 1, "{}"}));
  CHECK(fits({R"({"preset": "mixtral-8x7b"})", "h100", 2, R"({"tp": 2})"}));
  CHECK_FALSE(fits({R"({"preset": "mixtral-8x7b"})", "h100", 1, "{}"}));
  CHECK(fits({R"({"preset": "qwen3-235b-a22b", "weights": "fp8_block"})", "h100", 4, R"({"tp": 4})"}));
  CHECK(fits({R"({"preset": "deepseek-v3"})", "h200", 8, R"({"tp": 8})"}));
  CHECK_FALSE(fits({R"({"preset": "deepseek-v3"})", "h100", 8, R"({"tp": 8})"}));
  CHECK(fits({R"({"preset": "kimi-k2"})", "h100", 16, R"({"tp": 16})", 131072}));
  CHECK_FALSE(fits({R"({"preset": "kimi-k2"})", "h100", 8, R"({"tp": 8})", 1}));
}

TEST_CASE("the largest batch fits, one more is refused and says by how much") {
  Served served{R"({"preset": "deepseek-v3"})", "h200", 8, R"({"tp": 8})", 4096, "\"largest\""};
  const auto scenario = tests::read(parts_of(served));
  const std::int64_t largest = scenario.whole->batch;
  CHECK(largest > 16);
  CHECK(scenario.whole->fit->fits());
  const std::string exact = std::to_string(largest), more = std::to_string(largest + 1);
  served.batch = exact.c_str();
  CHECK(fits(served));
  served.batch = more.c_str();
  const std::string error = error_of(parts_of(served));
  CHECK(error.find("/step/batch: " + more + " sequences") != std::string::npos);
  CHECK(error.find("too much (weights ") != std::string::npos);
  CHECK(error.find("at most " + exact + " sequences fit") != std::string::npos);
}

TEST_CASE("how many sequences fit does not depend on how many are asked for, though buffers grow with the batch") {
  const auto at_most = [](const std::string& batch, const std::string& prefill) {
    const Scenario scenario =
        load_scenario("examples/61-decode-step-h200.json",
                      {"communication.kernel=deepep_low_latency", "model.layers=5", "step.kv_tokens=131072",
                       "step.batch=" + batch, "step.prefill_tokens=" + prefill});
    return std::pair(scenario.whole->batch, scenario.whole->fit->largest);
  };
  const auto [largest, fit] = at_most("\"largest\"", "0");
  CHECK(largest == fit);
  CHECK(at_most("1", "0").second == fit);
  const std::string error = input_error([&] { at_most(std::to_string(largest + 1), "0"); });
  CHECK(error.find("at most " + std::to_string(largest) + " sequences fit") != std::string::npos);
  // A prompt is a sequence that has its cache, too.
  const auto [beside, all] = at_most("\"largest\"", "64");
  CHECK(all == beside + 1);
}

TEST_CASE("a step that cannot be is refused with one clear error") {
  struct Bad {
    const char* what;
    std::string step, more;
    std::vector<std::string> says;
    std::string communication = R"({"kernel": "auto"})";
  };
  const std::string step = R"("batch": 8, "kv_tokens": 128)";
  for (const Bad& bad : std::vector<Bad>{
           {"a plan of too many GPUs", step, R"("plan": {"tp": 16})", {"/plan/tp", "8 GPUs"}},
           {"heads that are not shared", step, R"("plan": {"tp": 3, "attention_dp": 1})", {"/plan", "8 GPUs"}},
           {"no batch", R"("kv_tokens": 128)", "", {"/step", "missing key \"batch\""}},
           {"no cache", R"("batch": 8)", "", {"/step", "missing key \"kv_tokens\""}},
           {"no prompts", R"("phase": "prefill")", "", {"/step", "missing key \"prefill_tokens\""}},
           {"nothing to do", R"("batch": 0)", "", {"/step", "no tokens"}},
           {"a cache without a batch",
            R"("phase": "prefill", "prefill_tokens": 64, "kv_tokens": 128)",
            "",
            {"/step/kv_tokens", "without a batch"}},
           {"prompts without tokens", step + R"(, "prompt_tokens": 64)", "", {"/step/prompt_tokens"}},
           {"more micro-batches than sequences",
            step + R"(, "overlap": "none", "micro_batches": 16)",
            "",
            {"/step", "16 micro-batches of 8"}},
           {"two_batch of three",
            step + R"(, "overlap": "two_batch", "micro_batches": 3)",
            "",
            {"/step/micro_batches"}},
           {"an unknown overlap", step + R"(, "overlap": "both")", "", {"/step/overlap", "two_batch"}},
           {"a step of a layer", step + R"(, "tokens_per_gpu": 4)", "", {"/step", "tokens_per_gpu"}},
           {"drafts that are always accepted twice",
            step + R"(, "speculative": {"draft_tokens": 1, "acceptance": 1.5})",
            "",
            {"/step/speculative/acceptance"}},
           {"cut experts behind a dispatch",
            step,
            R"("plan": {"ep": 4, "moe_tp": 2})",
            {"/communication/kernel", "moe_tp 2"},
            R"({"kernel": "ideal"})"},
           {"all tokens everywhere with several copies",
            step,
            "",
            {"/communication/kernel", "attention_dp 1"},
            R"({"kernel": "all_reduce"})"},
           {"slots that are not the plan's",
            step,
            R"("plan": {"redundant": 8}, "placement": {"strategy": "eplb", "redundant": 16})",
            {"/plan/redundant", "272 slots"}},
           {"the largest batch of no memory",
            R"("batch": "largest", "kv_tokens": 128)",
            R"("profile": {"preset": "ideal"})",
            {"/step/batch", "ideal"}}}) {
    CAPTURE(bad.what);
    Parts parts;
    parts.step = bad.step;
    parts.more = bad.more;
    parts.communication = bad.communication;
    const std::string error = error_of(parts);
    for (const std::string& part : bad.says) CHECK_MESSAGE(error.find(part) != std::string::npos, error);
  }
}

TEST_CASE("sections and members of the other scope are refused") {
  const auto error = [](const std::vector<std::string>& sets) {
    return input_error([&] { load_scenario("examples/11-hgx-h100.json", sets); });
  };
  CHECK(error({"plan={\"tp\": 8}"}).find("/plan: is of step.scope \"model\"") != std::string::npos);
  CHECK(error({"memory={}"}).find("/memory: is of step.scope \"model\"") != std::string::npos);
  CHECK(error({"step.scope=modle", "step.batch=8"}).find("/step/scope") != std::string::npos);
  Parts parts;
  parts.model = R"({"name": "bare", "layers": 2, "dense_layers": 0, "hidden": 64, "experts": 8, "top_k": 2,
      "expert_ffn": 64, "shared_experts": 0, "groups": 1, "top_groups": 1, "weights": "bf16"})";
  CHECK(error_of(parts).find("/model: nothing is said about the attention of bare") != std::string::npos);
}

TEST_CASE("inputs without effect are warned of") {
  const auto warnings = [](const Parts& parts) { return tests::read(parts).warnings; };
  CHECK(warnings({}).empty());
  Parts parts;
  parts.communication = R"({"kernel": "auto", "dispatch": "fp8"})";
  parts.more = R"("plan": {"tp": 8})";
  REQUIRE(warnings(parts).size() == 1);
  CHECK(warnings(parts)[0] == "communication.dispatch has no effect: every GPU has all tokens");
  const tests::DenseModel dense;
  parts = {};
  parts.model = dense.section();
  CHECK(warnings(parts) ==
        std::vector<std::string>{"routing has no effect: " + tests::read(parts).model.name + " has no experts",
                                 "communication has no effect: " + tests::read(parts).model.name + " has no experts"});
}

TEST_CASE("a placement's slots become the plan's where the plan names none") {
  Parts parts;
  parts.more = R"("placement": {"strategy": "eplb", "redundant": 16})";
  const auto scenario = tests::read(parts);
  CHECK(scenario.whole->plan.redundant == 16);
  CHECK(scenario.whole->routing.front().front().placement.num_slots() == 256 + 16);
}

}  // namespace moesim::sim
