#include "cli/scenario_options.h"

#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/checks.h"

namespace moesim::cli {
namespace {

using base::Json;

constexpr std::int64_t kLargestSeed = std::int64_t{1} << 53;
constexpr double kLargestTolerance = 0.1;

std::string schema_of(const Json& json) {
  if (!json.is_object() || !json.contains("schema") || !json["schema"].is_string()) return "";
  return json["schema"].get<std::string>();
}

// Where the scenario's routing has its seed.
std::string seed_path(const Json& scenario) {
  const auto routing = scenario.find("routing");
  if (routing == scenario.end() || !routing->is_object())
    throw base::InputError("--seed", "", "the scenario has no routing that a seed could draw", "no --seed");
  if (routing->contains("generate")) return "routing.generate.seed";
  if (routing->contains("power_law")) return "routing.power_law.seed";
  if (routing->contains("counts") || routing->contains("extend")) return "routing.seed";
  throw base::InputError("--seed", "",
                         routing->contains("trace") ? "this routing is recorded; nothing is drawn from a seed"
                                                    : "this routing is even; nothing is drawn from a seed",
                         "no --seed");
}

}  // namespace

void ScenarioOptions::add_to(CLI::App& verb) {
  verb.add_option("--set", sets, "Change a value of the scenario: path=value, e.g. step.tokens_per_gpu=64")
      ->allow_extra_args(false);
  verb.add_option("--engine", engine, "fluid, simgrid or bound; the same as --set engine.name=...");
  verb.add_option("--tolerance", tolerance,
                  "Batch completions this close (relative); the same as --set engine.tolerance=...")
      ->check(number_in(0, kLargestTolerance));
  verb.add_option("--seed", seed, "The seed of the routing, as --set routing.generate.seed=... where it is generated")
      ->check(whole_number_in(0, kLargestSeed));
  verb.add_option("--threads", threads,
                  "Scenarios and layers to run at a time (0: one per core); the results are the same")
      ->check(whole_number_in(0, 1024));
  verb.add_option("--json", json,
                  "Write everything to this file, which `" + command_of(verb) +
                      " FILE` repeats (-: to standard output, instead of the report)");
}

base::JsonDocument ScenarioOptions::patched(const base::JsonDocument& document,
                                            const std::vector<std::string>& more) const {
  base::JsonDocument copy{document.file, std::make_shared<Json>(*document.root), document.origins};
  std::vector<std::string> all = sets;
  if (!engine.empty()) all.push_back("engine.name=" + engine);
  if (tolerance >= 0) all.push_back("engine.tolerance=" + base::format_number(tolerance, 17));
  sim::apply_sets(copy, all);
  if (seed >= 0) sim::apply_sets(copy, {seed_path(*copy.root) + "=" + std::to_string(seed)});
  sim::apply_sets(copy, more);
  return copy;
}

sim::Scenario ScenarioOptions::load(const base::JsonDocument& document, const std::vector<std::string>& more) const {
  return sim::read_scenario(patched(document, more), threads);
}

base::JsonDocument read_scenario_file(const std::string& path) {
  base::JsonDocument document = base::load_json(path);
  if (schema_of(*document.root) != "moesim.result/1") return document;
  return {path, std::make_shared<Json>(base::JsonNode(document).member("scenario").json()), {}};
}

std::vector<base::JsonDocument> read_scenarios(const std::vector<std::string>& paths) {
  std::vector<base::JsonDocument> scenarios;
  for (const std::string& path : paths) {
    const base::JsonDocument document = read_scenario_file(path);
    const std::string schema = schema_of(*document.root);
    const bool comparison = schema == "moesim.comparison/1";
    if (!comparison && schema != "moesim.sensitivity/1") {
      scenarios.push_back(document);
      continue;
    }
    const base::JsonNode list = base::JsonNode(document).member(comparison ? "results" : "scenarios");
    for (std::size_t i = 0; i < list.size(); ++i) {
      const base::JsonNode scenario = comparison ? list.at(i).member("scenario") : list.at(i);
      scenarios.push_back({path, std::make_shared<Json>(scenario.json()), {}});
    }
  }
  return scenarios;
}

std::string stored_baseline(const std::vector<std::string>& paths) {
  if (paths.size() != 1) return "";
  const base::JsonDocument document = base::load_json(paths.front());
  const std::string schema = schema_of(*document.root);
  if (schema != "moesim.comparison/1" && schema != "moesim.sensitivity/1" && schema != "moesim.curve/1") return "";
  return base::JsonNode(document).member("baseline").string();
}

void check_outputs(const std::string& json, std::initializer_list<std::string> others) {
  if (!json.empty() && json != "-") base::check_writable(json);
  for (const std::string& path : others)
    if (!path.empty()) base::check_writable(path);
}

std::ostream& words(const std::string& json, Context& context) {
  static std::ostream nowhere(nullptr);
  return json == "-" ? nowhere : context.out;
}

void write_json(const std::string& json, const std::string& text, Context& context) {
  if (json == "-")
    context.out << text << "\n";
  else if (!json.empty())
    base::write_file(json, text + "\n");
}

}  // namespace moesim::cli
