// TensorRT-LLM's all-to-all kernels inside one NVLink domain as exchanges.
//
// Two-sided: half of the SMs run blocks of 8 warps (fewer for fewer ranks), half of these send, half receive; a warp
// serves one peer on one channel, so that there are floor(SMs / 4 / ceil(ranks / 8)) channels. `prepare` counts first.
//   start   a + copy * (largest number of ranks that a token reaches)
//   loop    the smooth maximum (exponent kEdge) of a warp's messages, ceil(copies to the peer / channels), at
//           field * fields + local * bytes / 1024 each, and of all copies to other ranks over `share` of the NVLink
//           rate
//   reduce  combine adds up a token's top_k results and writes the sum: passes over HBM at `hbm` of its rate
// One-sided: a thread block per token writes its copies into the receivers' memory, or reads them from there.
//   start   a, and what the first copies and, where the ranks live on several hosts, the answers of far GPUs take:
//           latency = copy * (ranks that a token reaches) [+ hosts]
//   loop    the smooth maximum (kEdge) of local work per token (field * fields + local * bytes / 1024) and of the
//   copies
//           to other ranks over `share` of the NVLink rate
//   Dispatch waits for the answers after its last write: start + latency + loop. In combine later reads are under way
//   while the first are answered: start + the smooth maximum of latency and loop (exponent kReadsOverlap).
// Flags of all peers are set and polled by the lanes of a warp at once, so no start-up grows with the ranks but the
// wait for the last of them in `prepare`, last * ln(ranks). What grows with the ranks is the number of copies, and of
// remote ones among them (top_k * (1 - 1 / ranks) from top_k ranks on), and what is lost by rounding channels.
//
// Two-sided kernels push in both directions; one-sided ones write in dispatch and read in combine.
// `combine_low_precision` quantises first. Launch geometry: TensorRT-LLM's source (fusedMoeCommKernels.h,
// moePrepareKernels.cu, moeAlltoAllKernels.cu).
#pragma once

#include <span>
#include <string_view>

#include "calibration/profile/kernel_parameters.h"
#include "calibration/profile/profile.h"
#include "sim/lowering/deepep.h"

namespace moesim::lowering {

enum class NvlinkKernel { OneSidedDispatch, OneSidedCombine, Dispatch, Combine, CombineLowPrecision, Prepare };

std::span<const profile::KernelModel> nvlink_alltoall_kernels();
std::string_view to_string(NvlinkKernel kernel);  // "nvlink_one_sided_dispatch", ...: the parameter set

// bf16 2 bytes per value; fp8 1; nvfp4 half a byte and one scale byte per 16 values.
base::Bytes nvlink_alltoall_bytes(double hidden, std::string_view dtype);
// Of the low-precision combine: fp8 values and one scale byte per 8 of them.
base::Bytes nvlink_low_precision_bytes(double hidden);

// `fields`: tensors per token, 2 where block scales travel beside the values, else 1.
// start[rank] waits for after[rank] (all at time 0 if empty). No tokens cost the start.
LoweredExchange nvlink_alltoall(Network& network, NvlinkKernel kernel, const MoeExchange& exchange, double fields,
                                const profile::Profile& profile, const profile::KernelParameters& parameters,
                                std::span<const engine::EventId> after = {});
// Channels of a two-sided kernel: warps that share the messages to one peer.
double nvlink_channels(double sms, std::int32_t ranks);

}  // namespace moesim::lowering
