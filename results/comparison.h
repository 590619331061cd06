// Results side by side.
#pragma once

#include <string>
#include <vector>

#include "results/result.h"

namespace moesim::results {

struct Comparison {
  std::vector<Result> results;
  std::size_t baseline = 0;
  std::vector<double> speedup;        // [results] tokens/s/GPU over the baseline's
  std::vector<std::string> warnings;  // what makes the comparison uneven
};

// {"schema": "moesim.comparison/1", "baseline", "speedups", "results"}.
base::Json to_json(const Comparison& comparison);

}  // namespace moesim::results
