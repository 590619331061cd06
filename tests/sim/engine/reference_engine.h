// What the engines are tested against: progressive filling, from scratch, in long double, at every moment at which
// anything changes. Slow, short, and written to be believed; expresses every TaskGraph (see sim/engine/task_graph.h).
#pragma once

#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sim/engine/engine.h"

namespace moesim::tests {

// Somebody who makes progress by consuming resources: a flow, or a Compute (cap 1).
struct Mover {
  std::vector<engine::Use> uses;  // a resource named twice counts with the sum
  long double cap = std::numeric_limits<long double>::infinity();
};

// Max-min fair rates: all rise together; a mover stops at its first full resource or at its cap. `capacity` is indexed
// by resource and may be zero. Returns a rate for each mover.
std::vector<long double> progressive_filling(std::span<const long double> capacity, std::span<const Mover> movers);

// The certificate. Rates are max-min fair exactly when no resource carries more than its capacity and every mover has a
// bottleneck: its cap reached, or a full resource on which nobody is faster. Returns "" or says what is violated by
// more than `tolerance`, relative.
std::string max_min_violation(std::span<const long double> capacity, std::span<const Mover> movers,
                              std::span<const long double> rates, long double tolerance);

// Certifies its rates at every solve (to 1e-12; InternalError otherwise) and integrates Timeline.carried from them.
std::unique_ptr<engine::Engine> make_reference_engine();

}  // namespace moesim::tests
