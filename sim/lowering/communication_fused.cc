// Kernel "fused_moe": fused_moe.h on a layer's routing; sim/step lowers it, since the experts are part of it.
#include "base/error.h"
#include "sim/lowering/communication.h"
#include "sim/lowering/fused_moe.h"

namespace moesim::lowering {
namespace {

class Fused : public CommunicationKernel {
 public:
  std::string_view name() const override { return "fused_moe"; }

  std::vector<std::string> assumptions() const override {
    return {
        "communication kernel \"fused_moe\": dispatch, experts and combine as one kernel, fitted on GB300 up to 8 "
        "ranks; "
        "it takes all SMs, so that the shared expert runs before it"};
  }

  double log_error(const topology::Router& /*router*/, const profile::Profile& profile,
                   bool /*reversed*/) const override {
    return profile.kernel(fused_moe_kernels().front().name).log_error();
  }

  bool fused() const override { return true; }

  void check(const topology::Cluster& cluster, const profile::Profile& profile) const override {
    require_gpu_profile(*this, profile);
    if (nvlink_domains(cluster) != 1) {
      throw base::InputError("", "", "fused_moe runs inside one NVLink domain only, not across NICs",
                             "\"deepep_low_latency\", \"deepep_normal\" or \"nccl_alltoall\"");
    }
    if (profile.family != "blackwell") {
      throw base::InputError("", "", "fused_moe is a kernel of data-center Blackwell, this GPU is a " + profile.name,
                             "a B200, B300, GB200 or GB300");
    }
  }

  LoweredExchange lower(Network& /*network*/, const TokenExchange& /*exchange*/,
                        std::span<const engine::EventId> /*after*/) const override {
    throw base::InternalError("fused_moe is not lowered exchange by exchange");
  }
};

}  // namespace

std::unique_ptr<CommunicationKernel> make_fused_moe(const KernelOptions& /*options*/) {
  return std::make_unique<Fused>();
}

}  // namespace moesim::lowering
