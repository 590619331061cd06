// How sure a ratio of two throughputs is.
//
// The time of every part of a step is known up to a factor whose logarithm is normal, with the 80 % interval that the
// part's kernel earned. Parts that use the same fitted parameters (the same kernel on the same family of GPUs) are
// wrong together: one draw serves both sides, so that what they share cancels in the ratio. All other parts are
// independent.
#pragma once

#include <cstdint>
#include <vector>

#include "results/curve.h"

namespace moesim::planning {

struct Draws {
  std::int64_t count = 200;
  std::uint64_t seed = 1;
};

// By what the time of a run is multiplied in one draw.
double stretch(const results::StepRun& run, const Draws& draws, std::int64_t draw);

// Runs of one cluster: [options][by rising batch].
using RunsByOption = std::vector<std::vector<results::StepRun>>;

// The best of all options; where none reaches it, the one that comes nearest.
results::OperatingPoint best_point(const RunsByOption& runs, double users);

// Throughput of `target` over that of `baseline`, both at their best with at least `users` tokens/s/user. The interval
// is of those draws in which both reach it.
results::Ratio ratio(const RunsByOption& baseline, const RunsByOption& target, double users, const Draws& draws);

}  // namespace moesim::planning
