#include "results/capacity.h"

#include <nlohmann/json.hpp>

namespace moesim::results {
namespace {

using base::Json;

Json run_json(const ServingRun& run) {
  Json json = to_json(run.step);
  json["first_token_s"] = run.first_token.value();
  json["prompt_share"] = run.prompt_share;
  return json;
}

Json choice_json(const CapacityChoice& choice) {
  Json runs = Json::array();
  for (const ServingRun& run : choice.runs) runs.push_back(run_json(run));
  Json json = {{"name", choice.name}, {"cluster", choice.cluster},        {"option", choice.option},
               {"plan", choice.plan}, {"gpus_per_instance", choice.gpus}, {"refused", choice.refused},
               {"runs", runs}};
  if (choice.price > 0) json["price_per_gpu_hour"] = choice.price;
  if (!choice.unreachable.empty()) {
    json["unreachable"] = choice.unreachable;
    return json;
  }
  json["instances"] = choice.instances;
  json["instances_80"] = {choice.low, choice.high};
  json["reached"] = choice.reached;
  json["gpus"] = choice.all_gpus();
  json["load"] = choice.load;
  json["requests_per_s_per_instance"] = choice.requests_per_s;
  json["output_tokens_per_s_per_gpu"] = choice.output_tokens_per_s_per_gpu;
  json["batch"] = choice.batch;
  json["time_per_output_token_s"] = choice.per_token.value();
  json["time_to_first_token_s"] = choice.first_token.value();
  json["limit"] = choice.limit;
  if (choice.price > 0) json["price_per_hour"] = choice.price_per_hour();
  return json;
}

}  // namespace

Json to_json(const Capacity& capacity) {
  Json choices = Json::array();
  for (const CapacityChoice& choice : capacity.choices) choices.push_back(choice_json(choice));
  Json json = {{"schema", "moesim.capacity/1"},
               {"model", capacity.model},
               {"requests_per_s", capacity.requests_per_s},
               {"input_tokens", capacity.input_tokens},
               {"output_tokens", capacity.output_tokens},
               {"most_time_per_output_token_s", capacity.per_token.value()},
               {"most_time_to_first_token_s",
                capacity.first_token.value() > 0 ? Json(capacity.first_token.value()) : Json(nullptr)},
               {"choices", choices}};
  add_record(capacity, json);
  return json;
}

}  // namespace moesim::results
