#include "cli/scenario_options.h"

#include <CLI/CLI.hpp>

#include "base/file.h"

namespace moesim::cli {

void ScenarioOptions::add_to(CLI::App& verb) {
  verb.add_option("--set", sets, "Change a value of the scenario: path=value, e.g. step.tokens_per_gpu=64")
      ->allow_extra_args(false);
  verb.add_option("--engine", engine, "fluid, simgrid or bound; the same as --set engine.name=...");
  verb.add_option("--tolerance", tolerance,
                  "Batch completions this close (relative); the same as --set engine.tolerance=...")
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--seed", seed, "The same as --set routing.generate.seed=...")->check(CLI::NonNegativeNumber);
  verb.add_option("--threads", threads,
                  "Scenarios and layers to run at a time (0: one per core); the results are the same")
      ->check(CLI::Range(0, 1024));
  verb.add_option("--json", json, "Write everything to this file; `moesim run FILE` repeats it");
}

std::vector<std::string> ScenarioOptions::all_sets(const std::vector<std::string>& more) const {
  std::vector<std::string> all = sets;
  if (!engine.empty()) all.push_back("engine.name=" + engine);
  if (tolerance >= 0) all.push_back("engine.tolerance=" + base::format_number(tolerance, 17));
  if (seed >= 0) all.push_back("routing.generate.seed=" + std::to_string(seed));
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

sim::Scenario ScenarioOptions::load(const std::string& path, const std::vector<std::string>& more) const {
  return sim::load_scenario(path, all_sets(more), threads);
}

void check_outputs(std::initializer_list<std::string> paths) {
  for (const std::string& path : paths)
    if (!path.empty()) base::check_writable(path);
}

void write_json(const std::string& path, const std::string& text) {
  if (!path.empty()) base::write_file(path, text + "\n");
}

}  // namespace moesim::cli
