// DeepEP's dispatch and combine kernels as exchanges on the cluster's links.
//
// Low latency. Every choice (token, expert) is a message of its own, from GPU to GPU, over NVLink inside a node and
// RDMA between nodes. Its grid has one thread block per group of ceil(experts / SMs of the GPU) experts, so that 256
// experts keep 128 SMs busy, 160 only 80 and 8 only 8:
//   start      a + expert * experts + hidden_cost * hidden / 1024 [+ network over several nodes]
//              (launch; a counter per expert, the same number for any number of ranks, to be sent and polled; the
//              serial copy of one token; flights over the network)
//   send loop  in dispatch messages' bytes / (share * NVLink rate * (SMs used / SMs)^crowd) + (waves - 1) * wave, where
//              the tokens of a rank are dealt to the thread blocks in ceil(tokens / SMs used) waves; in combine the
//              smooth maximum (exponent 2) of bytes / (share * NVLink rate) and of bytes / (rate * (SMs used /
//              SMs)^crowd), what the thread blocks' stores under way reach on any link
//   reduce     combine: (waves - 1) * wave, and what came in beyond a share `l2` of the L2 cache was written to HBM and
//              is read back: two passes at 0.9 of its rate
//   links      NVLink at its raw rate, NICs at `nic` of theirs
// Hot receivers show on their links. Until all has come, the grid's thread blocks wait on the SMs, unless the receive
// phase is a hook that runs when the tokens are there.
//
// Normal. A budget of SMs, two per channel; a token goes once to each rank that needs it, between nodes once to each
// node (to the GPU of the sender's rail) and from there over NVLink. Tokens are dealt to the channels whole, and the
// busiest channel, with ceil(tokens / channels), is the last. Per token of a rank, with F ranks reached:
//   thread blocks  F * (message / rate + copy) / SMs for the sender, token / scan / SMs for the side that walks every
//                  token once (it binds where F is small); over several nodes every message passes through `hops` times
//                  as much work. In dispatch a copy's bytes are under way while it does its other work: the smooth
//                  maximum (exponent 2) of both instead of their sum
//   links          NVLink at `share`, NICs at `nic`
//   fill           the first chunk of each channel and peer (DeepEP's configuration: 6 tokens in dispatch, 4 in
//   combine;
//                  20 and 12 over RDMA) is sent before the receiver begins, so its time comes on top
//   cold           until the ring buffers (256 tokens per channel and peer) have wrapped once, each byte also costs
//                  1 / cold: their memory is touched for the first time
#pragma once

#include <span>
#include <string>

#include "base/units.h"
#include "calibration/profile/kernel_parameters.h"
#include "calibration/profile/profile.h"
#include "sim/lowering/copy_exchange.h"
#include "sim/lowering/expert_compute.h"
#include "sim/lowering/moe_tokens.h"

namespace moesim::lowering {

struct MoeExchange {
  std::string name;
  const MoeTokens* tokens = nullptr;  // as dispatched, also for combine
  bool combine = false;               // the way back
  double hidden = 0;
  double experts = 0;   // of all ranks
  base::Bytes message;  // of one token to one receiver
};

// "deepep_ll_dispatch", "deepep_ll_combine", "deepep_normal_dispatch", "deepep_normal_combine".
std::span<const profile::KernelModel> deepep_kernels();
std::string_view deepep_ll_kernel(bool combine);
std::string_view deepep_normal_kernel(bool combine);

// Bytes of a token as DeepEP's low-latency dispatch sends it: fp8 with one 4-byte scale per 128 values, and 16 bytes
// that say where it comes from; as its normal dispatch does: without those 16 bytes; in combine: bf16.
base::Bytes deepep_ll_dispatch_bytes(double hidden);
base::Bytes deepep_normal_dispatch_bytes(double hidden);
base::Bytes deepep_combine_bytes(double hidden);

// `parameters` are those of the kernels named above. start[rank] waits for after[rank] (all at time 0 if empty);
// done[rank] is when the rank has all its tokens. No tokens cost the start.
// `gpus` (by rank): whose SMs the grid holds while it runs; empty: with hooks, none.
LoweredExchange deepep_low_latency(Network& network, const MoeExchange& exchange, const profile::Profile& profile,
                                   const profile::KernelParameters& parameters,
                                   std::span<const engine::EventId> after = {},
                                   std::span<const GpuResources> gpus = {});
// `sms`: the budget of the kernel, >= 2; taken from the SMs of `gpus` (by rank; empty: nobody else needs them).
LoweredExchange deepep_normal(Network& network, const MoeExchange& exchange, double sms,
                              const profile::Profile& profile, const profile::KernelParameters& parameters,
                              std::span<const engine::EventId> after = {}, std::span<const GpuResources> gpus = {});

}  // namespace moesim::lowering
