#include "planning/waterfall.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numeric>

#include <nlohmann/json.hpp>

#include "base/parallel.h"
#include "planning/operating_point.h"

namespace moesim::planning {
namespace {

using base::Json;
using results::OperatingPoint;
using results::StepRun;

struct Reached {
  OperatingPoint point;
  std::vector<StepRun> runs;

  double log_rate() const { return std::log(point.per_gpu); }
};

Reached reach(const StepFunction& run, const Json& scenario, double users, double guess) {
  Reached reached;
  reached.point = find_operating_point(run, scenario, users, guess, reached.runs);
  return reached;
}

std::string names_of(const std::vector<Factor>& factors, Subset on) {
  std::string text;
  for (std::size_t i = 0; i < factors.size(); ++i)
    if ((on >> i & 1) != 0) text += (text.empty() ? "" : ", ") + factors[i].name;
  return text.empty() ? "the baseline" : "the baseline with " + text;
}

std::vector<results::Elasticity> elasticities(const WaterfallRequest& request, const results::WaterfallPoint& point) {
  constexpr double kMore = 1.1;
  const auto below = with_more(request.baseline, kMore), above = with_more(request.target, kMore);
  std::vector<results::Elasticity> list;
  for (const auto& side : {below, above})
    for (const auto& more : side)
      if (std::none_of(list.begin(), list.end(), [&](const auto& e) { return e.resource == more.first; }))
        list.push_back({more.first, 0, 0});
  std::vector<std::pair<const Json*, double*>> work;
  for (results::Elasticity& of : list) {
    for (const auto& [name, scenario] : below)
      if (name == of.resource) work.emplace_back(&scenario, &of.baseline);
    for (const auto& [name, scenario] : above)
      if (name == of.resource) work.emplace_back(&scenario, &of.target);
  }
  base::parallel_for(work.size(), request.threads, [&](std::size_t i) {
    const bool is_target =
        std::any_of(above.begin(), above.end(), [&](const auto& s) { return &s.second == work[i].first; });
    const OperatingPoint& from = is_target ? point.target : point.baseline;
    const OperatingPoint to = reach(request.run, *work[i].first, point.users, from.batch).point;
    *work[i].second = to.per_gpu / from.per_gpu - 1;
  });
  return list;
}

results::WaterfallPoint make_point(const WaterfallRequest& request, const Orders& orders, double users,
                                   std::vector<std::string>& warnings) {
  const auto n = static_cast<int>(request.factors.size());
  const Subset all = (Subset{1} << n) - 1;
  std::map<Subset, Reached> known;
  results::WaterfallPoint point;
  point.users = users;
  const auto unreachable = [&](Subset set) {
    point.unreachable = names_of(request.factors, set) + ": " + known[set].point.unreachable;
  };
  constexpr double kFirstGuess = 16;
  std::vector<Reached> ends(3);
  const std::vector<Json> documents{request.baseline, hybrid(request.baseline, request.factors, all), request.target};
  base::parallel_for(ends.size(), request.threads,
                     [&](std::size_t i) { ends[i] = reach(request.run, documents[i], users, kFirstGuess); });
  point.baseline = ends[0].point;
  point.target = ends[2].point;
  known[0] = ends[0];
  known[all] = ends[1];
  if (!point.baseline.reached()) return unreachable(0), point;
  if (!known[all].point.reached()) return unreachable(all), point;
  if (!point.target.reached()) {
    point.unreachable = request.target_name + ": " + point.target.unreachable;
    return point;
  }
  point.speedup = ratio({ends[0].runs}, {ends[2].runs}, users, request.draws);
  const double left = ends[2].log_rate() - ends[1].log_rate();
  if (std::abs(left) > 0.005)
    warnings.push_back("at " + base::format_number(users) + " tokens/s/user the target has " +
                       base::format_number(std::exp(left)) +
                       " times the throughput of the baseline with all factors on: the factors leave something out");

  // Subsets that mean the same scenario are one.
  std::map<std::string, Reached> by_text{{documents[0].dump(), ends[0]}, {documents[1].dump(), ends[1]}};
  const std::vector<Subset> subsets = subsets_needed(n, orders);
  std::vector<std::pair<double, Json>> work;
  const double first = std::log(point.baseline.batch), last = std::log(known[all].point.batch);
  for (const Subset set : subsets) {
    Json document = hybrid(request.baseline, request.factors, set);
    if (!by_text.try_emplace(document.dump()).second) continue;
    const double guess = first + (last - first) * std::popcount(set) / std::max(1, n);
    work.emplace_back(std::exp(guess), std::move(document));
  }
  std::vector<Reached> found(work.size());
  base::parallel_for(work.size(), request.threads,
                     [&](std::size_t i) { found[i] = reach(request.run, work[i].second, users, work[i].first); });
  for (std::size_t i = 0; i < work.size(); ++i) by_text[work[i].second.dump()] = std::move(found[i]);
  for (const Subset set : subsets) {
    known[set] = by_text[hybrid(request.baseline, request.factors, set).dump()];
    if (!known[set].point.reached()) return unreachable(set), point;
  }
  const Shapley parts = shapley(n, orders, [&](Subset set) { return known.at(set).log_rate(); });
  for (int i = 0; i < n; ++i) {
    const auto f = static_cast<std::size_t>(i);
    const Subset bit = Subset{1} << i;
    results::FactorPart part{request.factors[f].name,
                             request.factors[f].group,
                             request.factors[f].what,
                             std::exp(parts.parts[f]),
                             parts.parts[f],
                             parts.error[f],
                             1,
                             1};
    part.alone = std::exp(known.at(bit).log_rate() - known.at(0).log_rate());
    part.last = std::exp(known.at(all).log_rate() - known.at(all ^ bit).log_rate());
    point.parts.push_back(std::move(part));
  }
  if (request.elasticities) point.elasticities = elasticities(request, point);
  return point;
}

}  // namespace

Json hybrid(const Json& baseline, const std::vector<Factor>& factors, Subset on) {
  Json scenario = baseline;
  const auto is_on = [&](int i) { return (on >> i & 1) != 0; };
  for (std::size_t i = 0; i < factors.size(); ++i) {
    if (!is_on(static_cast<int>(i))) continue;
    for (const FactorCase& choice : factors[i].cases) {
      if (!std::all_of(choice.with.begin(), choice.with.end(), is_on)) continue;
      if (std::any_of(choice.without.begin(), choice.without.end(), is_on)) continue;
      scenario.merge_patch(choice.patch);
      break;
    }
  }
  return scenario;
}

results::Waterfall make_waterfall(const WaterfallRequest& request) {
  const auto n = static_cast<int>(request.factors.size());
  const Orders orders = request.circles > 0 ? draw_orders(n, request.circles, request.seed) : Orders{};
  results::Waterfall waterfall;
  waterfall.name = request.name;
  waterfall.baseline = request.baseline_name;
  waterfall.target = request.target_name;
  waterfall.orders = static_cast<std::int64_t>(orders.size());
  waterfall.hybrids = static_cast<std::int64_t>(subsets_needed(n, orders).size());
  waterfall.seed = request.seed;
  for (const double users : request.users)
    waterfall.points.push_back(make_point(request, orders, users, waterfall.warnings));
  return waterfall;
}

}  // namespace moesim::planning
