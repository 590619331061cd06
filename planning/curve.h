// Throughput per GPU against tokens/s/user of several clusters, each at its best over batch and options.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "planning/ratio.h"
#include "planning/step_runner.h"

namespace moesim::planning {

// One way to run on a cluster.
struct CurveOption {
  std::string name;  // "" where a cluster has but one
  base::Json scenario;
};

struct CurveCluster {
  std::string name;
  std::vector<CurveOption> options;
  StepFunction run;
  StepFunction bound;  // the same scenario's closed-form bound; empty: nothing is pruned by bounds
};

struct CurveRequest {
  std::vector<CurveCluster> clusters;
  std::size_t baseline = 0;
  std::vector<double> users;  // tokens/s/user, ascending
  std::int32_t batches = 20;  // runs of an option at most: batches rise geometrically from 1 to the largest
  Draws draws;
  int threads = 1;  // clusters at a time; the outcome is the same
};

// Larger batches than the first that is slower than all that is asked for are not run. With several options, a batch is
// not run where its bound (a step that takes no longer than any) does not beat what another option has reached.
results::CurveComparison make_curve(const CurveRequest& request);

// 1 ... largest, geometric, without repetitions.
std::vector<std::int64_t> batch_grid(std::int64_t largest, std::int32_t count);

}  // namespace moesim::planning
