#include "planning/step_runner.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <nlohmann/json.hpp>

#include "sim/scenario.h"
#include "workloads/parallel_plan.h"

namespace moesim::planning {
namespace {

using base::Json;

sim::Scenario read(const std::string& file, const Json& json) {
  return sim::read_scenario({file, std::make_shared<Json>(json), {}});
}

// The model with so many MoE layers; its attention layers are reduced in proportion, largest kinds first.
workloads::Model with_moe_layers(const workloads::Model& model, std::int32_t count) {
  workloads::Model part = model;
  const std::int32_t dense = model.layers - model.moe_layers();
  part.layers = dense + count;
  part.dense_layers = dense;
  part.moe_at.clear();
  std::int32_t left = part.layers;
  for (std::size_t i = 0; i < part.attention.size(); ++i) {
    workloads::Attention& kind = part.attention[i];
    kind.layers =
        i + 1 == part.attention.size()
            ? left
            : std::min(left, static_cast<std::int32_t>(std::lround(1.0 * kind.layers * part.layers / model.layers)));
    left -= kind.layers;
  }
  std::erase_if(part.attention, [](const workloads::Attention& kind) { return kind.layers == 0; });
  return part;
}

bool is_fixed(const std::string& phase) {
  return phase == "dense FFN" || phase == "head" || phase == "late start" || phase == "send to next stage";
}

// Time of the whole model's phases over those of the part that was run.
double scale_of(const std::string& phase, const workloads::Model& whole, const workloads::Model& part) {
  if (is_fixed(phase)) return 1;
  if (phase == "attention") return 1.0 * whole.layers / part.layers;
  return 1.0 * whole.moe_layers() / part.moe_layers();
}

// What drafts add to each phase's part of the critical path: they follow the head, and there are as many of them
// however many layers are run.
std::map<std::string, double> time_of_drafts(const results::Result& result, std::int32_t drafts) {
  std::map<std::string, double> seconds;
  bool after = false;
  for (const results::CriticalStep& step : result.critical_path) {
    if (after) seconds[step.phase] += (step.end - step.start).value();
    after = after || (drafts > 0 && step.phase == "head");
  }
  return seconds;
}

std::string parameters_of(const std::string& phase, const sim::Scenario& scenario) {
  std::string text = phase + " on " + scenario.profile.family;
  if (phase == "dispatch" || phase == "combine") text += ", " + scenario.kernel;
  if (phase == "experts" || phase == "shared expert")
    text += ", kernel " + std::to_string(static_cast<int>(scenario.expert_kernel)) + ", " +
            std::string(to_string(scenario.model.weights));
  return text;
}

// The largest batch of the whole model, for a scenario of a part of it.
std::int64_t largest_batch(const std::string& file, const Json& json, const workloads::Model& model,
                           const sim::Scenario& part) {
  Json document = {{"step", json["step"]}};
  document["step"]["batch"] = "largest";
  for (const char* key : {"plan", "memory"})
    if (json.contains(key)) document[key] = json[key];
  const base::JsonDocument whole{file, std::make_shared<Json>(document), {}};
  const base::JsonObject root(base::JsonNode(whole), {"step", "plan", "memory"});
  std::string phase;
  auto step = sim::read_model_step(root, model, static_cast<std::int32_t>(part.cluster.gpus.size()), phase);
  step.dealt = part.whole->dealt;
  sim::check_memory(root, model, part.profile, part.kernel, step);
  return step.batch;
}

StepOutcome summarise(const sim::Scenario& scenario, const workloads::Model& whole, const results::Result& result) {
  const workloads::Model& part = scenario.model;
  const results::Serving& serving = *result.serving;
  StepOutcome out;
  out.cluster = result.cluster;
  out.model = whole.name;
  out.gpus = result.gpus;
  out.assumptions = result.assumptions;
  out.not_modelled = result.not_modelled;
  out.warnings = result.warnings;
  double time = 0;
  results::StepRun& run = out.run;
  const auto drafts = time_of_drafts(result, scenario.whole->draft_tokens);
  const auto scaled = [&](const results::Phase& phase) {
    const auto found = drafts.find(phase.name);
    const double fixed = found == drafts.end() ? 0 : found->second;
    return (phase.critical.value() - fixed) * scale_of(phase.name, whole, part) + fixed;
  };
  for (const results::Phase& phase : result.phases) time += scaled(phase);
  for (const results::Phase& phase : result.phases) {
    const double share = scaled(phase) / time;
    if (share <= 0) continue;
    run.parts.push_back({parameters_of(phase.name, scenario), share, phase.error});
    if (share <= run.longest_share) continue;
    run.longest = phase.name;
    run.longest_share = share;
    run.binding = phase.binding;
  }
  const double stretch = time / result.total.value();
  run.scenario_hash = result.provenance.scenario_hash;
  run.profile_hash = result.provenance.profile_hash;
  run.plan = serving.plan;
  run.gpus = result.gpus;
  run.batch = serving.batch;
  run.largest_batch = serving.memory ? serving.memory->largest_batch : std::int64_t{1} << 20;
  run.sequences_per_gpu = static_cast<double>(serving.sequences) / result.gpus;
  run.tokens_per_step = serving.tokens_per_step;
  run.users = serving.tokens_per_s_per_user / stretch;
  run.per_gpu = serving.output_tokens_per_s_per_gpu / stretch;
  run.exposed = serving.exposed / result.total;
  run.launch = serving.launch / result.total;
  return out;
}

}  // namespace

StepOutcome run_step(const std::string& file, const Json& scenario, std::int32_t moe_layers) {
  StepOutcome refused;
  try {
    Json json = scenario;
    const base::JsonDocument document{file, std::make_shared<Json>(scenario), {}};
    const base::JsonNode root(document);
    if (!scenario.contains("step") || !scenario["step"].is_object() ||
        scenario["step"].value("scope", Json()) != "model")
      root.member("step").fail("not a whole model's step", "\"scope\": \"model\", as in examples/60-decode-step.json");
    const workloads::Model whole = workloads::read_any_model(root.member("model"));
    const bool sample = moe_layers > 0 && moe_layers < whole.moe_layers();
    if (!sample) {
      const sim::Scenario all = read(file, json);
      return summarise(all, whole, sim::run(all));
    }
    json["model"] = workloads::to_json(with_moe_layers(whole, moe_layers));
    const bool largest = json["step"].contains("batch") && json["step"]["batch"] == "largest";
    if (largest) json["step"]["batch"] = 1;
    sim::Scenario part = read(file, json);
    const std::int64_t most = largest_batch(file, scenario, whole, part);
    if (largest && most > 1) {
      json["step"]["batch"] = most;
      part = read(file, json);
    }
    if (part.whole->batch > most)
      root.member("step").member("batch").fail("at most " + std::to_string(most) + " sequences fit");
    StepOutcome out = summarise(part, whole, sim::run(part));
    out.run.largest_batch = most;
    return out;
  } catch (const base::InputError& error) {
    for (const char* place : {"/step/batch", "/plan", "/communication/kernel"})
      if (error.place().starts_with(place)) refused = {error.what(), error.place(), {}, {}, {}, 0, {}, {}, {}};
    if (refused.ran()) throw;
  }
  return refused;
}

void add_missing(const std::vector<std::string>& from, std::vector<std::string>& into) {
  for (const std::string& text : from)
    if (std::find(into.begin(), into.end(), text) == into.end()) into.push_back(text);
}

StepOutcome StepRunner::operator()(const std::string& file, const Json& scenario) {
  const std::string key = scenario.dump();
  {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(key);
    if (found != known_.end()) return found->second;
  }
  StepOutcome outcome = run_step(file, scenario, moe_layers_);
  const std::lock_guard lock(mutex_);
  return known_.emplace(key, std::move(outcome)).first->second;
}

}  // namespace moesim::planning
