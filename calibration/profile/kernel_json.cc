// The file format moesim.kernel/1.
#include <nlohmann/json.hpp>

#include "calibration/profile/kernel_parameters.h"

namespace moesim::profile {
namespace {

using base::Json;
using base::JsonNode;
using base::JsonObject;

Parameter read_parameter(const JsonNode& node) {
  const JsonObject object(node, {"value", "unit", "source", "reference", "error"});
  Parameter parameter;
  parameter.value = object.required("value").number(1e-30, 1e30);
  parameter.unit = object.required("unit").string();
  parameter.source =
      static_cast<Source>(object.required("source").one_of({"measured", "fitted", "datasheet", "assumed"}));
  parameter.reference = object.required("reference").string();
  parameter.relative_error = object.required("error").number(0, 1e6);
  return parameter;
}

NamedParameters read_parameters(const JsonNode& node) {
  NamedParameters parameters;
  for (const auto& [name, value] : node.json().items())
    parameters.emplace_back(name, read_parameter(node.member(name)));
  return parameters;
}

std::vector<std::pair<std::string, NamedParameters>> read_entries(const JsonNode& node) {
  std::vector<std::pair<std::string, NamedParameters>> entries;
  for (const auto& [name, value] : node.json().items()) entries.emplace_back(name, read_parameters(node.member(name)));
  return entries;
}

Json parameters_json(const NamedParameters& parameters) {
  Json json = Json::object();
  for (const auto& [name, p] : parameters) {
    json[name] = {{"value", p.value},
                  {"unit", p.unit},
                  {"source", to_string(p.source)},
                  {"reference", p.reference},
                  {"error", p.relative_error}};
  }
  return json;
}

Json entries_json(const std::vector<std::pair<std::string, NamedParameters>>& entries) {
  Json json = Json::object();
  for (const auto& [name, parameters] : entries) json[name] = parameters_json(parameters);
  return json;
}

constexpr std::array kRelations{Relation::FittedSystem, Relation::SameFamily, Relation::OtherFamily};

}  // namespace

KernelCalibration read_kernel_calibration(const JsonNode& node) {
  const JsonObject root(
      node, {"schema", "kernel", "mechanism", "attribution", "tables", "shared", "families", "systems", "error"});
  root.required("schema").one_of({"moesim.kernel/1"});
  KernelCalibration calibration;
  calibration.kernel = root.required("kernel").string();
  calibration.mechanism = root.required("mechanism").string();
  if (const auto attribution = root.optional("attribution")) calibration.attribution = attribution->string();
  const JsonNode tables = root.required("tables");
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const JsonObject table(tables.at(i), {"file", "system", "family", "rows", "median", "p90"});
    calibration.tables.push_back({table.required("file").string(), table.required("system").string(),
                                  table.required("family").string(),
                                  static_cast<std::size_t>(table.required("rows").integer(0, 1LL << 40)),
                                  table.required("median").number(0, 1e9), table.required("p90").number(0, 1e9)});
  }
  calibration.shared = read_parameters(root.required("shared"));
  calibration.families = read_entries(root.required("families"));
  calibration.systems = read_entries(root.required("systems"));
  const JsonNode errors = root.required("error");
  for (const auto& [name, value] : errors.json().items()) {
    const JsonObject widths(errors.member(name), {"fitted_system", "same_family", "other_family"});
    for (std::size_t r = 0; r < kRelations.size(); ++r)
      calibration.errors[name][r] = widths.required(to_string(kRelations[r])).number(0, 100);
  }
  return calibration;
}

Json to_json(const KernelCalibration& calibration) {
  Json tables = Json::array(), errors = Json::object();
  for (const FittedTable& table : calibration.tables) {
    tables.push_back({{"file", table.file},
                      {"system", table.system},
                      {"family", table.family},
                      {"rows", table.rows},
                      {"median", table.median},
                      {"p90", table.p90}});
  }
  for (const auto& [name, widths] : calibration.errors) {
    errors[name] = Json::object();
    for (std::size_t r = 0; r < kRelations.size(); ++r) errors[name][std::string(to_string(kRelations[r]))] = widths[r];
  }
  return {{"schema", "moesim.kernel/1"},
          {"kernel", calibration.kernel},
          {"mechanism", calibration.mechanism},
          {"attribution", calibration.attribution},
          {"tables", std::move(tables)},
          {"shared", parameters_json(calibration.shared)},
          {"families", entries_json(calibration.families)},
          {"systems", entries_json(calibration.systems)},
          {"error", std::move(errors)}};
}

}  // namespace moesim::profile
