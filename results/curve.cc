#include "results/curve.h"

#include <nlohmann/json.hpp>

namespace moesim::results {
namespace {

using base::Json;

Json point_json(const OperatingPoint& point) {
  Json json = {{"tokens_per_s_per_user", point.users}};
  if (!point.reached()) {
    json["unreachable"] = point.unreachable;
    return json;
  }
  json["nearest_run"] = to_json(point.near);
  json["output_tokens_per_s_per_gpu"] = point.per_gpu;
  json["batch"] = point.batch;
  json["option"] = point.option;
  json["memory_bound"] = point.memory_bound;
  return json;
}

Json ratio_json(const Ratio& ratio) {
  if (ratio.value == 0) return nullptr;
  return {{"value", ratio.value}, {"low", ratio.low}, {"high", ratio.high}, {"reached", ratio.reached}};
}

Json inputs_json(const std::string& text) { return text.empty() ? Json(nullptr) : Json::parse(text); }

std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

Json to_json(const StepRun& run) {
  Json parts = Json::array();
  for (const TimePart& part : run.parts)
    parts.push_back({{"parameters", part.parameters}, {"share", part.share}, {"error", part.error}});
  return {{"option", run.option},
          {"plan", run.plan},
          {"gpus", run.gpus},
          {"batch", run.batch},
          {"largest_batch", run.largest_batch},
          {"sequences_per_gpu", run.sequences_per_gpu},
          {"tokens_per_step", run.tokens_per_step},
          {"tokens_per_s_per_user", run.users},
          {"output_tokens_per_s_per_gpu", run.per_gpu},
          {"exposed_share", run.exposed},
          {"launch_share", run.launch},
          {"longest_phase", run.longest},
          {"longest_share", run.longest_share},
          {"binding", {{"what", run.binding.what}, {"kind", run.binding.kind}}},
          {"parts", parts},
          {"scenario_hash", run.scenario_hash},
          {"profile_hash", run.profile_hash}};
}

void add_record(const SearchRecord& record, Json& json) {
  json["version"] = record.version;
  json["inputs"] = inputs_json(record.inputs);
  json["draws"] = record.draws;
  json["runs"] = record.runs;
  json["sampling"] = record.sampling;
  json["assumptions"] = record.assumptions;
  json["not_modelled"] = record.not_modelled;
  json["warnings"] = record.warnings;
}

Json to_json(const CurveComparison& curve) {
  Json clusters = Json::array();
  for (std::size_t c = 0; c < curve.clusters.size(); ++c) {
    const ClusterCurve& cluster = curve.clusters[c];
    Json runs = Json::array(), points = Json::array();
    for (const StepRun& run : cluster.runs) runs.push_back(to_json(run));
    for (std::size_t p = 0; p < cluster.points.size(); ++p) {
      points.push_back(point_json(cluster.points[p]));
      points.back()["speedup"] = ratio_json(curve.speedup[c][p]);
    }
    clusters.push_back({{"name", cluster.name},
                        {"cluster", cluster.cluster},
                        {"gpus", cluster.gpus},
                        {"points", points},
                        {"options", cluster.options},
                        {"pruned", cluster.pruned},
                        {"refused", cluster.refused},
                        {"runs", runs}});
  }
  Json json = {{"schema", "moesim.curve/1"}, {"model", curve.model},
               {"scope", curve.scope},       {"baseline", curve.clusters[curve.baseline].name},
               {"series", curve.series},     {"clusters", clusters}};
  add_record(curve, json);
  return json;
}

Json to_json(const Waterfall& waterfall) {
  Json points = Json::array();
  for (const WaterfallPoint& point : waterfall.points) {
    Json parts = Json::array(), elasticities = Json::array();
    for (const FactorPart& part : point.parts)
      parts.push_back({{"name", part.name},
                       {"group", part.group},
                       {"what", part.what},
                       {"factor", part.factor},
                       {"log_part", part.log_part},
                       {"log_error", part.log_error},
                       {"alone", part.alone},
                       {"last", part.last}});
    for (const Elasticity& e : point.elasticities)
      elasticities.push_back({{"resource", e.resource}, {"baseline", e.baseline}, {"target", e.target}});
    points.push_back({{"tokens_per_s_per_user", point.users},
                      {"unreachable", point.unreachable},
                      {"baseline", point_json(point.baseline)},
                      {"target", point_json(point.target)},
                      {"speedup", ratio_json(point.speedup)},
                      {"parts", parts},
                      {"elasticities", elasticities}});
  }
  return {{"schema", "moesim.waterfall_result/1"},
          {"version", waterfall.version},
          {"inputs", inputs_json(waterfall.inputs)},
          {"name", waterfall.name},
          {"model", waterfall.model},
          {"baseline", waterfall.baseline},
          {"target", waterfall.target},
          {"orders", waterfall.orders},
          {"hybrids", waterfall.hybrids},
          {"runs", waterfall.runs},
          {"seed", waterfall.seed},
          {"sampling", waterfall.sampling},
          {"points", points},
          {"not_modelled", waterfall.not_modelled},
          {"warnings", waterfall.warnings}};
}

std::string to_csv(const CurveComparison& curve) {
  std::string text =
      "cluster,tokens_per_s_per_user,output_tokens_per_s_per_gpu,batch,option,speedup,low,high,unreachable\n";
  const auto number = [](double value) { return value > 0 ? base::format_number(value, 6) : std::string(); };
  for (std::size_t c = 0; c < curve.clusters.size(); ++c) {
    const ClusterCurve& cluster = curve.clusters[c];
    for (std::size_t p = 0; p < cluster.points.size(); ++p) {
      const OperatingPoint& point = cluster.points[p];
      const Ratio& ratio = curve.speedup[c][p];
      text += csv_text(cluster.name) + "," + number(point.users) + "," + number(point.per_gpu) + "," +
              number(point.reached() ? point.batch : 0) + "," + csv_text(point.option) + "," + number(ratio.value) +
              "," + number(ratio.low) + "," + number(ratio.high) + "," + csv_text(point.unreachable) + "\n";
    }
  }
  return text;
}

}  // namespace moesim::results
