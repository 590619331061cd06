// How far a batched run is from an exact one, measured on a sample: the tolerance is a knob, not a bound.
#pragma once

#include "results/result.h"
#include "results/timeline.h"
#include "sim/engine/task_graph.h"

namespace moesim::step {

// Clusters up to this size are their own sample; of larger ones the largest exchange among so many ranks, by itself.
inline constexpr std::int32_t kSampleRanks = 144;

// `batched` is the run of `graph` at `tolerance` > 0 among `ranks` ranks; the exact one is made here. Errors are
// relative: of a flow's last byte, and of the end of the sample, both counted from time 0.
results::BatchingError measure_batching(const engine::TaskGraph& graph, const results::Timeline& batched,
                                        std::int32_t ranks, double tolerance);

}  // namespace moesim::step
