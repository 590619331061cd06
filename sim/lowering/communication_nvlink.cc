// Kernels "nvlink_one_sided" and "nvlink_two_sided": nvlink_alltoall.h on a layer's routing.
#include "sim/lowering/communication.h"
#include "sim/lowering/nvlink_alltoall.h"

namespace moesim::lowering {
namespace {

class NvlinkAllToAll : public CommunicationKernel {
 public:
  explicit NvlinkAllToAll(bool one_sided) : one_sided_(one_sided) {}

  std::string_view name() const override { return one_sided_ ? "nvlink_one_sided" : "nvlink_two_sided"; }

  std::vector<std::string> assumptions() const override {
    return {"communication kernel \"" + std::string(name()) +
            "\": fitted start-up and rates of GB200 up to 8 ranks; what start-up gains beyond is assumed"};
  }

  double log_error(const topology::Router& /*router*/, const profile::Profile& profile, bool reversed) const override {
    const NvlinkKernel dispatch = one_sided_ ? NvlinkKernel::OneSidedDispatch : NvlinkKernel::Dispatch;
    const NvlinkKernel combine = one_sided_ ? NvlinkKernel::OneSidedCombine : NvlinkKernel::Combine;
    return profile.kernel(to_string(reversed ? combine : dispatch)).log_error();
  }

  TokenNeeds needs() const override { return {!one_sided_, false}; }

  std::string refusal(const topology::Cluster& cluster, const profile::Profile& /*profile*/) const override {
    return nvlink_domains(cluster) == 1 ? "" : "runs inside one NVLink domain only";
  }

  LoweredExchange lower(Network& network, const TokenExchange& spec,
                        std::span<const engine::EventId> after) const override {
    MoeExchange exchange;
    exchange.name = spec.name;
    exchange.tokens = spec.tokens;
    exchange.combine = spec.reversed;
    exchange.hidden = spec.model->dispatch_width();
    exchange.experts = spec.tokens->experts_per_rank * spec.tokens->ranks;
    exchange.message = spec.bytes_per_token;
    const auto add = [&](NvlinkKernel kernel, std::span<const engine::EventId> waits) {
      const double fields = spec.reversed || exchange.message.value() >= exchange.hidden ? 1 : 2;
      return nvlink_alltoall(network, kernel, exchange, fields, *spec.profile, spec.profile->kernel(to_string(kernel)),
                             waits);
    };
    if (one_sided_) return add(spec.reversed ? NvlinkKernel::OneSidedCombine : NvlinkKernel::OneSidedDispatch, after);
    if (spec.reversed)
      return add(low_precision(spec) ? NvlinkKernel::CombineLowPrecision : NvlinkKernel::Combine, after);
    const LoweredExchange prepared = add(NvlinkKernel::Prepare, after);
    std::vector<engine::EventId> counted;
    for (std::int32_t rank = 0; rank < prepared.events.ranks; ++rank) counted.push_back(prepared.events.done(rank));
    return {add(NvlinkKernel::Dispatch, counted).events, prepared.start};
  }

 private:
  // Results of fewer bytes than bf16 are quantised first.
  static bool low_precision(const TokenExchange& spec) {
    return spec.bytes_per_token.value() < 2.0 * spec.model->hidden;
  }

  bool one_sided_;
};

}  // namespace

std::unique_ptr<CommunicationKernel> make_nvlink_one_sided(const KernelOptions& /*options*/) {
  return std::make_unique<NvlinkAllToAll>(true);
}
std::unique_ptr<CommunicationKernel> make_nvlink_two_sided(const KernelOptions& /*options*/) {
  return std::make_unique<NvlinkAllToAll>(false);
}

}  // namespace moesim::lowering
