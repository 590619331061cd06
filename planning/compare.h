// Several scenarios side by side: speedups against one of them.
#pragma once

#include <string>
#include <vector>

#include "results/comparison.h"
#include "sim/scenario.h"

namespace moesim::planning {

// Runs all scenarios, `threads` at a time (results do not depend on it), and compares them with the one named
// `baseline` (empty: the first). Throws InputError for an unknown or ambiguous baseline.
results::Comparison compare(const std::vector<sim::Scenario>& scenarios, const std::string& baseline, int threads);

}  // namespace moesim::planning
