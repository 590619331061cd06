// Physical impossibilities that no engine may return: checked after every run.
#pragma once

#include "results/timeline.h"
#include "sim/engine/task_graph.h"

namespace moesim::engine {

// Throws InternalError naming the first violation of:
//   - every event has a finite time, not before its prerequisites;
//   - no flow is faster than its path's raw capacities, its rate cap and, to its receivers, its latency allow;
//   - no compute is faster than launch + alone;
//   - no resource carried more in an exchange, or in the whole run, than its capacity times the time.
// `slack` is the relative error that the engine may make (its tolerance, and rounding).
void check_guard_rails(const TaskGraph& graph, const results::Timeline& timeline, double slack = 1e-9);

}  // namespace moesim::engine
