// What a GEMM's cost must obey, whatever its fitted parameters are.
#include "sim/lowering/gemm.h"

#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include "sim/lowering/expert_compute.h"
#include "sim/lowering/gemm_tiles.h"
#include "tests/approx.h"

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
      check(profile, dtype, profile.kernel(gemm_kernel(dtype)));
    }
  }
}

}  // namespace

TEST_CASE("no GEMM is faster than the tensor cores and the HBM of the datasheet allow") {
  for_every_gpu_and_format([](const profile::Profile& profile, Dtype dtype, const auto& parameters) {
    for (const std::int64_t m : {1, 100, 1000, 32768}) {
      for (const std::int64_t n : {128, 7168, 65536}) {
        for (const std::int64_t k : {128, 7168, 65536}) {
          const KernelCost cost = gemm_cost({m, n, k, dtype}, profile, parameters);
          const double operations = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
          const double bytes = static_cast<double>((m + n) * k) * workloads::bits_per_weight(dtype) / 8 +
                               2.0 * static_cast<double>(m * n);
          CHECK(cost.total > base::Flops(operations) / tensor_rate(profile, dtype));
          CHECK(cost.total > base::Bytes(bytes) / profile.hbm_bandwidth.value);
          CHECK(cost.total >= cost.launch + std::max(cost.tensor, cost.memory) * (1 - 1e-12));
        }
      }
    }
  });
}

TEST_CASE("a GEMM that grows in m, n or k never gets faster") {
  for_every_gpu_and_format([](const profile::Profile& profile, Dtype dtype, const auto& parameters) {
    const auto total = [&](std::int64_t m, std::int64_t n, std::int64_t k) {
      return gemm_cost({m, n, k, dtype}, profile, parameters).total.value();
    };
    for (std::int64_t size = 1; size < 20000; size += 1 + size / 5) {
      const std::int64_t next = size + 1 + size / 5;
      CAPTURE(size);
      CHECK(total(next, 4096, 4096) >= total(size, 4096, 4096));
      CHECK(total(256, next, 4096) >= total(256, size, 4096));
      CHECK(total(256, 4096, next) >= total(256, 4096, size) * (1 - 1e-12));
    }
  });
}

TEST_CASE("no rows cost the launch and nothing else") {
  for_every_gpu_and_format([](const profile::Profile& profile, Dtype dtype, const auto& parameters) {
    const KernelCost cost = gemm_cost({0, 4096, 4096, dtype}, profile, parameters);
    CHECK(cost.total == cost.launch);
    CHECK(cost.launch.value() == parameters.at("t0") * 1e-6);
    CHECK(cost.tensor.value() == 0);
    CHECK(cost.memory.value() == 0);
  });
}

TEST_CASE("a large product takes its operations over the share of the peak that full tiles reach") {
  const profile::Profile profile = profile::profile_preset("h100");
  const auto parameters = profile.kernel("gemm_bf16");
  // 132 SMs, so a whole number of waves of 128 x 256 tiles.
  const std::int64_t m = std::int64_t{128} * 132, n = std::int64_t{256} * 64, k = 16384;
  const KernelCost cost = gemm_cost({m, n, k, Dtype::Bf16}, profile, parameters);
  const double watts_per_tflops = profile.power.value.value() / (profile.bf16.value.value() * 1e-12);
  const double sustained =
      parameters.at("F") * std::pow(watts_per_tflops, parameters.at("power")) * profile.bf16.value.value();
  const double ideal = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) / sustained;
  CHECK(cost.total.value() > ideal);
  CHECK(cost.total.value() < 1.1 * ideal);
}

TEST_CASE("many waves multiply at the rate that all SMs sustain under their power limit") {
  const profile::Profile profile = profile::profile_preset("b200");
  const auto parameters = profile.kernel("gemm_bf16");
  const double peak = profile.bf16.value.value();
  const double sustained =
      parameters.at("F") * peak *
      std::pow(profile.power.value.value() / (profile.bf16.value.value() * 1e-12), parameters.at("power"));
  CHECK(sustained < peak);
  const auto marginal_rate = [&](std::int64_t columns) {
    const std::int64_t m = 4096, k = 4096;
    const double more = (gemm_cost({m, 2 * columns, k, Dtype::Bf16}, profile, parameters).total -
                         gemm_cost({m, columns, k, Dtype::Bf16}, profile, parameters).total)
                            .value();
    return 2.0 * static_cast<double>(m) * static_cast<double>(columns) * static_cast<double>(k) / more;
  };
  // Many waves: the sustained rate, less what the stream from HBM and the last wave cost.
  CHECK(marginal_rate(65536) < 1.01 * sustained);
  CHECK(marginal_rate(65536) > 0.8 * sustained);
}

TEST_CASE(
    "an SM's paths grow with its tensor rate: a GPU twice as fast in all but clock-bound parts takes half the time") {
  profile::Profile profile = profile::profile_preset("h100");
  const auto parameters = profile.kernel("gemm_bf16");
  const GemmShape shape{8192, 8192, 8192, Dtype::Bf16};
  const KernelCost before = gemm_cost(shape, profile, parameters);
  profile.bf16.value = profile.bf16.value * 2.0;
  profile.power.value = profile.power.value * 2.0;
  profile.hbm_bandwidth.value = profile.hbm_bandwidth.value * 2.0;
  const KernelCost after = gemm_cost(shape, profile, parameters);
  CHECK((after.total - after.launch).value() ==
        tests::Approx((before.total - before.launch).value() / 2).epsilon(0.02));
}

TEST_CASE("weights that are still in L2 are not read from HBM, and many in turn are") {
  const profile::Profile profile = profile::profile_preset("h100");
  const auto parameters = profile.kernel("gemm_bf16");
  const auto memory = [&](double weights_in_turn, std::int64_t n) {
    return gemm_cost({1, n, 1024, Dtype::Bf16, weights_in_turn}, profile, parameters).memory.value();
  };
  const double l2 = profile.l2.value.value();
  const auto small = static_cast<std::int64_t>(l2 / 20 / (2 * 1024)),
             large = static_cast<std::int64_t>(l2 / (2 * 1024));
  CHECK(memory(1, small) < 0.9 * memory(0, small));
  CHECK(memory(100, small) == tests::Approx(memory(0, small)).epsilon(0.01));
  CHECK(memory(100, large) == tests::Approx(memory(0, large)).epsilon(0.01));
}

TEST_CASE("operands that outgrow L2 are read again for each strip of tiles") {
  const profile::Profile profile = profile::profile_preset("b200");
  const auto parameters = profile.kernel("gemm_nvfp4");
  // Traffic per element of depth is constant as long as a strip's operands stay in L2, and larger beyond.
  const auto memory = [&](std::int64_t k) {
    return gemm_cost({16384, 16384, k, Dtype::Nvfp4}, profile, parameters).memory.value();
  };
  const auto per_element = [&](std::int64_t k) { return (memory(2 * k) - memory(k)) / static_cast<double>(k); };
  CHECK(per_element(32) == tests::Approx(per_element(16)).epsilon(0.01));
  CHECK(per_element(65536) > 1.1 * per_element(32));
}

TEST_CASE("a tile has the rows and columns that the tensor cores' instruction takes") {
  for (const std::string_view family : {"ampere", "ada", "hopper", "blackwell", "blackwell_sm120"}) {
    for (const Dtype dtype : {Dtype::Bf16, Dtype::Fp8Block}) {
      for (const GemmTile& tile : gemm_tiles(family, dtype, 1000, 1000, 100)) {
        CHECK(tile.rows * tile.columns <= 128 * 256);
        CHECK(std::fmod(std::min(tile.rows, tile.columns), 16) == 0);
        CHECK(std::fmod(std::max(tile.rows, tile.columns), 16) == 0);
        CHECK((tile.sms == 1 || family == "hopper" || family == "blackwell"));
      }
    }
  }
}

TEST_CASE("where the largest tiles fill the SMs, kernels of warp-wide instructions take no smaller ones") {
  const double sms = 108;
  for (const std::string_view family : {"ampere", "ada", "blackwell_sm120"}) {
    CHECK(gemm_tiles(family, Dtype::Bf16, 128, 256 * sms, sms).size() == 6);
    for (const GemmTile& tile : gemm_tiles(family, Dtype::Bf16, 128, 256 * sms + 1, sms))
      CHECK(tile.rows * tile.columns == 128 * 256);
  }
}

TEST_CASE("a chip with less power per operation sustains less of its tensor rate, in every format") {
  const profile::Profile profile = profile::profile_preset("b200");
  for (const Dtype dtype : {Dtype::Bf16, Dtype::Fp8, Dtype::Fp8Block, Dtype::Nvfp4}) {
    const auto parameters = profile.kernel(gemm_kernel(dtype));
    const GemmShape shape{32768, 16384, 16384, dtype};
    profile::Profile starved = profile;
    starved.power.value = profile.power.value * 0.25;
    const double full = gemm_cost(shape, profile, parameters).tensor.value();
    const double less = gemm_cost(shape, starved, parameters).tensor.value();
    CHECK(less == tests::Approx(full * std::pow(4.0, parameters.at("power"))));
  }
}

TEST_CASE("a format that the GPU lacks is refused by name") {
  const profile::Profile profile = profile::profile_preset("a100");
  CHECK_THROWS_AS(gemm_cost({1, 1, 1, Dtype::Fp8}, profile, profile.kernel("gemm_fp8")), base::InputError);
}

TEST_CASE("the smooth maximum is the sum for p = 1, the root of squares for p = 2 and never below the larger") {
  CHECK(smooth_max(3, 4, 1) == tests::Approx(7));
  CHECK(smooth_max(3, 4, 2) == tests::Approx(5));
  CHECK(smooth_max(4, 3, 2) == smooth_max(3, 4, 2));
  CHECK(smooth_max(3, 4, 200) == tests::Approx(4));
  CHECK(smooth_max(0, 4, 3) == tests::Approx(4));
  CHECK(smooth_max(0, 0, 3) == 0);
}

}  // namespace moesim::lowering
