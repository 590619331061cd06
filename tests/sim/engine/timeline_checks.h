// What any timeline of a task graph must satisfy, whichever engine made it.
#pragma once

#include <string>
#include <vector>

#include "results/timeline.h"
#include "sim/engine/task_graph.h"

namespace moesim::tests {

// Equal to `tolerance`, relative to the larger.
bool agree(double a, double b, double tolerance);

// The first place where two timelines of one graph differ by more than `tolerance`, relative; "" if they agree.
std::string difference(const engine::TaskGraph& graph, const results::Timeline& a, const results::Timeline& b,
                       double tolerance);

// What flows and computes ask of each resource in all: sum of amount * per_unit.
std::vector<double> demand(const engine::TaskGraph& graph);

// max over resources of demand / largest capacity: no makespan is below it.
double lower_bound(const engine::TaskGraph& graph);

// No resource is above its capacity: what begins and ends within an interval must have fitted into it. Checked for all
// intervals from a start to an end, to 1e-9; "" or the first that is overfull.
std::string overload(const engine::TaskGraph& graph, const results::Timeline& timeline);

}  // namespace moesim::tests
