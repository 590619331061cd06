// Kernels "deepep_low_latency" and "deepep_normal": deepep.h on a layer's routing.
#include <numeric>

#include "sim/lowering/communication.h"
#include "sim/lowering/deepep.h"

namespace moesim::lowering {
namespace {

constexpr double kDefaultSms = 20;     // of the normal kernels, DeepEP's own default
constexpr double kMessageHeader = 16;  // bytes that say where a low-latency message comes from

class DeepEp : public CommunicationKernel {
 public:
  DeepEp(bool low_latency, const KernelOptions& options)
      : low_latency_(low_latency), hook_(options.hook), sms_(options.sms > 0 ? options.sms : kDefaultSms) {}

  std::string_view name() const override { return low_latency_ ? "deepep_low_latency" : "deepep_normal"; }

  std::vector<std::string> assumptions() const override {
    if (low_latency_) {
      return {std::string(
                  "communication kernel \"deepep_low_latency\": fitted start-up and rates; every choice of a token is "
                  "a message; ") +
              (hook_ ? "hooks receive: it holds no SMs while tokens travel" : "it holds its SMs while tokens travel")};
    }
    return {"communication kernel \"deepep_normal\" with " + std::to_string(static_cast<int>(sms_)) +
            " SMs: fitted start-up and rates; a token goes once to each node and is forwarded there over NVLink"};
  }

  double log_error(const topology::Router& /*router*/, const profile::Profile& profile, bool reversed) const override {
    return profile.kernel(low_latency_ ? deepep_ll_kernel(reversed) : deepep_normal_kernel(reversed)).log_error();
  }

  TokenNeeds needs() const override { return {low_latency_, !low_latency_}; }

  std::string refusal(const topology::Cluster& cluster, const profile::Profile& /*profile*/) const override {
    const std::int32_t domains = nvlink_domains(cluster);
    const bool nvlink = domains != 0 && domains != static_cast<std::int32_t>(cluster.gpus.size());
    return nvlink ? "" : "needs NVLink between the GPUs of a node";
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
    // Low latency: every choice; normal: one copy per node, or per rank within one node; a rank's own included.
    const MoeTokens& tokens = *spec.tokens;
    const std::vector<double>& counted = low_latency_       ? tokens.selections
                                         : tokens.nodes > 1 ? tokens.node_copies
                                                            : tokens.copies;
    const double logical = std::accumulate(counted.begin(), counted.end(), 0.0) * spec.bytes_per_token.value();
    LoweredExchange lowered;
    if (low_latency_) {
      if (!spec.reversed) exchange.message += base::Bytes(kMessageHeader);
      lowered =
          deepep_low_latency(network, exchange, *spec.profile, spec.profile->kernel(deepep_ll_kernel(spec.reversed)),
                             after, hook_ ? std::span<const GpuResources>() : spec.gpus);
    } else {
      lowered = deepep_normal(network, exchange, sms_, *spec.profile,
                              spec.profile->kernel(deepep_normal_kernel(spec.reversed)), after, spec.gpus);
    }
    lowered.logical_bytes = logical;
    return lowered;
  }

 private:
  bool low_latency_;
  bool hook_;
  double sms_;
};

}  // namespace

std::unique_ptr<CommunicationKernel> make_deepep_low_latency(const KernelOptions& options) {
  return std::make_unique<DeepEp>(true, options);
}
std::unique_ptr<CommunicationKernel> make_deepep_normal(const KernelOptions& options) {
  return std::make_unique<DeepEp>(false, options);
}

}  // namespace moesim::lowering
