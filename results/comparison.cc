#include "results/comparison.h"

#include <nlohmann/json.hpp>

namespace moesim::results {

base::Json to_json(const Comparison& comparison) {
  base::Json speedups = base::Json::object();
  base::Json list = base::Json::array();
  for (std::size_t i = 0; i < comparison.results.size(); ++i) {
    speedups[comparison.results[i].name] = comparison.speedup[i];
    list.push_back(to_json(comparison.results[i]));
  }
  return {{"schema", "moesim.comparison/1"},
          {"speedup_of", "tokens/s/GPU"},
          {"baseline", comparison.results[comparison.baseline].name},
          {"speedups", speedups},
          {"warnings", comparison.warnings},
          {"results", list}};
}

}  // namespace moesim::results
