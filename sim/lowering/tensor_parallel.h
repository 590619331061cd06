// Collectives among the GPUs that share a layer, as serving frameworks run them: reading and writing each other's
// memory inside an NVLink domain, else NCCL (nccl.h).
//
//   one shot   every rank writes its S bytes to each other rank, which adds them up
//   two shots  reduce-scatter, then all-gather: every rank writes S / n to each other rank, twice
//
// start-up: a launch, and a flag's flight before and after each shot (NCCL's hop_ll); links at NCCL's share e. One shot
// up to 512 KB among up to 4 GPUs (always among 2) and up to 256 KB among up to 8, as vLLM's custom all-reduce and
// TensorRT-LLM choose; two shots up to 8 MB, then NCCL. None of these kernels was measured: assumed.
#pragma once

#include <span>
#include <string>

#include "calibration/profile/profile.h"
#include "sim/lowering/nccl.h"
#include "sim/lowering/network.h"

namespace moesim::lowering {

// S = `bytes` of one rank's whole buffer; the ranks are all of `group`'s, at least 2. start[rank] waits for after[rank]
// (all at time 0 if empty). done[rank]: the rank has its result. With the profile "ideal" there is no start-up and
// links run at their raw rates. `op` is AllReduce, ReduceScatter or AllGather.
engine::ExchangeEvents tensor_parallel_lower(Network& group, const std::string& name, NcclOp op, base::Bytes bytes,
                                             const profile::Profile& profile, std::span<const engine::EventId> after);

// Half-width of the 80 % interval of log(true / predicted); 0 with the profile "ideal".
double tensor_parallel_log_error(const topology::Router& group, const profile::Profile& profile);

}  // namespace moesim::lowering
