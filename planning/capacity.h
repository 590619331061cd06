// How many GPUs of which kind, wired how, serve a load of requests within given times?
//
// An instance is one scenario's cluster with its plan, serving in a steady state (sim/steady_state.h). More running
// requests make its steps slower and serve more, so each option is run at rising batches until one of the times is
// missed or memory is full; between two batches its time is taken as linear. The load is shared out to as many
// instances as it takes, evenly: nothing is left for bursts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "planning/curve.h"
#include "results/capacity.h"
#include "sim/steady_state.h"

namespace moesim::planning {

struct CapacityKind {
  std::string name;
  std::vector<CurveOption> options;  // decode steps of whole models; batch, kv_tokens and prompts are set here
  StepFunction run;
  std::optional<double> price;  // of a GPU for an hour, in any currency
};

struct CapacityRequest {
  std::vector<CapacityKind> kinds;
  sim::RequestShape shape;
  double requests_per_s = 0;
  base::Duration per_token;    // mean time per output token, at most
  base::Duration first_token;  // mean time to the first token without a queue, at most; 0: not asked for
  std::int32_t batches = 12;   // of an option, at most, beside those near the best one
  Draws draws;
  int threads = 1;  // kinds at a time; the outcome is the same
};

results::Capacity plan_capacity(const CapacityRequest& request);

// The scenario with so many running requests in each copy of attention; a step with or without prompts.
base::Json serving_scenario(const base::Json& scenario, const sim::RequestShape& shape, std::int64_t batch,
                            std::int64_t prefill_tokens);

}  // namespace moesim::planning
