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

  std::string refusal(const topology::Cluster& cluster, const profile::Profile& profile) const override {
    if (nvlink_domains(cluster) != 1) return "runs inside one NVLink domain only";
    if (profile.family != "blackwell") return "is a kernel of data-center Blackwell, this GPU is a " + profile.name;
    return "";
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
