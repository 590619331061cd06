#include "planning/compare.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

#include "base/json.h"

namespace moesim::planning {
namespace {

std::size_t find_baseline(const std::vector<sim::Scenario>& scenarios, const std::string& name) {
  std::vector<std::string> names;
  for (const sim::Scenario& scenario : scenarios) names.push_back(scenario.name);
  for (auto it = names.begin(); it != names.end(); ++it) {
    if (std::find(std::next(it), names.end(), *it) != names.end())
      throw base::InputError("", "", "two scenarios are named \"" + *it + "\"", "a different \"name\" in each");
  }
  if (name.empty()) return 0;
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    throw base::InputError("--baseline", "", "no scenario is named \"" + name + "\"" + base::suggestion(name, names));
  return static_cast<std::size_t>(found - names.begin());
}

std::vector<results::Result> run_all(const std::vector<sim::Scenario>& scenarios, int threads) {
  std::vector<results::Result> results(scenarios.size());
  std::vector<std::exception_ptr> failures(scenarios.size());
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < scenarios.size(); i = next++) {
      try {
        results[i] = sim::run(scenarios[i]);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> others;
    for (int t = 1; t < std::min<int>(threads, static_cast<int>(scenarios.size())); ++t) others.emplace_back(work);
    work();
  }
  // The first scenario's error, whichever thread met its own first.
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
  return results;
}

}  // namespace

results::Comparison compare(const std::vector<sim::Scenario>& scenarios, const std::string& baseline, int threads) {
  results::Comparison comparison;
  comparison.baseline = find_baseline(scenarios, baseline);
  comparison.results = run_all(scenarios, threads);
  const results::Result& base = comparison.results[comparison.baseline];
  for (const results::Result& result : comparison.results) {
    if (!(base.tokens_per_s_per_gpu > 0) || !(result.tokens_per_s_per_gpu > 0))
      throw base::InputError("", "",
                             "\"" + (base.tokens_per_s_per_gpu > 0 ? result : base).name +
                                 "\" takes no time, so that a speedup has no meaning",
                             "a scenario with traffic or compute");
    comparison.speedup.push_back(result.tokens_per_s_per_gpu / base.tokens_per_s_per_gpu);
    if (result.scope != base.scope)
      comparison.warnings.push_back("\"" + result.name + "\" runs " + result.scope + "; \"" + base.name + "\" runs " +
                                    base.scope);
  }
  return comparison;
}

}  // namespace moesim::planning
