// Decode steps by scenario, each run once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/json.h"
#include "results/curve.h"

namespace moesim::planning {

struct StepOutcome {
  std::string refused;  // why it cannot be; empty: it ran
  std::string place;    // of what refuses it: "/step/batch" where memory does
  results::StepRun run;
  std::string cluster, model;
  std::int32_t gpus = 0;
  std::vector<std::string> assumptions, not_modelled, warnings;

  bool ran() const { return refused.empty(); }
};

// Appends those of `from` that `into` lacks.
void add_missing(const std::vector<std::string>& from, std::vector<std::string>& into);

// Runs a scenario's document. What searches take, so that tests need no simulation.
using StepFunction = std::function<StepOutcome(const base::Json& scenario)>;

// Of a model with many alike MoE layers it can run the first few and scale their phases to all of them: attention,
// gate, dispatch, experts and combine by their number, dense networks and the head as they are. Memory is always that
// of the whole model.
class StepRunner {
 public:
  // `moe_layers`: how many to run; 0: all. `file`: beside which the scenarios' paths are.
  explicit StepRunner(std::int32_t moe_layers) : moe_layers_(moe_layers) {}

  // Safe from several threads. The same scenario is run once, unless two threads ask for it at once.
  StepOutcome operator()(const std::string& file, const base::Json& scenario);
  std::int64_t runs() const { return static_cast<std::int64_t>(known_.size()); }

 private:
  std::int32_t moe_layers_;
  std::mutex mutex_;
  std::map<std::string, StepOutcome> known_;
};

// One run, without a memory of others. Refusals about memory, plan or kernel are outcomes; other bad input throws.
StepOutcome run_step(const std::string& file, const base::Json& scenario, std::int32_t moe_layers);

}  // namespace moesim::planning
