#include "results/result.h"

#include <nlohmann/json.hpp>

namespace moesim::results {
namespace {

base::Json to_json(const Binding& binding) {
  base::Json json = {{"what", binding.what}, {"kind", binding.kind}, {"utilisation", binding.utilisation}};
  if (!binding.shared.empty()) json["shared_with"] = binding.shared;
  return json;
}

base::Json to_json(const Skew& skew) {
  return {{"gpu", skew.gpu},
          {"time_s", skew.time.value()},
          {"others_wait_s", skew.others_wait.value()},
          {"link", to_json(skew.link)}};
}

base::Json to_json(const Phase& phase) {
  return {{"name", phase.name},
          {"critical_s", phase.critical.value()},
          {"fastest_rank_s", phase.fastest_rank.value()},
          {"mean_rank_s", phase.mean_rank.value()},
          {"slowest_rank_s", phase.slowest_rank.value()},
          {"mean_late_s", phase.mean_late.value()},
          {"mean_wait_s", phase.mean_wait.value()},
          {"sent_bytes", phase.sent.value()},
          {"per_gpu_bytes_per_s", phase.per_gpu.value()},
          {"logical_bytes_per_s", phase.logical.value()},
          {"nic_bytes_per_s", phase.nic.value()},
          {"imbalance", phase.imbalance},
          {"skew", to_json(phase.skew)},
          {"interval_80", phase.error},
          {"binding", to_json(phase.binding)}};
}

base::Json to_json(const CriticalStep& step) {
  return {{"what", step.what},
          {"phase", step.phase},
          {"start_s", step.start.value()},
          {"end_s", step.end.value()},
          {"launch_s", step.launch.value()},
          {"binding", to_json(step.binding)}};
}

base::Json to_json(const LinkUse& link) {
  return {{"name", link.name},
          {"kind", link.kind},
          {"raw_bytes_per_s", link.raw.value()},
          {"bytes", link.bytes.value()},
          {"utilisation", link.utilisation}};
}

base::Json to_json(const LayerTime& layer) {
  return {{"layer", layer.layer},
          {"total_s", layer.total.value()},
          {"lower_bound_s", layer.lower_bound.value()},
          {"binding", to_json(layer.binding)}};
}

base::Json to_json(const BatchingError& error) {
  return {{"sample", error.sample},
          {"mean_flow", error.mean_flow},
          {"largest_flow", error.largest_flow},
          {"total", error.total}};
}

base::Json to_json(const MemoryUse& memory) {
  return {{"weights_bytes", memory.weights.value()},
          {"caches_bytes", memory.caches.value()},
          {"activations_bytes", memory.activations.value()},
          {"communication_bytes", memory.communication.value()},
          {"other_bytes", memory.other.value()},
          {"usable_bytes", memory.usable.value()},
          {"largest_batch", memory.largest_batch}};
}

base::Json to_json(const Serving& serving) {
  base::Json json = {{"plan", serving.plan},
                     {"batch", serving.batch},
                     {"sequences", serving.sequences},
                     {"prefill_tokens", serving.prefill_tokens},
                     {"tokens_per_step", serving.tokens_per_step},
                     {"tpot_s", serving.tpot.value()},
                     {"tokens_per_s_per_user", serving.tokens_per_s_per_user},
                     {"output_tokens_per_s_per_gpu", serving.output_tokens_per_s_per_gpu},
                     {"prefill_tokens_per_s_per_gpu", serving.prefill_tokens_per_s_per_gpu},
                     {"launch_s", serving.launch.value()},
                     {"exposed_communication_s", serving.exposed.value()},
                     {"waiting_s", serving.waiting.value()}};
  if (serving.memory) json["memory"] = to_json(*serving.memory);
  return json;
}

base::Json to_json(const Provenance& provenance) {
  return {{"version", provenance.version},    {"scenario_hash", provenance.scenario_hash},
          {"profile", provenance.profile},    {"profile_hash", provenance.profile_hash},
          {"routing", provenance.routing},    {"engine", provenance.engine},
          {"tolerance", provenance.tolerance}};
}

template <class T>
base::Json list(const std::vector<T>& values) {
  base::Json array = base::Json::array();
  for (const T& value : values) array.push_back(to_json(value));
  return array;
}

}  // namespace

base::Json to_json(const Result& result) {
  base::Json json = {{"schema", "moesim.result/1"},
                     {"name", result.name},
                     {"cluster", result.cluster},
                     {"model", result.model},
                     {"scope", result.scope},
                     {"gpus", result.gpus},
                     {"tokens_per_gpu", result.tokens_per_gpu},
                     {"total_s", result.total.value()},
                     {"interval_80", result.error},
                     {"lower_bound_s", result.lower_bound.value()},
                     {"tokens_per_s_per_gpu", result.tokens_per_s_per_gpu},
                     {"binding", to_json(result.binding)},
                     {"phases", list(result.phases)},
                     {"critical_path", list(result.critical_path)},
                     {"links", list(result.links)},
                     {"assumptions", result.assumptions},
                     {"not_modelled", result.not_modelled},
                     {"warnings", result.warnings},
                     {"provenance", to_json(result.provenance)},
                     {"scenario", base::Json::parse(result.scenario)}};
  if (result.serving) json["serving"] = to_json(*result.serving);
  if (!result.layers.empty()) json["layers"] = list(result.layers);
  if (result.batching) json["batching_error"] = to_json(*result.batching);
  return json;
}

}  // namespace moesim::results
