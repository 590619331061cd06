// The tasks of a ModelStep. Private to sim/step/model_step*.cc.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/step/explain.h"
#include "sim/step/model_step.h"
#include "sim/step/step_graph.h"
#include "sim/step/waiting.h"

namespace moesim::step {

// What a phase of the result is made of.
struct PhaseTasks {
  std::string name;
  // Equal work on all ranks of a stage: a layer of a micro-batch.
  std::vector<std::vector<engine::ComputeEvents>> computes;
  std::vector<std::int32_t> stage;         // [as computes] whose ranks they are
  std::vector<std::vector<double>> loads;  // [as computes][ranks], or empty
  std::vector<ExchangeOfTokens> exchanges;
  std::vector<Meeting> meetings;  // the exchanges and collectives in which ranks wait for each other
  double log_error = 0;
};

struct ModelStepTasks {
  ModelStepTasks(const ModelStep& step, const topology::Router& router) : graph(*step.cluster, *step.profile, router) {}
  StepGraph graph;
  std::vector<PhaseTasks> phases;  // in the order in which they first appear
  std::vector<std::unique_ptr<MoeLayerTasks>> moe_layers;
  PhaseTasks& phase(const std::string& name);
};
std::unique_ptr<ModelStepTasks> lower_model_step(const ModelStep& step, const topology::Router& router);

}  // namespace moesim::step
