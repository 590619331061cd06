#include "sim/lowering/moe_kernels.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace moesim::lowering {
namespace {

using profile::ParameterSpec;
using profile::Scope;

constexpr ParameterSpec kLaunch{"t0", "us", 2.5, 0.5, 20, 0.4, Scope::Family, "launch to end of a kernel without work"};
constexpr ParameterSpec kMemory{"bw", "1", 0.8,           0.4,
                                0.98, 0.1, Scope::Family, "share of the datasheet's HBM rate of streamed rows"};
constexpr ParameterSpec kTensor{
    "F", "1", 0.6, 0.1, 0.95, 0.3, Scope::Family, "share of the datasheet's bf16 rate of a product with few columns"};
constexpr ParameterSpec kOverlap{
    "p", "1", 3, 1, 8, 0.3, Scope::Shared, "how well work and stream overlap: 1 not at all"};
constexpr ParameterSpec work(double cycles, std::string_view meaning) {
  return {"x", "cycle", cycles, cycles / 20, cycles * 20, 0.7, Scope::Family, meaning};
}

constexpr std::array kNorm{kLaunch, kMemory, kOverlap, work(60, "time of an SM per token: its sum of squares")};
constexpr std::array kGate{kLaunch, kMemory, kTensor, kOverlap,
                           work(0.5, "time of an SM per instruction of a warp in top-k")};
constexpr std::array kPermute{kLaunch, kMemory, kOverlap, work(40, "time of an SM per selection: its place and row")};
constexpr std::array kUnpermute{kLaunch, kMemory, kOverlap,
                                work(40, "time of an SM per selection: its row and weight")};

const std::array<profile::KernelModel, 4> kModels{{
    {"rms_norm", "Streams the tokens and the residual in and out; one reduction per token.", kNorm},
    {"gate_topk", "A thin matrix product with the gate's weights, then a warp per token takes the k largest scores.",
     kGate},
    {"permute", "Reads each token once and writes it once per selection, packed by destination.", kPermute},
    {"unpermute_reduce", "Reads a token's results and writes their weighted sum.", kUnpermute},
}};

struct Work {
  double bytes = 0;
  double cycles = 0;      // of all SMs together
  double operations = 0;  // of the tensor cores, bf16
};

double number(std::int64_t size) {
  MOESIM_CHECK(size >= 0, "a negative size of a kernel");
  return static_cast<double>(size);
}

KernelCost cost_of(const Work& work, const profile::Profile& profile, const profile::KernelParameters& parameters) {
  KernelCost cost;
  if (profile.ideal) return cost;
  cost.launch = base::Duration(parameters.at("t0") * 1e-6);
  cost.memory = base::Duration(work.bytes / (parameters.at("bw") * profile.hbm_bandwidth.value.value()));
  if (work.operations > 0)
    cost.tensor = base::Duration(work.operations / (parameters.at("F") * profile.bf16.value.value()));
  const double p = parameters.at("p");
  const double issue = work.cycles / (profile.clock.value.value() * profile.sms.value);
  const double busy = smooth_max(smooth_max(cost.memory.value(), issue, p), cost.tensor.value(), p);
  cost.total = cost.launch + base::Duration(busy);
  return cost;
}

}  // namespace

std::span<const profile::KernelModel> moe_kernels() { return kModels; }

profile::KernelParameters assumed_moe_parameters(std::string_view kernel) {
  constexpr double kLogError = 0.4;  // a factor of 1.5
  for (const profile::KernelModel& model : kModels) {
    if (model.name != kernel) continue;
    profile::NamedParameters parameters = profile::uncalibrated(model).shared;
    for (auto& [name, parameter] : parameters) parameter.reference = "not measured yet";
    return {std::string(kernel),
            std::move(parameters),
            profile::Relation::OtherFamily,
            {{"", {kLogError, kLogError, kLogError}}}};
  }
  MOESIM_CHECK(false, "a kernel of moe_kernels()");
  return {};
}

profile::KernelParameters moe_parameters(std::string_view kernel, const profile::Profile& profile) {
  const bool here = std::any_of(kModels.begin(), kModels.end(), [&](const auto& m) { return m.name == kernel; });
  return here && profile.calibration(kernel) == nullptr ? assumed_moe_parameters(kernel) : profile.kernel(kernel);
}

KernelCost rms_norm_cost(const TokenShape& shape, const profile::Profile& profile,
                         const profile::KernelParameters& parameters) {
  const double tokens = number(shape.tokens);
  return cost_of({tokens * number(shape.hidden) * 4 * 2, tokens * parameters.at("x"), 0}, profile, parameters);
}

KernelCost gate_topk_cost(const TokenShape& shape, const profile::Profile& profile,
                          const profile::KernelParameters& parameters) {
  const double tokens = number(shape.tokens), hidden = number(shape.hidden);
  const double experts = number(shape.experts), topk = number(shape.topk);
  if (shape.tokens == 0) return cost_of({}, profile, parameters);
  Work work;
  work.bytes = tokens * hidden * 2 + experts * hidden * 2 + tokens * (experts * 4 + topk * 8);
  work.cycles = tokens * topk * parameters.at("x") * (experts / 32 + 10);
  work.operations = 2 * tokens * hidden * experts;
  return cost_of(work, profile, parameters);
}

KernelCost permute_cost(const TokenShape& shape, const profile::Profile& profile,
                        const profile::KernelParameters& parameters) {
  const double tokens = number(shape.tokens), selections = tokens * number(shape.topk);
  const double row = number(shape.hidden) * shape.packed_element.value();
  return cost_of({tokens * row + selections * (row + 8), selections * parameters.at("x"), 0}, profile, parameters);
}

KernelCost unpermute_reduce_cost(const TokenShape& shape, const profile::Profile& profile,
                                 const profile::KernelParameters& parameters) {
  const double tokens = number(shape.tokens), selections = tokens * number(shape.topk);
  const double row = number(shape.hidden) * 2;
  return cost_of({selections * (row + 8) + tokens * row, selections * parameters.at("x"), 0}, profile, parameters);
}

}  // namespace moesim::lowering
