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

constexpr double kEdge = 2.5;               // how sharply local work gives way to the links
constexpr double kReadsOverlap = 2;         // later reads under the answers to the first
constexpr double kWireShare = 0.95;         // of the NVLink rate, headers taken off
constexpr std::int32_t kWarpsPerBlock = 8;  // of a two-sided kernel: peers that a block serves

constexpr ParameterSpec kLaunch{"a", "us", 10, 2, 40, 0.5, Scope::System, "launch and synchronisation"};
constexpr ParameterSpec kCopy{"copy", "us", 0.5, 0.02, 4, 0.7, Scope::Family, "start-up per rank that a token reaches"};
constexpr ParameterSpec kShare{"share", "1", 0.65, 0.3, 0.95, 0.1, Scope::Family, "share of the NVLink rate"};

constexpr ParameterSpec kWarpField{
    "field", "us", 0.5, 0.02, 20, 1, Scope::Family, "a warp's work per message and tensor (values, scales)"};
constexpr ParameterSpec kWarpBytes{"local", "us/KiB", 0.1,           0.004,
                                   2,       0.7,      Scope::Family, "a warp's work per KiB of a message"};
constexpr std::array kTwoSidedDispatch{kLaunch, kCopy, kWarpField, kWarpBytes, kShare};
constexpr std::array kTwoSidedCombine{
    kLaunch,
    kCopy,
    kWarpField,
    kWarpBytes,
    kShare,
    ParameterSpec{"hbm", "1", 0.8, 0.3, 0.98, 0.1, Scope::Family, "share of the HBM rate of adding up the results"}};
constexpr std::array kOneSided{
    kLaunch,
    kCopy,
    ParameterSpec{"hosts", "us", 1, 0.02, 20, 1.5, Scope::Family, "answers of GPUs of other hosts"},
    ParameterSpec{"field", "ns", 5, 0.2, 500, 1, Scope::Family, "local work per token and tensor (values, scales)"},
    ParameterSpec{"local", "ns/KiB", 1, 0.05, 50, 0.7, Scope::Family, "local work per KiB of a token"},
    kShare,
};
constexpr std::array kPrepare{
    ParameterSpec{"a", "us", 11, 2, 40, 0.5, Scope::System, "launch and synchronisation"},
    ParameterSpec{"last", "us", 0.7, 0.05, 5, 0.7, Scope::Family, "wait for the last rank, per factor e of ranks"},
    ParameterSpec{"token", "ns", 7, 0.5, 50, 1, Scope::Family, "per token: a block per rank walks through them all"},
};

constexpr std::string_view kTwoSidedMechanism =
    "Start-up (launch, per rank reached), then the smooth maximum of the messages of one warp, which serves one peer "
    "on "
    "one of the channels, and of the remote copies over a share of the NVLink rate; combine adds up the results in "
    "HBM.";
constexpr std::string_view kOneSidedMechanism =
    "Start-up (launch, per rank reached, far hosts), and per token the smooth maximum of local work and of remote "
    "copies over a share of the NVLink rate; writes are waited for at the end, reads overlap with their latency.";
constexpr std::string_view kPrepareMechanism =
    "Start-up, the wait for the last rank's counts, and a pass over the tokens, by one block for each rank; moves "
    "none.";

const std::array<profile::KernelModel, 6> kModels{{
    {"nvlink_one_sided_dispatch", kOneSidedMechanism, kOneSided},
    {"nvlink_one_sided_combine", kOneSidedMechanism, kOneSided},
    {"nvlink_two_sided_dispatch", kTwoSidedMechanism, kTwoSidedDispatch},
    {"nvlink_two_sided_combine", kTwoSidedMechanism, kTwoSidedCombine},
    {"nvlink_two_sided_combine_low_precision", kTwoSidedMechanism, kTwoSidedCombine},
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

double nvlink_channels(double sms, std::int32_t ranks) {
  const std::int32_t blocks = (ranks + kWarpsPerBlock - 1) / kWarpsPerBlock;
  return std::max(1.0, std::floor(std::floor(sms / 2) / (2 * blocks)));
}

LoweredExchange nvlink_alltoall(Network& network, NvlinkKernel kernel, const MoeExchange& exchange, double fields,
                                const profile::Profile& profile, const profile::KernelParameters& parameters,
                                std::span<const engine::EventId> after) {
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
    const double start = parameters.at("a") + parameters.at("last") * std::log(tokens.ranks);
    for (std::size_t rank = 0; rank < n; ++rank)
      copy.start[rank] = 1e-6 * start + 1e-9 * parameters.at("token") * tokens.tokens[rank];
    return add_copy_exchange(network, copy, after);
  }

  const bool one_sided = kernel == NvlinkKernel::OneSidedDispatch || kernel == NvlinkKernel::OneSidedCombine;
  const double unit = one_sided ? 1e-9 : 1e-6;
  const double piece = unit * (parameters.at("field") * fields + parameters.at("local") * message / 1024);
  const double channels = nvlink_channels(profile.sms.value, tokens.ranks);
  std::vector<double> loop(n, 0);
  double reached = 1;  // ranks per token
  for (std::size_t rank = 0; rank < n; ++rank) {
    double copies = 0, most = 0;
    for (std::size_t to = 0; to < n; ++to) {
      const double count = tokens.copies[rank * n + to];
      copies += count;
      most = std::max(most, count);
      (exchange.combine ? copy.bytes[to * n + rank] : copy.bytes[rank * n + to]) = count * message;
    }
    const double own = tokens.tokens[rank];
    if (own > 0) reached = std::max(reached, copies / own);
    const double remote = copies - tokens.copies[rank * n + rank];
    const double link = parameters.at("share") * network.nvlink_rate(static_cast<std::int32_t>(rank)).value();
    const double local = piece * (one_sided ? own : std::ceil(most / channels));
    loop[rank] = smooth_max(local, link > 0 ? remote * message / link : 0, kEdge);
  }
  const double latency = 1e-6 * (parameters.at("copy") * reached +
                                 (one_sided && several_hosts(network, tokens.ranks) ? parameters.at("hosts") : 0));
  const bool reads = kernel == NvlinkKernel::OneSidedCombine;
  copy.start.assign(n, 1e-6 * parameters.at("a") + (reads ? 0 : latency));
  if (reads)
    for (double& seconds : loop) seconds = smooth_max(latency, seconds, kReadsOverlap);
  if (exchange.combine && !one_sided) {
    const double rate = parameters.at("hbm") * profile.hbm_bandwidth.value.value();
    copy.tail.resize(n);
    for (std::size_t rank = 0; rank < n; ++rank) {
      double results = 0;  // of a token's choices; its ranks', where those are not known
      for (std::size_t to = 0; to < n; ++to)
        results += tokens.selections.empty() ? tokens.copies[rank * n + to] : tokens.selections[rank * n + to];
      copy.tail[rank] = (results + tokens.tokens[rank]) * deepep_combine_bytes(exchange.hidden).value() / rate;
    }
  }
  // The rank whose tokens they are does the work: it sends them out, and adds up what comes back.
  (exchange.combine ? copy.receive_loop : copy.send_loop) = std::move(loop);
  return add_copy_exchange(network, copy, after);
}

}  // namespace moesim::lowering
