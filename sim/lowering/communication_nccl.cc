// Kernels "nccl_alltoall" (one copy of a token per rank that needs it), "allgather_reducescatter" (every rank gets all
// tokens and returns a partial sum for all of them: vLLM's default path) and "hierarchical_2d" (two all-to-alls: inside
// each node to the GPU of the receiver's rail, then along the rails), by nccl.h.
#include "sim/lowering/communication.h"
#include "sim/lowering/nccl.h"

namespace moesim::lowering {
namespace {

class Nccl : public CommunicationKernel {
 public:
  explicit Nccl(bool all_to_all) : all_to_all_(all_to_all) {}

  std::string_view name() const override { return all_to_all_ ? "nccl_alltoall" : "allgather_reducescatter"; }

  std::vector<std::string> assumptions() const override {
    if (all_to_all_)
      return {"communication kernel \"nccl_alltoall\": NCCL's all-to-all of packed tokens; packing is not modelled"};
    return {
        "communication kernel \"allgather_reducescatter\": every GPU receives all tokens, and returns a partial sum "
        "for each"};
  }

  double log_error(const topology::Router& router, const profile::Profile& profile, bool reversed) const override {
    const auto ranks = static_cast<std::int32_t>(router.gpus().size());
    return profile.kernel(nccl_kernel(op(reversed), nccl_fabric(router, profile.family, ranks))).log_error();
  }

  bool gathers_all() const override { return !all_to_all_; }

  std::string refusal(const topology::Cluster& cluster, const profile::Profile& /*profile*/) const override {
    return cluster.gpus.size() < 2 ? "needs two GPUs" : "";
  }

  LoweredExchange lower(Network& network, const TokenExchange& spec,
                        std::span<const engine::EventId> after) const override {
    const workloads::Traffic& traffic = *spec.traffic;
    const std::int32_t ranks = traffic.ranks;
    const auto parameters = spec.profile->kernel(
        nccl_kernel(op(spec.reversed), nccl_fabric(network.router(), spec.profile->family, ranks)));
    const std::size_t first = network.graph().computes().size();  // the launches come first, one per rank
    LoweredExchange lowered;
    if (all_to_all_) {
      std::vector<double> bytes;
      for (std::int32_t from = 0; from < ranks; ++from)
        for (std::int32_t to = 0; to < ranks; ++to)
          bytes.push_back((spec.reversed ? traffic.at(to, from) : traffic.at(from, to)) * spec.bytes_per_token.value());
      lowered.events = nccl_all_to_all_v(network, spec.name, ranks, bytes, *spec.profile, parameters, after);
    } else {
      double tokens = 0;
      for (const double own : spec.tokens->tokens) tokens += own;
      const NcclCall call{spec.name, op(spec.reversed), ranks, tokens * spec.bytes_per_token, true};
      lowered.events = nccl_lower(network, call, *spec.profile, parameters, after);
    }
    for (std::int32_t rank = 0; rank < ranks; ++rank)
      lowered.start.push_back(network.graph().compute_events()[first + static_cast<std::size_t>(rank)].start);
    return lowered;
  }

 private:
  NcclOp op(bool reversed) const {
    if (all_to_all_) return NcclOp::AllToAll;
    return reversed ? NcclOp::ReduceScatter : NcclOp::AllGather;
  }

  bool all_to_all_;
};

class Hierarchical : public CommunicationKernel {
 public:
  std::string_view name() const override { return "hierarchical_2d"; }

  std::vector<std::string> assumptions() const override {
    return {
        "communication kernel \"hierarchical_2d\": two NCCL all-to-alls, inside the nodes to the GPU of the receiver's "
        "rail, then along the rails; packing is not modelled"};
  }

  double log_error(const topology::Router& router, const profile::Profile& profile, bool /*reversed*/) const override {
    const auto ranks = static_cast<std::int32_t>(router.gpus().size());
    return profile.kernel(nccl_kernel(NcclOp::AllToAll, nccl_fabric(router, profile.family, ranks))).log_error();
  }

  std::string refusal(const topology::Cluster& cluster, const profile::Profile& /*profile*/) const override {
    const std::int32_t domains = nvlink_domains(cluster);
    const bool several = domains >= 2 && domains < static_cast<std::int32_t>(cluster.gpus.size());
    return several ? "" : "needs several nodes with NVLink inside";
  }

  LoweredExchange lower(Network& network, const TokenExchange& spec,
                        std::span<const engine::EventId> after) const override {
    const workloads::Traffic& traffic = *spec.traffic;
    const std::int32_t ranks = traffic.ranks, per_node = ranks / spec.tokens->nodes;
    const auto n = static_cast<std::size_t>(ranks);
    // From the sender to the GPU of its node on the receiver's rail, and from there to the receiver.
    std::vector<double> inside(n * n, 0), along(n * n, 0);
    for (std::int32_t from = 0; from < ranks; ++from) {
      for (std::int32_t to = 0; to < ranks; ++to) {
        const double bytes = traffic.at(from, to) * spec.bytes_per_token.value();
        const std::int32_t relay = from / per_node * per_node + to % per_node;
        const auto f = static_cast<std::size_t>(from), t = static_cast<std::size_t>(to),
                   r = static_cast<std::size_t>(relay);
        (spec.reversed ? inside[r * n + f] : inside[f * n + r]) += bytes;
        (spec.reversed ? along[t * n + r] : along[r * n + t]) += bytes;
      }
    }
    const auto parameters =
        spec.profile->kernel(nccl_kernel(NcclOp::AllToAll, nccl_fabric(network.router(), spec.profile->family, ranks)));
    const std::size_t first = network.graph().computes().size();  // the launches come first, one per rank
    const auto stage = [&](const char* what, const std::vector<double>& bytes, std::span<const engine::EventId> waits) {
      return nccl_all_to_all_v(network, spec.name + what, ranks, bytes, *spec.profile, parameters, waits);
    };
    const auto one = spec.reversed ? stage(": along the rails", along, after) : stage(": inside nodes", inside, after);
    std::vector<engine::EventId> ready;
    for (std::int32_t rank = 0; rank < ranks; ++rank) ready.push_back(one.done(rank));
    LoweredExchange lowered{
        spec.reversed ? stage(": inside nodes", inside, ready) : stage(": along the rails", along, ready), {}};
    for (std::int32_t rank = 0; rank < ranks; ++rank)
      lowered.start.push_back(network.graph().compute_events()[first + static_cast<std::size_t>(rank)].start);
    return lowered;
  }
};

}  // namespace

std::unique_ptr<CommunicationKernel> make_nccl_alltoall(const KernelOptions& /*options*/) {
  return std::make_unique<Nccl>(true);
}
std::unique_ptr<CommunicationKernel> make_allgather_reducescatter(const KernelOptions& /*options*/) {
  return std::make_unique<Nccl>(false);
}
std::unique_ptr<CommunicationKernel> make_hierarchical_2d(const KernelOptions& /*options*/) {
  return std::make_unique<Hierarchical>();
}

}  // namespace moesim::lowering
