// The options that every verb that runs scenarios shares.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "sim/scenario.h"

namespace CLI {
class App;
}

namespace moesim::cli {

struct ScenarioOptions {
  std::vector<std::string> sets;
  std::string engine;
  double tolerance = -1;
  long long seed = -1;
  int threads = 1;
  std::string json;

  void add_to(CLI::App& verb);
  // --set and the options that stand for one, then `more`.
  std::vector<std::string> all_sets(const std::vector<std::string>& more) const;
  sim::Scenario load(const std::string& path, const std::vector<std::string>& more = {}) const;
};

// Throws InputError for a file that could not be written: said before the work, not after it. Empty ones are not asked
// for.
void check_outputs(std::initializer_list<std::string> paths);

// Writes `text` to the file of --json, whole or not at all; nothing without --json.
void write_json(const std::string& path, const std::string& text);

}  // namespace moesim::cli
