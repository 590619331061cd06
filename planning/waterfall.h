// Where a speedup comes from: factors that turn one scenario into another, each a patch, switched on alone and
// together.
//
// A file:
//   {"schema": "moesim.waterfall/1", "name": "...",
//    "baseline": "a.json", "target": "b.json",        scenarios of whole-model decode steps, beside the file
//    "factors": [{"name": "NVLink", "group": "the interconnect", "what": "in words",
//                 "cases": [{"with": ["EP width"], "without": ["chip"], "patch": {...}}, ...]}, ...]}
// A factor that is on applies the patch (RFC 7396) of the first of its cases all of whose "with" are on and "without"
// off; factors are applied in the order of the file, so that a subset means one scenario. "patch" in place of "cases"
// is a single case without conditions. Factors of one "group" (optional) are also shown together. With all factors on
// the scenario must perform as the target does.
//
// The parts are Shapley values of log(tokens/s/GPU) at equal tokens/s/user: factors multiply to the speedup.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "planning/ratio.h"
#include "planning/shapley.h"
#include "planning/step_runner.h"

namespace moesim::planning {

struct FactorCase {
  std::vector<int> with, without;  // factors
  base::Json patch;
};

struct Factor {
  std::string name;
  std::string group;
  std::string what;
  std::vector<FactorCase> cases;
};

struct WaterfallFile {
  std::string name;
  std::string baseline_path, target_path;
  std::vector<Factor> factors;
  std::vector<std::string> not_modelled;  // beside what every waterfall leaves out
};
// The paths are seen from the document's file. Throws InputError.
WaterfallFile read_waterfall(const base::JsonDocument& document);

// The scenario with these factors on.
base::Json hybrid(const base::Json& baseline, const std::vector<Factor>& factors, Subset on);

struct WaterfallRequest {
  std::string name;
  std::string baseline_name, target_name;
  base::Json baseline, target;
  std::vector<Factor> factors;
  std::vector<double> users;  // operating points
  int circles = 1;            // of drawn orders (shapley.h); 0: all subsets
  std::uint64_t seed = 1;
  Draws draws;
  StepFunction run;
  bool elasticities = true;
  int threads = 1;
};

// A point that some scenario on the way cannot reach has no parts, and says which.
results::Waterfall make_waterfall(const WaterfallRequest& request);

// Ten percent more of each resource of a scenario's cluster and GPU: its name, and the scenario.
std::vector<std::pair<std::string, base::Json>> with_more(const base::Json& scenario, double factor);

}  // namespace moesim::planning
