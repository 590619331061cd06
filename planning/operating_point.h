// The best throughput of a cluster with at least so many tokens/s/user.
//
// More sequences in a batch make a step slower and a GPU busier, so the best batch is the largest whose step still
// takes no more than 1 / users, or a smaller one that was run and does better. Between two batches that were run, a
// step's time is taken as linear in the batch. Where even the largest batch that fits is fast enough, memory binds;
// where a batch of one is too slow, the point is out of reach.
#pragma once

#include <vector>

#include "planning/step_runner.h"

namespace moesim::planning {

// From runs of one option, by rising batch. Each run takes stretch[i] times as long as it says (empty: 1). Beyond the
// last run, unless it is of the largest batch, its line is continued.
results::OperatingPoint operating_point(const std::vector<results::StepRun>& runs, double users,
                                        const std::vector<double>& stretch = {});

// Runs a batch of one, one near `guess`, then the two neighbours of the best batch on a fixed ladder of batches:
// scenarios that are alike are compared on the same batches, and a change without effect changes nothing. `runs` gets
// the batch of one and those two, by rising batch.
results::OperatingPoint find_operating_point(const StepFunction& run, const base::Json& scenario, double users,
                                             double guess, std::vector<results::StepRun>& runs);

}  // namespace moesim::planning
