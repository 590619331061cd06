// Kernel "ideal": raw link rates, no start-up, no SMs. To check closed forms, and as the bound of what kernels can
// reach.
#include "sim/lowering/communication.h"

namespace moesim::lowering {
namespace {

class Ideal : public CommunicationKernel {
 public:
  std::string_view name() const override { return "ideal"; }

  std::vector<std::string> assumptions() const override {
    return {"communication kernel \"ideal\": raw link rates, no start-up time, no SMs taken from compute"};
  }

  std::string refusal(const topology::Cluster& /*cluster*/, const profile::Profile& /*profile*/) const override {
    return "";
  }

  LoweredExchange lower(Network& network, const TokenExchange& spec,
                        std::span<const engine::EventId> after) const override {
    const workloads::Traffic& traffic = *spec.traffic;
    engine::Exchange exchange;
    exchange.name = spec.name;
    exchange.ranks = traffic.ranks;
    for (std::int32_t from = 0; from < traffic.ranks; ++from) {
      for (std::int32_t to = 0; to < traffic.ranks; ++to) {
        const std::int32_t tokens = spec.reversed ? traffic.at(to, from) : traffic.at(from, to);
        if (from == to || tokens == 0) continue;
        exchange.flows.push_back({network.path(from, to), from, to, tokens * spec.bytes_per_token.value()});
      }
    }
    LoweredExchange lowered{network.graph().add_exchange(std::move(exchange), after), {}};
    for (std::int32_t rank = 0; rank < traffic.ranks; ++rank) lowered.start.push_back(lowered.events.start(rank));
    return lowered;
  }
};

}  // namespace

std::unique_ptr<CommunicationKernel> make_ideal(const KernelOptions& /*options*/) { return std::make_unique<Ideal>(); }

}  // namespace moesim::lowering
