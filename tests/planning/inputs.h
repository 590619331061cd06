// A decode step with a formula in place of a simulation.
#pragma once

#include <algorithm>

#include <nlohmann/json.hpp>

#include "planning/step_runner.h"

namespace moesim::planning {

// {"step": {"batch": B}, "fixed": a, "slope": b, "memory": M}: a step of a + b B seconds on one GPU, at most M
// sequences.
inline StepOutcome formula_step(const base::Json& scenario) {
  const auto batch = scenario["step"]["batch"].get<std::int64_t>();
  const std::int64_t memory = scenario.value("memory", 1000);
  StepOutcome out;
  out.gpus = 1;
  if (batch > memory) {
    out.refused = "does not fit";
    return out;
  }
  const double time = scenario.value("fixed", 0.01) + scenario.value("slope", 0.001) * static_cast<double>(batch);
  out.run.batch = batch;
  out.run.largest_batch = memory;
  out.run.sequences_per_gpu = static_cast<double>(batch);
  out.run.users = 1 / time;
  out.run.per_gpu = static_cast<double>(batch) / time;
  out.run.parts = {{scenario.value("kernel", "a"), 1, scenario.value("error", 0.2)}};
  return out;
}

inline std::vector<results::StepRun> formula_runs(base::Json scenario, const std::vector<std::int64_t>& batches) {
  std::vector<results::StepRun> runs;
  for (const std::int64_t batch : batches) {
    scenario["step"]["batch"] = batch;
    runs.push_back(formula_step(scenario).run);
  }
  return runs;
}

}  // namespace moesim::planning
