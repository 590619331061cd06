// What the expert kernels' costs must obey, whatever their fitted parameters are.
#include "sim/lowering/grouped_gemm.h"

#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include "sim/lowering/expert_compute.h"
#include "sim/lowering/wide_ep_experts.h"
#include "tests/approx.h"
#include "workloads/power_law.h"

namespace moesim::lowering {
namespace {

using workloads::Dtype;

template <class Check>
void for_every_gpu_and_format(Check check) {
  for (const std::string& name : profile::profile_presets()) {
    const profile::Profile profile = profile::profile_preset(name);
    if (profile.ideal) continue;
    for (const Dtype dtype : {Dtype::Bf16, Dtype::Fp8, Dtype::Fp8Block, Dtype::Nvfp4}) {
      if (dtype != Dtype::Bf16 && !(dtype == Dtype::Nvfp4 ? profile.fp4 : profile.fp8)) continue;
      const std::string format(workloads::to_string(dtype));
      CAPTURE(name);
      CAPTURE(format);
      check(profile, dtype, profile.kernel(grouped_gemm_kernel(dtype)));
    }
  }
}

std::vector<ExpertLoad> even_loads(std::int64_t tokens, std::int32_t top_k, std::int32_t experts, std::int32_t ranks) {
  std::vector<ExpertLoad> loads;
  const auto selections = workloads::even_selections(tokens, top_k, experts);
  for (const std::int64_t count : workloads::most_loaded_rank(selections, ranks))
    loads.push_back({static_cast<double>(count), 1});
  return loads;
}

GroupedGemmShape deepseek(std::int64_t tokens, std::int32_t ranks, Dtype dtype) {
  auto loads = even_loads(tokens, 8, 256, ranks);
  double fullest = 0;
  for (const ExpertLoad& load : loads) fullest = std::max(fullest, load.tokens);
  return {tokens,           8,      256, 256 / ranks, {7168, 2048, workloads::bits_per_weight(dtype) / 8, dtype},
          std::move(loads), fullest};
}

ExpertRates perfect(double overlap) { return {1, 1, 0, overlap}; }

}  // namespace

TEST_CASE("an expert layer that grows under balanced routing never gets faster") {
  for_every_gpu_and_format([](const profile::Profile& profile, Dtype dtype, const auto& parameters) {
    for (const std::int32_t ranks : {1, 8, 256}) {
      double last = 0;
      for (std::int64_t tokens = 0; tokens < 40000; tokens += 1 + tokens / 7) {
        CAPTURE(ranks);
        CAPTURE(tokens);
        const double time = grouped_gemm_cost(deepseek(tokens, ranks, dtype), profile, parameters).total.value();
        CHECK(time >= last * (1 - 1e-12));
        last = time;
      }
    }
  });
}

TEST_CASE("no expert layer is faster than its weights' HBM and its selections' arithmetic allow") {
  for_every_gpu_and_format([](const profile::Profile& profile, Dtype dtype, const auto& parameters) {
    for (const std::int64_t tokens : {1, 16, 257, 4096, 65536}) {
      const GroupedGemmShape shape = deepseek(tokens, 8, dtype);
      double selections = 0, hit = 0;
      for (const ExpertLoad& load : shape.loads) {
        selections += load.tokens;
        hit += load.tokens > 0 ? 1 : 0;
      }
      const double elements = 3.0 * 7168 * 2048;
      const KernelCost cost = grouped_gemm_cost(shape, profile, parameters);
      CAPTURE(tokens);
      CHECK(cost.total > base::Bytes(hit * elements * shape.matrices.weight_bytes) / profile.hbm_bandwidth.value);
      CHECK(cost.total > base::Flops(2 * selections * elements) / tensor_rate(profile, dtype));
    }
  });
}

TEST_CASE("no tokens cost the launch and nothing else") {
  for_every_gpu_and_format([](const profile::Profile& profile, Dtype dtype, const auto& parameters) {
    const KernelCost cost = grouped_gemm_cost(deepseek(0, 8, dtype), profile, parameters);
    CHECK(cost.total == cost.launch);
    CHECK(cost.launch.value() == parameters.at("t0") * 1e-6);
    CHECK(cost.tensor.value() == 0);
    CHECK(cost.memory.value() == 0);
  });
}

TEST_CASE("experts with few tokens cost the reading of the weights that are hit, experts with many their arithmetic") {
  const profile::Profile profile = profile::profile_preset("h100");
  const ExpertMatrices matrices{4096, 14336, 2, Dtype::Bf16};
  const double weights = 3.0 * 4096 * 14336 * 2 / profile.hbm_bandwidth.value.value();
  const double tile = 2 * 3.0 * 4096 * 14336 * 128 / profile.bf16.value.value();
  constexpr double kSharp = 200;  // smooth maximum as good as sharp
  const std::vector<ExpertLoad> few{{1, 5}, {0, 3}}, many{{12800, 2}};
  CHECK(experts_time(matrices, few, 16, perfect(kSharp), profile).total == tests::Approx(5 * weights));
  CHECK(experts_time(matrices, many, 128, perfect(kSharp), profile).total == tests::Approx(2 * 100 * tile));
  CHECK(experts_time(matrices, many, 128, perfect(1), profile).total == tests::Approx(2 * (100 * tile + weights)));
}

TEST_CASE("uneven experts cost more than even ones with the same tokens") {
  const profile::Profile profile = profile::profile_preset("h100");
  const ExpertMatrices matrices{4096, 14336, 2, Dtype::Bf16};
  const std::vector<ExpertLoad> even{{512, 8}}, uneven{{128, 4}, {896, 4}};
  const ExpertRates rates{0.9, 0.9, 0.1, 2};
  CHECK(experts_time(matrices, uneven, 128, rates, profile).total >
        experts_time(matrices, even, 128, rates, profile).total);
}

TEST_CASE("each tile beyond an expert's first reads its weights again, at rho of their cost") {
  const profile::Profile profile = profile::profile_preset("h100");
  const ExpertMatrices matrices{4096, 14336, 2, Dtype::Bf16};
  const std::vector<ExpertLoad> one{{16, 1}}, three{{33, 1}};
  const double once = experts_time(matrices, one, 16, {1, 1, 0.25, 2}, profile).memory;
  CHECK(experts_time(matrices, three, 16, {1, 1, 0.25, 2}, profile).memory == tests::Approx(1.5 * once));
}

TEST_CASE("merged loads cost the same and hold the same selections") {
  const profile::Profile profile = profile::profile_preset("h100");
  const ExpertMatrices matrices{4096, 14336, 2, Dtype::Bf16};
  const std::vector<ExpertLoad> loads{{1, 1}, {15, 2}, {16, 1}, {17, 0.5}, {0, 4}, {31, 1}, {900, 1}};
  const auto merged = merge_loads(loads, 16);
  CHECK(merged.size() == 3);
  const ExpertRates rates{0.9, 0.8, 0.2, 1.7};
  const ExpertsTime all = experts_time(matrices, loads, 16, rates, profile);
  const ExpertsTime few = experts_time(matrices, merged, 16, rates, profile);
  CHECK(few.total == tests::Approx(all.total).epsilon(1e-12));
  CHECK(few.selections == tests::Approx(all.selections).epsilon(1e-12));
}

TEST_CASE("the tile is the smallest power of two from 16 to the format's largest that holds an expert's mean tokens") {
  CHECK(grouped_gemm_tile(1, 8, 256, Dtype::Bf16) == 16);
  CHECK(grouped_gemm_tile(512, 8, 256, Dtype::Bf16) == 16);
  CHECK(grouped_gemm_tile(513, 8, 256, Dtype::Bf16) == 32);
  CHECK(grouped_gemm_tile(4096, 8, 256, Dtype::Bf16) == 128);
  CHECK(grouped_gemm_tile(4097, 8, 256, Dtype::Fp8) == 256);
  CHECK(grouped_gemm_tile(1 << 20, 8, 256, Dtype::Fp8) == 256);
  CHECK(grouped_gemm_tile(1 << 20, 8, 256, Dtype::Fp8Block) == 128);
  CHECK(grouped_gemm_tile(1 << 20, 8, 256, Dtype::Nvfp4) == 128);
}

TEST_CASE("a fuller fullest expert costs its tokens' copy by its own share of the thread blocks") {
  for_every_gpu_and_format([](const profile::Profile& profile, Dtype dtype, const auto& parameters) {
    GroupedGemmShape shape = deepseek(4096, 8, dtype);
    const double before = grouped_gemm_cost(shape, profile, parameters).total.value();
    shape.fullest += 1000;
    const double expected = parameters.at("cm") * 1000 * 2 * 7168 / kBytesPerSm;
    CHECK(grouped_gemm_cost(shape, profile, parameters).total.value() - before == tests::Approx(expected));
  });
}

TEST_CASE("a format that the GPU does not compute in is refused by name") {
  const profile::Profile a100 = profile::profile_preset("a100");
  const auto parameters = profile::profile_preset("h100").kernel("grouped_gemm_fp8");
  CHECK_THROWS_WITH_AS(grouped_gemm_cost(deepseek(64, 8, Dtype::Fp8), a100, parameters),
                       doctest::Contains("\"a100\" does not compute in fp8"), base::InputError);
}

TEST_CASE("wide-EP experts: no tokens cost the launch, more never less, and never faster than the weights they read") {
  for (const std::string& name : profile::profile_presets()) {
    const profile::Profile profile = profile::profile_preset(name);
    if (profile.ideal || !profile.fp8) continue;
    for (const WideEpPhase phase : {WideEpPhase::Decode, WideEpPhase::Context}) {
      const auto parameters = profile.kernel(wide_ep_kernel(phase));
      double last = parameters.at("t0") * 1e-6;
      CAPTURE(name);
      CHECK(wide_ep_cost({phase, 0, 32, 7168, 2048, {}}, profile, parameters).total.value() == last);
      for (std::int64_t tokens = 1; tokens < 20000; tokens += 1 + tokens / 5) {
        const WideEpShape shape{phase, tokens, 32, 7168, 2048, even_loads(tokens, 8, 256, 8)};
        const double time = wide_ep_cost(shape, profile, parameters).total.value();
        CAPTURE(tokens);
        CHECK(time >= last * (1 - 1e-12));
        const double hit = static_cast<double>(std::min<std::int64_t>(32, tokens));
        CHECK(time > hit * 3 * 7168 * 2048 / profile.hbm_bandwidth.value.value());
        last = time;
      }
    }
  }
}

}  // namespace moesim::lowering
