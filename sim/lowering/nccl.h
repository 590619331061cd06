// NCCL's collectives as exchanges on the cluster's links. Their time is what an engine makes of these:
//
// Every rank waits for a launch (a), then a ring of flows rank -> next rank carries steps * S / n bytes each, with the
// latency of its hops, at most at the rate of the channels' thread blocks; then the last step copies a rank's own shard
// out of its buffer, through the same thread blocks. Per protocol (nccl_choice.h):
//   LL      hop_ll per step. Flags double what the link carries. Channels: one per 16 KB of traffic (and 4 KB per
//           channel and rank), at most 24, at `ll` GB/s each; `many` is paid by more than one.
//   LL128   a128 + hop_128 per step; links reach e128 of their raw rate.
//   Simple  a_simple + hop_simple per step; links reach e of their raw rate; thread blocks copy at `copy` GB/s, and at
//           copy / (1 + reduce) where they add int8 (a quarter of `reduce` for floating point).
//   all-reduce is a reduce-scatter followed by an all-gather.
// NVLS: of every shard one multimem read (all GPUs' links, added in the switch) and one multicast write, in chunks c of
//   8 to 64 KB (NCCL's rules) that cost c0 more each; `fill` rounds of chunks before the pipeline runs.
// Tree (over several nodes): all of S up and down a chain in each node and two binary trees of nodes.
// All-to-all: flows from every rank to every other. Messages up to 16 KB go with flags on one channel (r_ll); larger
//   ones in parts of 64 KB, each on a channel of r_part, the links at `e`; then the own share (`own`) and what lies in
//   the channels' buffers (up to 32 x 512 KB, `drain`) are copied out.
// PCIe: the same rings with the flags' and the raw rates' shares of direct links (e) and of links at a CPU (e_cpu), of
//   which a ring's single stream gets `stream`. No LL128, no NVLS, and the copies hide behind the links.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "calibration/profile/kernel_parameters.h"
#include "calibration/profile/profile.h"
#include "sim/engine/task_graph.h"
#include "sim/lowering/nccl_choice.h"
#include "sim/lowering/network.h"

namespace moesim::lowering {

struct NcclCall {
  std::string name;
  NcclOp op = NcclOp::AllGather;
  std::int32_t ranks = 0;  // the first so many of the network, >= 2
  base::Bytes bytes;       // S: of the whole gathered, reduced or exchanged buffer of one rank
  bool floating = true;    // what is reduced
};

// "nccl_nvlink", "nccl_alltoall_nvlink", "nccl_pcie".
std::span<const profile::KernelModel> nccl_kernels();
std::string_view nccl_kernel(NcclOp op, const NcclFabric& fabric);

// `parameters` are those of nccl_kernel(). start[rank] waits for after[rank] (all at time 0 if empty). Returns the
// events of the last exchange: done[rank] is when the rank has its result. No bytes cost the launch.
engine::ExchangeEvents nccl_lower(Network& network, const NcclCall& call, const profile::Profile& profile,
                                  const profile::KernelParameters& parameters,
                                  std::span<const engine::EventId> after = {});

// All-to-all of unequal messages: bytes[source * ranks + receiver], the diagonal is what stays.
engine::ExchangeEvents nccl_all_to_all_v(Network& network, const std::string& name, std::int32_t ranks,
                                         std::span<const double> bytes, const profile::Profile& profile,
                                         const profile::KernelParameters& parameters,
                                         std::span<const engine::EventId> after = {});

}  // namespace moesim::lowering
