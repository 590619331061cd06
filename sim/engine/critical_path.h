// Why a run took as long as it did: the chain of causes that ends at the last event.
#pragma once

#include <vector>

#include "results/timeline.h"
#include "sim/engine/task_graph.h"

namespace moesim::engine {

struct PathStep {
  enum class Kind : std::uint8_t { Compute, Flow };
  Kind kind = Kind::Compute;
  std::uint32_t task = 0;  // index of the compute or exchange
  std::size_t flow = 0;    // index of the flow in the exchange
  bool delivered = false;  // the step ends at the flow's delivery (drained + latency), else when it is drained
  base::Duration start;
  base::Duration end;
};

// In order of time; each step starts when the one before it ends, the first at 0 and the last at timeline.makespan
// (barriers take no time and are left out). Of several prerequisites that fired last at the same time, the first listed
// counts.
std::vector<PathStep> critical_path(const TaskGraph& graph, const results::Timeline& timeline);

}  // namespace moesim::engine
