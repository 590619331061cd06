#include "sim/step/layers.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "sim/step/explain.h"
#include "sim/step/moe_layer.h"

namespace moesim::step {
namespace {

void add_phase(const results::Phase& phase, base::Duration longest, results::Phase& sum) {
  add_to_phase(phase, sum);
  sum.critical += phase.critical;
  if (phase.critical > longest) sum.binding = phase.binding;
}

}  // namespace

results::Result join_layers(const std::vector<std::int32_t>& layers, const std::vector<results::Result>& results) {
  MOESIM_CHECK(!results.empty() && layers.size() == results.size(), "a result for each layer");
  const auto slowest =
      std::max_element(results.begin(), results.end(), [](const auto& a, const auto& b) { return a.total < b.total; });
  results::Result joined = results.front();
  joined.binding = slowest->binding;
  if (joined.batching) joined.batching->sample += ", layer " + std::to_string(layers.front());
  joined.critical_path = slowest->critical_path;
  std::unordered_map<std::string, std::size_t> link_of;
  for (std::size_t l = 0; l < joined.links.size(); ++l) link_of.emplace(joined.links[l].name, l);
  std::vector<base::Duration> longest;  // [phases] in one layer
  for (const results::Phase& phase : joined.phases) longest.push_back(phase.critical);
  joined.layers.push_back({layers.front(), joined.total, joined.lower_bound, joined.binding});
  for (std::size_t i = 1; i < results.size(); ++i) {
    const results::Result& layer = results[i];
    MOESIM_CHECK(layer.phases.size() == joined.phases.size(), "the layers have the same phases");
    for (std::size_t p = 0; p < joined.phases.size(); ++p) {
      add_phase(layer.phases[p], longest[p], joined.phases[p]);
      longest[p] = std::max(longest[p], layer.phases[p].critical);
    }
    for (const results::LinkUse& link : layer.links) {
      const auto [place, added] = link_of.emplace(link.name, joined.links.size());
      if (added)
        joined.links.push_back(link);
      else
        joined.links[place->second].bytes += link.bytes;
    }
    for (const std::string& note : layer.assumptions)
      if (std::find(joined.assumptions.begin(), joined.assumptions.end(), note) == joined.assumptions.end())
        joined.assumptions.push_back(note);
    joined.total += layer.total;
    joined.lower_bound += layer.lower_bound;
    joined.layers.push_back({layers[i], layer.total, layer.lower_bound, layer.binding});
  }
  for (results::LinkUse& link : joined.links) link.utilisation = link.bytes / link.raw / joined.total;
  std::stable_sort(joined.links.begin(), joined.links.end(),
                   [](const auto& a, const auto& b) { return a.utilisation > b.utilisation; });
  if (joined.total > base::Duration(0))
    joined.tokens_per_s_per_gpu = static_cast<double>(joined.tokens_per_gpu) / joined.total.value();
  set_total_interval(joined);
  return joined;
}

}  // namespace moesim::step
