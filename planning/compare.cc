#include "planning/compare.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/parallel.h"

namespace moesim::planning {
namespace {

constexpr double kAlike = 1e-3;  // times that differ by less

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

// Threads go to the scenarios first; what is left over goes to the layers of each.
std::vector<results::Result> run_all(const std::vector<sim::Scenario>& scenarios, int threads) {
  // SimGrid runs in a child process: one must not be forked while other threads may hold locks.
  if (std::any_of(scenarios.begin(), scenarios.end(), [](const auto& s) { return s.engine == "simgrid"; })) threads = 1;
  std::vector<results::Result> results(scenarios.size());
  const int inner = std::max(1, threads / static_cast<int>(scenarios.size()));
  base::parallel_for(scenarios.size(), threads, [&](std::size_t i) { results[i] = sim::run(scenarios[i], inner); });
  return results;
}

const char* scope_of(const sim::Scenario& scenario) {
  return scenario.whole ? "whole-model steps (step.scope \"model\")" : "MoE layers (step.scope \"moe_layer\")";
}

void check_scopes(const std::vector<sim::Scenario>& scenarios, const sim::Scenario& base) {
  for (const sim::Scenario& scenario : scenarios) {
    if ((scenario.whole == nullptr) == (base.whole == nullptr)) continue;
    throw base::InputError("", "",
                           "\"" + scenario.name + "\" runs " + scope_of(scenario) + ", \"" + base.name + "\" runs " +
                               scope_of(base) + ": there is no speedup between them",
                           "the same step.scope in all");
  }
}

// Frameworks bring experts of their own: a part of such a speedup is that of the experts' kernels.
std::string other_experts(const sim::Scenario& scenario, const sim::Scenario& base) {
  using lowering::ExpertKernel;
  const auto chosen = [](const sim::Scenario& s) {
    return s.model.experts > 0 && s.expert_kernel != ExpertKernel::Fused && s.expert_kernel != ExpertKernel::Roofline;
  };
  if (!chosen(scenario) || !chosen(base) || scenario.expert_kernel == base.expert_kernel) return "";
  return "experts run on " + std::string(to_string(scenario.expert_kernel)) + " in \"" + scenario.name + "\" and on " +
         std::string(to_string(base.expert_kernel)) + " in \"" + base.name +
         "\", as the frameworks behind their communication kernels do: a part of the speedup is that of these kernels "
         "(--set experts.kernel=... runs the same on both)";
}

// Whether two scenarios differ in their clusters' links alone, of which none is slower in the first and some are
// faster.
bool has_faster_links(const sim::Scenario& scenario, const sim::Scenario& other) {
  const topology::Cluster &a = scenario.cluster, &b = other.cluster;
  const auto beside_links = [](const sim::Scenario& s) {
    base::Json json = base::Json::parse(s.text);
    json.erase("cluster");
    json.erase("name");
    return json;
  };
  if (a.gpu != b.gpu || a.p2p != b.p2p || a.ecmp_seed != b.ecmp_seed || a.gpus != b.gpus ||
      a.graph.num_links() != b.graph.num_links() || beside_links(scenario) != beside_links(other))
    return false;
  bool faster = false;
  for (std::size_t l = 0; l < a.graph.num_links(); ++l) {
    const topology::Link &mine = a.graph.links()[l], &its = b.graph.links()[l];
    if (mine.a != its.a || mine.b != its.b || mine.kind != its.kind || mine.bandwidth < its.bandwidth ||
        mine.latency > its.latency)
      return false;
    faster = faster || mine.bandwidth > its.bandwidth;
  }
  return faster;
}

// Faster links need not mean less time: said of each scenario against the fastest of those that it should beat.
std::string slower_on_faster_links(const std::vector<sim::Scenario>& scenarios,
                                   const std::vector<results::Result>& results, std::size_t i) {
  const double noise = kAlike + 4 * scenarios[i].tolerance;
  std::size_t best = i;
  for (std::size_t j = 0; j < scenarios.size(); ++j)
    if (results[j].total < results[best].total && has_faster_links(scenarios[i], scenarios[j])) best = j;
  const double longer = results[i].total / results[best].total - 1;
  if (longer <= noise) return "";
  return "\"" + results[i].name + "\" has no slower link than \"" + results[best].name +
         "\", and faster ones, yet takes " + base::format_number(100 * longer, 2) +
         " % longer: transfers share a link max-min fairly, not in the order that would end soonest, so that those "
         "that start sooner on faster links can delay those that the end waits for";
}

}  // namespace

results::Comparison compare(const std::vector<sim::Scenario>& scenarios, const std::string& baseline, int threads) {
  results::Comparison comparison;
  comparison.baseline = find_baseline(scenarios, baseline);
  check_scopes(scenarios, scenarios[comparison.baseline]);
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
  for (const sim::Scenario& scenario : scenarios)
    if (std::string text = other_experts(scenario, scenarios[comparison.baseline]); !text.empty())
      comparison.warnings.push_back(std::move(text));
  for (std::size_t i = 0; i < scenarios.size(); ++i)
    if (std::string text = slower_on_faster_links(scenarios, comparison.results, i); !text.empty())
      comparison.warnings.push_back(std::move(text));
  return comparison;
}

}  // namespace moesim::planning
