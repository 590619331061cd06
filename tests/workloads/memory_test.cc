#include "workloads/memory.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "tests/base/input_error.h"
#include "tests/workloads/inputs.h"
#include "workloads/parameters.h"

namespace moesim::workloads {
namespace {

using base::Bytes;
using doctest::Approx;
using tests::Contains;
using tests::input_error;
using tests::JsonText;
using tests::model_of;
using tests::model_preset;

ParallelPlan plan_of(const std::string& json, const Model& model, std::int32_t gpus) {
  const JsonText text(json);
  return read_plan(&text.node, model, gpus);
}

MemoryRequest on(Bytes capacity, std::int64_t sequence_tokens = 4096) {
  MemoryRequest request;
  request.capacity = capacity;
  request.sequence_tokens = sequence_tokens;
  request.prefill_tokens = 8192;
  return request;
}

// What GPUs sold as 80 GB have (nvidia-smi reports 81,559 MiB on an H100) and an H200 by its datasheet.
constexpr Bytes k80 = Bytes(80.0 * 1024 * 1024 * 1024), k141 = Bytes(141e9);

TEST_CASE("published: gpt-oss-120b in mxfp4 fits on one GPU of 80 GB") {
  const Model model = model_preset("gpt-oss-120b");
  const MemoryFit fit = memory_fit(model, read_plan(nullptr, model, 1), on(k80), 1);
  CHECK(fit.fits());
  CHECK(fit.use.weights().value() == Approx(65e9).epsilon(0.03));  // 117 billion weights, experts in 4.25 bits
  // In bf16 it would not.
  const Model wide = model_of(R"({"preset": "gpt-oss-120b", "weights": "bf16"})");
  CHECK_FALSE(memory_fit(wide, read_plan(nullptr, wide, 1), on(k80), 1).fits());
}

TEST_CASE("published: Mixtral 8x7B in bf16 fits on two GPUs of 80 GB, not on one") {
  const Model model = model_preset("mixtral-8x7b");
  const MemoryFit one = memory_fit(model, read_plan(nullptr, model, 1), on(k80), 1);
  CHECK_FALSE(one.fits());
  CHECK(one.largest == 0);
  for (const char* plan : {R"({"tp": 2})", R"({"tp": 2, "ep": 1, "moe_tp": 2})", R"({"pp": 2})"}) {
    CAPTURE(plan);
    CHECK(memory_fit(model, plan_of(plan, model, 2), on(k80), 1).fits());
  }
}

TEST_CASE("published: Qwen3-235B in fp8 fits on four GPUs of 80 GB") {
  const Model model = model_of(R"({"preset": "qwen3-235b-a22b", "weights": "fp8_block"})");
  CHECK(memory_fit(model, plan_of(R"({"tp": 4})", model, 4), on(k80), 1).fits());
  CHECK_FALSE(memory_fit(model, plan_of(R"({"tp": 2})", model, 2), on(k80), 1).fits());
  const Model wide = model_preset("qwen3-235b-a22b");
  CHECK_FALSE(memory_fit(wide, plan_of(R"({"tp": 4})", wide, 4), on(k80), 1).fits());
}

TEST_CASE("published: DeepSeek-V3 in fp8 fits on eight GPUs of 141 GB, not on eight of 80 GB") {
  const Model model = model_preset("deepseek-v3");
  for (const char* json : {R"({"tp": 8})", R"({"tp": 8, "moe_tp": 8})", R"({"attention_dp": 8})"}) {
    CAPTURE(json);
    const ParallelPlan plan = plan_of(json, model, 8);
    CHECK(memory_fit(model, plan, on(k141), 1).fits());
    CHECK_FALSE(memory_fit(model, plan, on(k80), 1).fits());
  }
}

TEST_CASE("published: Kimi K2 in fp8 fits on sixteen GPUs of 80 GB with useful context, not on eight") {
  const Model model = model_preset("kimi-k2");
  const std::int64_t context = 131072;
  CHECK(memory_fit(model, plan_of(R"({"tp": 16})", model, 16), on(k80, context), 1).fits());
  for (const char* plan : {R"({"tp": 8})", R"({"tp": 4, "attention_dp": 2})", R"({"tp": 1, "pp": 8})"}) {
    CAPTURE(plan);
    CHECK_FALSE(memory_fit(model, plan_of(plan, model, 8), on(k80, 1), 1).fits());
  }
}

TEST_CASE("pipeline stages together hold every weight once") {
  std::vector<Model> models{model_of(R"({"preset": "qwen3-30b-a3b", "tied_embeddings": true})")};
  for (const std::string& name : model_presets()) models.push_back(model_preset(name));
  for (const Model& model : models) {
    CAPTURE(model.name);
    for (const std::int32_t pp : {1, 2, 4}) {
      const ParallelPlan plan = plan_of("{\"pp\": " + std::to_string(pp) + "}", model, pp);
      Bytes sum;
      for (std::int32_t stage = 0; stage < pp; ++stage) sum += gpu_memory(model, plan, on(k80), stage, 0).weights();
      // A tied embedding is needed at both ends of the pipeline.
      if (model.tied_embeddings && pp > 1) sum -= Bytes(2.0 * model.vocabulary * model.hidden);
      CHECK(sum.value() == Approx(weight_bytes(model).value()).epsilon(1e-12));
    }
  }
}

TEST_CASE("experts are cut by EP and expert-TP, the rest by TP, and redundant slots cost what they hold") {
  const Model model = model_preset("deepseek-v3");
  const auto use = [&](const char* json, std::int32_t gpus) {
    return gpu_memory(model, plan_of(json, model, gpus), on(k80), 0, 0);
  };
  const GpuMemory whole = use("{}", 1), cut = use(R"({"tp": 4, "ep": 4, "moe_tp": 4})", 16);
  CHECK((whole.routed / cut.routed) == Approx(16));
  CHECK((whole.dense / cut.dense) == Approx(4));
  CHECK((whole.shared / cut.shared) == Approx(4));
  CHECK((whole.embedding / cut.embedding) == Approx(4));
  CHECK((whole.router / cut.router) == Approx(1));
  // Of MLA, the low-rank inputs stay whole: hidden * (q_rank + kv_rank + rope).
  const double bytes = 61 * bits_per_weight(model.other_weights) / 8;
  const double replicated = bytes * 7168 * (1536 + 512 + 64);
  CHECK(cut.attention.value() == Approx(replicated + (whole.attention.value() - replicated) / 4));
  const Bytes more = use(R"({"ep": 8, "redundant": 32})", 8).routed - use(R"({"ep": 8})", 8).routed;
  CHECK(more.value() == Approx((58 * 32.0 / 8) * expert_bytes(model).value()));
}

TEST_CASE("a latent cache is kept by every rank, key-value heads are cut until each rank has one") {
  const MemoryRequest request = on(k80);
  const auto per_token = [&](const Model& model, std::int32_t tp) {
    const ParallelPlan plan = plan_of("{\"tp\": " + std::to_string(tp) + "}", model, tp);
    return cache_bytes(model, plan, request, 0, 1).value();
  };
  const Model mla = model_preset("deepseek-v3"), gqa = model_preset("qwen3-235b-a22b");
  for (const std::int32_t tp : {1, 2, 4, 8, 16}) {
    CAPTURE(tp);
    CHECK(per_token(mla, tp) == Approx(61 * (512 + 64) * 2));
    CHECK(per_token(gqa, tp) == Approx(94 * std::max(4.0 / tp, 1.0) * (128 + 128) * 2));
  }
}

TEST_CASE("a window stops growing when it is full, a state never grows") {
  const Model model = model_of(R"({"preset": "gpt-oss-120b"})");  // half the layers see 128 tokens
  const ParallelPlan plan = read_plan(nullptr, model, 1);
  MemoryRequest request = on(k80);
  const double per_token = 18 * 8 * (64 + 64) * 2;
  for (const std::int64_t length : {1, 100, 128, 129, 5000}) {
    CAPTURE(length);
    const auto full = static_cast<double>(length), window = static_cast<double>(std::min<std::int64_t>(length, 128));
    CHECK(cache_bytes(model, plan, request, 0, length).value() == Approx(per_token * (full + window)));
  }
  request.cache_element = 1;
  CHECK(cache_bytes(model, plan, request, 0, 256).value() == Approx(per_token / 2 * (256 + 128)));

  const Model mamba = model_of(
      R"({"preset": "qwen3-30b-a3b", "attention": [{"kind": "mamba", "layers": 48, "heads": 64, "kv_heads": 8, "head_dim": 64, "state_dim": 128}]})");
  const ParallelPlan two = plan_of(R"({"tp": 2})", mamba, 2);
  for (const std::int64_t length : {1, 100000})
    CHECK(cache_bytes(mamba, two, request, 0, length).value() == Approx(48.0 * 64 / 2 * 64 * 128 * 4));
}

TEST_CASE("the caches of all stages are the model's") {
  const Model model = model_preset("qwen3-235b-a22b");
  const ParallelPlan plan = plan_of(R"({"pp": 4})", model, 4);
  Bytes sum;
  for (std::int32_t stage = 0; stage < 4; ++stage) sum += cache_bytes(model, plan, on(k80), stage, 1000);
  CHECK(sum.value() == Approx(1000 * cache_bytes_per_token(model, 2).value()));
}

TEST_CASE("the largest batch fits and one sequence more does not") {
  const Model model = model_preset("deepseek-v3");
  for (const char* json : {R"({"tp": 8})", R"({"attention_dp": 8})", R"({"tp": 2, "pp": 2})"}) {
    CAPTURE(json);
    const ParallelPlan plan = plan_of(json, model, 8);
    const MemoryRequest request = on(k141 * 1.2);
    const std::int64_t largest = largest_batch(model, plan, request);
    REQUIRE(largest > 1);
    CHECK(memory_fit(model, plan, request, largest).fits());
    const MemoryFit over = memory_fit(model, plan, request, largest + 1);
    CHECK_FALSE(over.fits());
    CHECK(over.largest == largest);
    CHECK((over.use.total() - over.missing).value() == Approx(over.usable.value()));
    CHECK(largest_batch(model, plan, request, 2) == 2);
  }
  // By hand: nothing but caches depends on the batch as long as prefill sets the activations.
  const ParallelPlan plan = plan_of(R"({"tp": 8})", model, 8);
  const MemoryRequest request = on(k141);
  const Bytes left = request.utilization * k141 - gpu_memory(model, plan, request, 0, 0).total();
  CHECK(largest_batch(model, plan, request) ==
        static_cast<std::int64_t>(left / cache_bytes(model, plan, request, 0, request.sequence_tokens)));
}

TEST_CASE("of several stages the fullest decides") {
  const Model model = model_preset("deepseek-v3");
  const ParallelPlan plan = plan_of(R"({"pp": 4, "tp": 2, "attention_dp": 1})", model, 8);
  const MemoryFit fit = memory_fit(model, plan, on(k141), 1);
  for (std::int32_t stage = 0; stage < 4; ++stage)
    CHECK(gpu_memory(model, plan, on(k141), stage, 1).total() <= fit.use.total());
  CHECK(fit.stage != 0);  // it has the dense layers
}

TEST_CASE("activations are the residual twice beside the widest part of a layer") {
  // Dense layers of width 18432 in stage 0; logits of 64 sequences in the last stage.
  const Model model = model_preset("deepseek-v3");
  const ParallelPlan plan = plan_of(R"({"tp": 8, "pp": 61})", model, 8 * 61);
  const double tokens = 1000, residual = 2 * tokens * 7168 * 2;
  CHECK(activation_bytes(model, plan, 0, tokens, 64, 1).value() ==
        Approx(residual + 2 * tokens * std::max(7168 + 3 * 18432 / 8.0, 512 + 64 + 16 * (2 * 192 + 2 * 128.0))));
  const double selections = tokens * 8 / 8;  // one copy of attention, EP8
  const double experts = selections * (2 * 7168 + 3 * 2048) + tokens * 3 * 2048 / 8;
  CHECK(activation_bytes(model, plan, 30, tokens, 64, 1).value() == Approx(residual + 2 * experts));
  CHECK(activation_bytes(model, plan, 30, tokens, 64, 2).value() ==
        Approx(residual + 2 * (experts + selections * (2 * 7168 + 3 * 2048))));
  CHECK(activation_bytes(model, plan, 60, 1, 10000, 1).value() == Approx(2 * 7168 * 2 + 10000 * 129280 / 8.0 * 4));
}

TEST_CASE("what does not fit says by how much") {
  const Model model = model_preset("mixtral-8x7b");
  const MemoryRequest request = on(k80);
  const MemoryFit fit = memory_fit(model, read_plan(nullptr, model, 1), request, 1);
  const std::string text = describe(fit, request);
  CHECK(text == Contains("a GPU needs " + base::to_string(fit.use.total()) +
                         " of the 77.3 GB that may be used (90.0 % of 85.9 GB), " + base::to_string(fit.missing) +
                         " too much"));
  CHECK(text == Contains("weights " + base::to_string(weight_bytes(model))));
  CHECK(text == Contains("not even one sequence fits"));
  CHECK(fit.missing.value() == Approx(fit.use.total().value() - 0.9 * k80.value()));
}

TEST_CASE("the memory section is read with its defaults and refused with the place") {
  const auto read = [](const std::string& json) {
    const JsonText text(json);
    return read_memory(&text.node, k80);
  };
  CHECK(read_memory(nullptr, k80).utilization == MemoryRequest{}.utilization);
  const MemoryRequest request = read(R"({"utilization": 0.8, "cache": "fp8", "prefill_tokens": 512, "other": "1 GB"})");
  CHECK(request.utilization == 0.8);
  CHECK(request.cache_element == 1);
  CHECK(request.prefill_tokens == 512);
  CHECK(request.other == Bytes(1e9));
  CHECK(request.capacity == k80);
  CHECK(input_error([&] { read(R"({"utilization": 90})"); }) == Contains("/utilization"));
  CHECK(input_error([&] { read(R"({"cache": "int3"})"); }) == Contains("/cache"));
  CHECK(input_error([&] { read(R"({"other": 5})"); }) == Contains("/other"));
}

}  // namespace
}  // namespace moesim::workloads
