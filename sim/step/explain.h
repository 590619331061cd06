// Why a layer took its time: phases, critical path, what binds, and what each link carried.
#pragma once

#include "results/result.h"
#include "results/timeline.h"
#include "sim/step/moe_layer.h"

namespace moesim::step {

// The phase of a fused kernel, and how its tasks' names begin.
inline constexpr const char* kFusedPhase = "fused kernel";

// Fills phases, critical_path, binding and links of `result`. `topology` is the graph that the tasks' ports name.
//
// A step of the critical path that is a transfer is bound by the resource on its route that was busiest (the exchange's
// bytes over raw rate times the time from the first start to the last drain of the flows that use it), or by latency
// where that makes up more than half of the step. A compute is bound by tensor cores or HBM, whichever its roofline
// names, or by its launch.
void explain(const MoeLayer& layer, const MoeLayerGraph& tasks, const topology::Graph& topology,
             const results::Timeline& timeline, results::Result& result);

}  // namespace moesim::step
