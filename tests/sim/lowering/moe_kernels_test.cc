// The small kernels around the experts: guard rails and limits of their cost.
#include "sim/lowering/moe_kernels.h"

#include <array>

#include <doctest/doctest.h>

#include "tests/approx.h"

namespace moesim::lowering {
namespace {

using profile::KernelParameters;
using profile::Profile;
using Cost = KernelCost (*)(const TokenShape&, const Profile&, const KernelParameters&);

struct Kernel {
  const char* name;
  Cost cost;
};
constexpr std::array<Kernel, 4> kKernels{{{"rms_norm", rms_norm_cost},
                                          {"gate_topk", gate_topk_cost},
                                          {"permute", permute_cost},
                                          {"unpermute_reduce", unpermute_reduce_cost}}};

TokenShape shape(std::int64_t tokens) { return {tokens, 7168, 256, 8, base::Bytes(2)}; }

}  // namespace

TEST_CASE("small kernels without tokens cost their launch, with the ideal profile nothing") {
  const Profile h100 = profile::profile_preset("h100"), ideal = profile::profile_preset("ideal");
  for (const Kernel& kernel : kKernels) {
    CAPTURE(kernel.name);
    const KernelParameters parameters = assumed_moe_parameters(kernel.name);
    const KernelCost none = kernel.cost(shape(0), h100, parameters);
    CHECK(none.total == none.launch);
    CHECK(none.launch.value() == tests::Approx(parameters.at("t0") * 1e-6));
    CHECK(kernel.cost(shape(1000), ideal, parameters).total.value() == 0);
  }
}

TEST_CASE("small kernels grow with their tokens and are never faster than HBM and tensor cores") {
  for (const std::string& name : profile::profile_presets()) {
    const Profile profile = profile::profile_preset(name);
    if (profile.ideal) continue;
    CAPTURE(name);
    for (const Kernel& kernel : kKernels) {
      CAPTURE(kernel.name);
      const KernelParameters parameters = assumed_moe_parameters(kernel.name);
      base::Duration last(0);
      for (std::int64_t tokens = 1; tokens < 100000; tokens += 1 + tokens / 2) {
        const KernelCost cost = kernel.cost(shape(tokens), profile, parameters);
        const base::Bytes least(static_cast<double>(tokens) * 7168 * 2 * 2);  // each token in and out, or copied
        if (kernel.cost != gate_topk_cost) CHECK(cost.total > least / profile.hbm_bandwidth.value);
        if (kernel.cost == gate_topk_cost)
          CHECK(cost.total > base::Flops(2.0 * static_cast<double>(tokens) * 7168 * 256) / profile.bf16.value);
        CHECK(cost.total > last);
        last = cost.total;
      }
    }
  }
}

TEST_CASE("many tokens are permuted and summed at the rate of HBM, fp8 twice as fast as bf16") {
  const Profile profile = profile::profile_preset("h200");
  const std::int64_t tokens = 1 << 20;
  const double rate = profile.hbm_bandwidth.value.value();
  const auto seconds = [&](const char* name, Cost cost, double element) {
    const KernelParameters parameters = assumed_moe_parameters(name);
    return cost({tokens, 7168, 256, 8, base::Bytes(element)}, profile, parameters).memory.value() *
           parameters.at("bw") * rate;
  };
  const double selections = 8.0 * static_cast<double>(tokens), all = static_cast<double>(tokens) + selections;
  CHECK(seconds("permute", permute_cost, 2) == tests::Approx(all * 7168 * 2 + selections * 8));
  CHECK(seconds("permute", permute_cost, 1) == tests::Approx(all * 7168 + selections * 8));
  CHECK(seconds("unpermute_reduce", unpermute_reduce_cost, 2) == tests::Approx(all * 7168 * 2 + selections * 8));
}

TEST_CASE("what was never measured is tagged assumed and has a wide interval") {
  for (const profile::KernelModel& model : moe_kernels()) {
    CAPTURE(model.name);
    const KernelParameters parameters = assumed_moe_parameters(model.name);
    CHECK(parameters.all().size() == model.parameters.size());
    for (const auto& entry : parameters.all()) {
      CHECK(entry.second.source == profile::Source::Assumed);
      CHECK(entry.second.relative_error >= 0.5);
    }
    CHECK(parameters.log_error() >= 0.4);
  }
}

}  // namespace moesim::lowering
