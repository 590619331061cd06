// TensorRT-LLM's all-to-all kernels inside one NVLink domain as exchanges.
//
//   start      a + copy * (largest number of ranks that a token reaches) + peer * (ranks - 1) [+ hosts, where the ranks
//              live on several hosts]
//   loop       per token the smooth maximum (exponent kEdge) of the thread blocks' local work on its top_k slots
//              (field * fields + local * bytes / 1024), which does not depend on where they live, and of the copies
//              that go to other ranks, over `share` of the NVLink rate
// So the dependence on the number of ranks comes from how many copies of a token are remote (top_k * (1 - 1 / ranks)
// from top_k ranks on), not from a fitted exponent.
//
// Two-sided kernels (a first one, `prepare`, exchanges the counts) push in dispatch and in combine; one-sided kernels
// write into the receivers' memory in dispatch and read from it in combine. `combine_low_precision` quantises first.
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
                                const profile::KernelParameters& parameters,
                                std::span<const engine::EventId> after = {});

}  // namespace moesim::lowering
