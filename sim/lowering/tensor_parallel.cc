#include "sim/lowering/tensor_parallel.h"

#include <cmath>

namespace moesim::lowering {
namespace {

using engine::EventId;
using engine::ExchangeEvents;

constexpr double kOneShotOfFour = 512 * 1024, kOneShotOfEight = 256 * 1024, kTwoShots = 8 * 1024 * 1024;
constexpr double kUnmeasuredLogError = 0.3;  // beside that of NCCL's parameters (assumed)

bool one_nvlink_domain(const topology::Router& group) {
  const topology::Graph& graph = group.graph();
  const std::int32_t domain = graph.device(group.gpus().front()).domain;
  for (const topology::DeviceId gpu : group.gpus())
    if (graph.device(gpu).domain != domain) return false;
  return domain >= 0;
}

bool one_shot(std::size_t ranks, double bytes) {
  return ranks == 2 || (ranks <= 4 && bytes <= kOneShotOfFour) || (ranks <= 8 && bytes <= kOneShotOfEight);
}

struct Shot {
  double launch = 0;   // seconds before anything moves
  double latency = 0;  // of the flags
  double share = 1;    // of the links
};

// Every rank writes `bytes` to each other rank.
ExchangeEvents write_to_all(Network& group, const std::string& name, double bytes, const Shot& shot,
                            std::span<const EventId> after) {
  engine::TaskGraph& graph = group.graph();
  const auto ranks = static_cast<std::int32_t>(group.router().gpus().size());
  std::vector<EventId> started(after.begin(), after.end());
  if (shot.launch > 0) {
    for (std::int32_t rank = 0; rank < ranks; ++rank) {
      engine::Compute launch{name + ": start", rank, base::Duration(shot.launch), base::Duration(0), {}};
      const auto waits = after.empty() ? after : after.subspan(static_cast<std::size_t>(rank), 1);
      const EventId done = graph.add_compute(std::move(launch), waits).done;
      if (after.empty())
        started.push_back(done);
      else
        started[static_cast<std::size_t>(rank)] = done;
    }
  }
  engine::Exchange exchange;
  exchange.name = name;
  exchange.ranks = ranks;
  for (std::int32_t from = 0; from < ranks && bytes > 0; ++from) {
    for (std::int32_t to = 0; to < ranks; ++to) {
      if (from == to) continue;
      const engine::PathId path = group.path(from, to, {shot.share, 1}, base::Duration(shot.latency));
      exchange.flows.push_back({path, from, to, bytes});
    }
  }
  return graph.add_exchange(std::move(exchange), started);
}

}  // namespace

ExchangeEvents tensor_parallel_lower(Network& group, const std::string& name, NcclOp op, base::Bytes bytes,
                                     const profile::Profile& profile, std::span<const EventId> after) {
  const auto ranks = static_cast<std::int32_t>(group.router().gpus().size());
  const bool near = one_nvlink_domain(group.router());
  if (!profile.ideal && (!near || bytes.value() > kTwoShots)) {
    const NcclCall call{name, op, ranks, bytes, true};
    const auto parameters = profile.kernel(nccl_kernel(op, nccl_fabric(group.router(), profile.family, ranks)));
    return nccl_lower(group, call, profile, parameters, after);
  }
  Shot shot;
  if (!profile.ideal) {
    const auto parameters = profile.kernel("nccl_nvlink");
    shot = {profile.launch.value.value(), 2e-6 * parameters.at("hop_ll"), parameters.at("e")};
  }
  const double part = bytes.value() / ranks;
  if (op != NcclOp::AllReduce) return write_to_all(group, name, part, shot, after);
  if (one_shot(group.router().gpus().size(), bytes.value()))
    return write_to_all(group, name, bytes.value(), shot, after);
  const ExchangeEvents reduced = write_to_all(group, name + ": reduce", part, shot, after);
  std::vector<EventId> ready;
  for (std::int32_t rank = 0; rank < ranks; ++rank) ready.push_back(reduced.done(rank));
  shot.launch = 0;  // the same kernel
  return write_to_all(group, name + ": gather", part, shot, ready);
}

double tensor_parallel_log_error(const topology::Router& group, const profile::Profile& profile) {
  if (profile.ideal) return 0;
  const auto ranks = static_cast<std::int32_t>(group.gpus().size());
  const double nccl =
      profile.kernel(nccl_kernel(NcclOp::AllReduce, nccl_fabric(group, profile.family, ranks))).log_error();
  return one_nvlink_domain(group) ? std::hypot(nccl, kUnmeasuredLogError) : nccl;
}

}  // namespace moesim::lowering
