#include "sim/lowering/fused_moe.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace moesim::lowering {
namespace {

using engine::EventId;
using profile::ParameterSpec;
using profile::Scope;

constexpr int kChunks = 4;

constexpr std::array kParameters{
    ParameterSpec{"t0", "us", 58, 10, 200, 0.3, Scope::Family, "launch, barriers between the ranks, tokens or not"},
    ParameterSpec{"tE", "us", 0.2, 0.02, 2, 0.5, Scope::Family, "looking at one local expert"},
    ParameterSpec{"bw", "1", 0.8, 0.4, 0.98, 0.1, Scope::Family,
                  "share of the datasheet's HBM rate of streamed weights"},
    ParameterSpec{"F", "1", 0.6, 0.3, 0.95, 0.15, Scope::Family,
                  "share of the datasheet's fp8 rate that full tiles reach"},
    ParameterSpec{"p", "1", 3, 1.2, 12, 0.3, Scope::Shared, "how well an expert's weights and arithmetic overlap"},
    ParameterSpec{"share", "1", 0.6, 0.2, 0.95, 0.15, Scope::Family, "share of the NVLink rate, each direction"},
};

const std::array<profile::KernelModel, 1> kModels{{
    {"fused_moe_fp8_fp4",
     "Start-up and a scan of the local experts, then chunks of tokens in a pipeline of dispatch, experts (per expert "
     "with "
     "tokens the smooth maximum of streaming its weights and of its padded tiles' arithmetic) and combine.",
     kParameters},
}};

std::vector<EventId> all_done(const engine::ExchangeEvents& events) {
  std::vector<EventId> done;
  for (std::int32_t rank = 0; rank < events.ranks; ++rank) done.push_back(events.done(rank));
  return done;
}

// A chunk of the copies, or of the results on their way back.
engine::ExchangeEvents add_chunk(Network& network, const FusedMoe& layer, bool back, double share,
                                 std::span<const EventId> after) {
  engine::Exchange exchange;
  exchange.name = layer.name + (back ? ": combine" : ": dispatch");
  exchange.ranks = layer.ranks;
  const auto n = static_cast<std::size_t>(layer.ranks);
  for (std::size_t from = 0; from < n; ++from) {
    for (std::size_t to = 0; to < n; ++to) {
      const double copies = (back ? layer.copies[to * n + from] : layer.copies[from * n + to]) / kChunks;
      if (from == to || copies <= 0) continue;
      const auto source = static_cast<std::int32_t>(from), receiver = static_cast<std::int32_t>(to);
      exchange.flows.push_back({network.path(source, receiver, {share, share}), source, receiver,
                                copies * (back ? layer.combine_bytes : layer.dispatch_bytes)});
    }
  }
  return network.graph().add_exchange(std::move(exchange), after);
}

}  // namespace

std::span<const profile::KernelModel> fused_moe_kernels() { return kModels; }

FusedEvents fused_moe(Network& network, const FusedMoe& layer, const profile::Profile& profile,
                      const profile::KernelParameters& parameters, std::span<const EventId> after,
                      std::span<const GpuResources> gpus) {
  const auto n = static_cast<std::size_t>(layer.ranks);
  MOESIM_CHECK(layer.copies.size() == n * n && layer.loads.size() == n, "shape of a fused MoE layer");
  engine::TaskGraph& graph = network.graph();
  const double start = 1e-6 * (parameters.at("t0") + parameters.at("tE") * layer.local_experts);
  const ExpertRates rates{parameters.at("bw"), parameters.at("F"), 0, parameters.at("p")};
  FusedEvents result;
  std::vector<EventId> arrived, computed(n, engine::kOrigin);
  std::vector<engine::Compute> work;  // one chunk's experts
  for (std::size_t rank = 0; rank < n; ++rank) {
    const auto number = static_cast<std::int32_t>(rank);
    engine::Compute launch{layer.name + ": start", number, base::Duration(start), base::Duration(0), {}};
    const auto waits = after.empty() ? after : after.subspan(rank, 1);
    const engine::ComputeEvents launched = graph.add_compute(std::move(launch), waits);
    result.start.push_back(launched.start);
    arrived.push_back(launched.done);
    const ExpertsTime time = experts_time(layer.matrices, layer.loads[rank], kFusedTile, rates, profile);
    const base::Duration chunk(time.total / kChunks);
    engine::Compute experts{layer.name + ": experts", number, chunk, base::Duration(0), {}};
    if (!gpus.empty() && time.total > 0) {
      experts.launch = base::Duration(0);
      experts.alone = chunk;
      const double hbm = profile.hbm_bandwidth.value.value() * std::min(1.0, time.memory / time.total);
      experts.uses = {{gpus[rank].sms, profile.sms.value}, {gpus[rank].hbm, hbm}};
    }
    work.push_back(std::move(experts));
    result.tensor_share.push_back(time.total > 0 ? std::min(1.0, time.tensor / time.total) : 0);
  }
  std::vector<EventId> ends;
  for (int chunk = 0; chunk < kChunks; ++chunk) {
    const auto dispatch = add_chunk(network, layer, false, parameters.at("share"), arrived);
    arrived = all_done(dispatch);
    for (std::size_t rank = 0; rank < n; ++rank) {
      const std::array<EventId, 2> waits{arrived[rank], computed[rank]};
      computed[rank] = graph.add_compute(work[rank], waits).done;
    }
    result.done = all_done(add_chunk(network, layer, true, parameters.at("share"), computed));
    ends.insert(ends.end(), result.done.begin(), result.done.end());
  }
  result.end = graph.add_event(layer.name + ": end", ends);
  return result;
}

}  // namespace moesim::lowering
