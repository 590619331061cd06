// Kernels "nccl_alltoall" (one copy of a token per rank that needs it) and "allgather_reducescatter" (every rank gets
// all tokens and returns a partial sum for all of them: vLLM's default path), by nccl.h.
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

  void check(const topology::Cluster& cluster, const profile::Profile& profile) const override {
    if (profile.ideal)
      throw base::InputError("", "", std::string(name()) + " needs a GPU's profile", "\"ideal\", or another profile");
    if (cluster.gpus.size() < 2) throw base::InputError("", "", std::string(name()) + " needs two GPUs", "\"ideal\"");
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

}  // namespace

std::unique_ptr<CommunicationKernel> make_nccl_alltoall(const KernelOptions& /*options*/) {
  return std::make_unique<Nccl>(true);
}
std::unique_ptr<CommunicationKernel> make_allgather_reducescatter(const KernelOptions& /*options*/) {
  return std::make_unique<Nccl>(false);
}

}  // namespace moesim::lowering
