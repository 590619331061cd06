// The options that every verb that runs scenarios shares.
#pragma once

#include <initializer_list>
#include <iosfwd>
#include <string>
#include <vector>

#include "cli/verb.h"
#include "sim/scenario.h"

namespace CLI {
class App;
}

namespace moesim::cli {

struct ScenarioOptions {
  std::vector<std::string> sets;
  std::string engine;
  double tolerance = -1;
  std::int64_t seed = -1;
  int threads = 1;
  std::string json;

  void add_to(CLI::App& verb);
  // A copy of the scenario with --set and the options that stand for one, then `more`. Throws InputError.
  base::JsonDocument patched(const base::JsonDocument& document, const std::vector<std::string>& more = {}) const;
  sim::Scenario load(const base::JsonDocument& document, const std::vector<std::string>& more = {}) const;
};

// A scenario, or of a result of `run` the one that was run. Throws InputError.
base::JsonDocument read_scenario_file(const std::string& path);
// The same of several files; results of `compare` and `calibrate check` stand for all that they ran.
std::vector<base::JsonDocument> read_scenarios(const std::vector<std::string>& paths);

// Which scenario was the baseline of the result that `paths` is alone; empty for anything else.
std::string stored_baseline(const std::vector<std::string>& paths);

// Throws InputError for a file that could not be written: said before the work, not after it. Empty ones are not asked
// for; `json` may be "-".
void check_outputs(const std::string& json, std::initializer_list<std::string> others = {});

// Where a verb's words go: standard output, or nowhere where --json - has it.
std::ostream& words(const std::string& json, Context& context);

// Writes `text` to the file of --json, whole or not at all, or to standard output for "-"; nothing without --json.
void write_json(const std::string& json, const std::string& text, Context& context);

}  // namespace moesim::cli
