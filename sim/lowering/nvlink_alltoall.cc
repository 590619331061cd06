#include "sim/lowering/nvlink_alltoall.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "base/error.h"
#include "sim/lowering/kernel_cost.h"

namespace moesim::lowering {
namespace {

using profile::ParameterSpec;
using profile::Scope;

constexpr double kEdge = 2.5;        // how sharply the floor gives way to the links
constexpr double kWireShare = 0.95;  // of the NVLink rate, headers taken off

constexpr std::array kCopy{
    ParameterSpec{"a", "us", 10, 2, 40, 0.5, Scope::System, "launch and synchronisation"},
    ParameterSpec{"copy", "us", 0.5, 0.02, 4, 0.7, Scope::Family, "start-up per rank that a token reaches"},
    ParameterSpec{"peer", "us", 0.1, 0.01, 1, 0.3, Scope::Family, "start-up per other rank: its flag"},
    ParameterSpec{"hosts", "us", 0.3, 0.02, 20, 1.5, Scope::Family, "start-up where the ranks span several hosts"},
    ParameterSpec{"field", "ns", 15, 0.5, 500, 1, Scope::Family, "local work per token and tensor (values, scales)"},
    ParameterSpec{"local", "ns/KiB", 2.4, 0.1, 50, 0.7, Scope::Family, "local work per KiB of a token"},
    ParameterSpec{"share", "1", 0.65, 0.3, 0.95, 0.1, Scope::Family, "share of the NVLink rate"},
};
constexpr std::array kPrepare{
    ParameterSpec{"a", "us", 11, 2, 40, 0.5, Scope::System, "launch and synchronisation"},
    ParameterSpec{"peer", "us", 0.3, 0.01, 2, 0.7, Scope::Family, "start-up per other rank: its counts"},
    ParameterSpec{"token", "ns", 7, 0.5, 50, 1, Scope::Family, "per token: its experts sorted by rank"},
    ParameterSpec{"token_peer", "ns", 0.03, 0.001, 1, 1, Scope::Family, "per token and rank"},
};

constexpr std::string_view kMechanism =
    "Start-up (launch, per rank reached, per peer), then per token the smooth maximum of the local work on its top-k "
    "slots and of its remote copies over a share of the NVLink rate.";
constexpr std::string_view kPrepareMechanism =
    "Start-up and a count per peer, then a pass over the tokens to sort their experts by rank; moves no tokens.";

const std::array<profile::KernelModel, 6> kModels{{
    {"nvlink_one_sided_dispatch", kMechanism, kCopy},
    {"nvlink_one_sided_combine", kMechanism, kCopy},
    {"nvlink_two_sided_dispatch", kMechanism, kCopy},
    {"nvlink_two_sided_combine", kMechanism, kCopy},
    {"nvlink_two_sided_combine_low_precision", kMechanism, kCopy},
    {"nvlink_two_sided_prepare", kPrepareMechanism, kPrepare},
}};

bool several_hosts(const Network& network, std::int32_t ranks) {
  std::set<std::int32_t> hosts;
  for (std::int32_t rank = 0; rank < ranks; ++rank)
    hosts.insert(network.router().graph().device(network.router().gpus()[static_cast<std::size_t>(rank)]).node);
  return hosts.size() > 1;
}

}  // namespace

std::span<const profile::KernelModel> nvlink_alltoall_kernels() { return kModels; }
std::string_view to_string(NvlinkKernel kernel) { return kModels[static_cast<std::size_t>(kernel)].name; }

base::Bytes nvlink_alltoall_bytes(double hidden, std::string_view dtype) {
  if (dtype == "fp8") return base::Bytes(hidden);
  if (dtype == "nvfp4") return base::Bytes(hidden / 2 + hidden / 16);
  MOESIM_CHECK(dtype == "bfloat16", "number format of an all-to-all");
  return base::Bytes(2 * hidden);
}

base::Bytes nvlink_low_precision_bytes(double hidden) { return base::Bytes(hidden + hidden / 8); }

LoweredExchange nvlink_alltoall(Network& network, NvlinkKernel kernel, const MoeExchange& exchange, double fields,
                                const profile::KernelParameters& parameters, std::span<const engine::EventId> after) {
  const MoeTokens& tokens = *exchange.tokens;
  const auto n = static_cast<std::size_t>(tokens.ranks);
  const double message = exchange.message.value();
  CopyExchange copy;
  copy.name = exchange.name;
  copy.ranks = tokens.ranks;
  copy.shares = {kWireShare, kWireShare};
  copy.bytes.assign(n * n, 0);
  if (kernel == NvlinkKernel::Prepare) {
    copy.start.resize(n);
    for (std::size_t rank = 0; rank < n; ++rank) {
      const double pass =
          tokens.tokens[rank] * 1e-9 * (parameters.at("token") + parameters.at("token_peer") * tokens.ranks);
      copy.start[rank] =
          smooth_max(1e-6 * (parameters.at("a") + parameters.at("peer") * (tokens.ranks - 1)), pass, 1.0);
    }
    return add_copy_exchange(network, copy, after);
  }

  const double floor = (parameters.at("field") * fields + parameters.at("local") * message / 1024) * 1e-9;
  std::vector<double> loop(n, 0);
  double reached = 1;  // ranks per token
  for (std::size_t rank = 0; rank < n; ++rank) {
    double copies = 0;
    for (std::size_t to = 0; to < n; ++to) {
      const double count = tokens.copies[rank * n + to];
      copies += count;
      (exchange.combine ? copy.bytes[to * n + rank] : copy.bytes[rank * n + to]) = count * message;
    }
    const double own = tokens.tokens[rank];
    if (own > 0) reached = std::max(reached, copies / own);
    const double remote = copies - tokens.copies[rank * n + rank];
    const double link = parameters.at("share") * network.nvlink_rate(static_cast<std::int32_t>(rank)).value();
    loop[rank] = smooth_max(own * floor, link > 0 ? remote * message / link : 0, kEdge);
  }
  double start = parameters.at("a") + parameters.at("copy") * reached + parameters.at("peer") * (tokens.ranks - 1);
  if (several_hosts(network, tokens.ranks)) start += parameters.at("hosts");
  copy.start.assign(n, start * 1e-6);
  // The rank whose tokens they are does the work: it sends them out, and adds up what comes back.
  (exchange.combine ? copy.receive_loop : copy.send_loop) = std::move(loop);
  return add_copy_exchange(network, copy, after);
}

}  // namespace moesim::lowering
