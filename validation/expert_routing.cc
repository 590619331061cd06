#include "validation/expert_routing.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/random.h"
#include "workloads/power_law.h"

namespace moesim::validation {
namespace {

using lowering::ExpertLoad;

constexpr std::uint64_t kDraws = 32;
constexpr std::uint64_t kLow = 3, kHigh = 28;  // of the draws in order: 10 % and 90 %
constexpr std::uint64_t kSeed = 1;

RankLoads loads_of(std::span<const std::int64_t> selections, double tile) {
  std::vector<ExpertLoad> loads;
  for (const std::int64_t count : selections) loads.push_back({static_cast<double>(count), 1});
  return {lowering::merge_loads(loads, tile),
          static_cast<double>(*std::max_element(selections.begin(), selections.end()))};
}

double rows_of_tiles(const RankLoads& rank, double tile) {
  double rows = 0;
  for (const ExpertLoad& load : rank.experts) rows += load.experts * std::ceil(load.tokens / tile) * tile;
  return rows;
}

// Experts are filled one tile after the other, evenly.
RankLoads even_in_tiles(const RoutedExperts& shape) {
  const double selections = static_cast<double>(shape.tokens) * shape.top_k / shape.ranks;
  const double hit = std::min(std::ceil(selections / shape.tile), static_cast<double>(shape.experts) / shape.ranks);
  return {{{selections / hit, hit}}, selections / hit};
}

RoutedLoads power_law_loads(double exponent, const RoutedExperts& shape) {
  const workloads::PowerLaw law{exponent, shape.tokens, shape.top_k, shape.experts};
  std::vector<RankLoads> draws;
  double fullest = 0;
  std::vector<ExpertLoad> together;
  for (std::uint64_t draw = 0; draw < kDraws; ++draw) {
    base::RandomStream stream(kSeed, "power law", draw);
    const auto selections = workloads::draw_power_law(law, stream);
    draws.push_back(loads_of(workloads::most_loaded_rank(selections, shape.ranks), shape.tile));
    fullest += draws.back().fullest / kDraws;
    for (const ExpertLoad& load : draws.back().experts) together.push_back({load.tokens, load.experts / kDraws});
  }
  std::stable_sort(draws.begin(), draws.end(), [&](const auto& a, const auto& b) {
    return rows_of_tiles(a, shape.tile) < rows_of_tiles(b, shape.tile);
  });
  return {{lowering::merge_loads(together, shape.tile), fullest}, draws[kLow], draws[kHigh]};
}

}  // namespace

std::optional<ExpertRouting> routing_named(std::string_view name) {
  if (name == "balanced" || name == "uniform") return ExpertRouting{};
  for (const std::string_view prefix : {"power_law_", "pl"}) {
    if (!name.starts_with(prefix)) continue;
    const std::string_view number = name.substr(prefix.size());
    ExpertRouting routing{ExpertRouting::Kind::PowerLaw, 0};
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), routing.exponent);
    if (error == std::errc() && end == number.data() + number.size() && routing.exponent > 0) return routing;
  }
  return std::nullopt;
}

std::shared_ptr<const RoutedLoads> RoutingCache::loads(const ExpertRouting& routing, const RoutedExperts& shape) {
  std::shared_ptr<const RoutedLoads>& entry = known_[{routing, shape}];
  if (entry != nullptr) return entry;
  RoutedLoads loads;
  switch (routing.kind) {
    case ExpertRouting::Kind::Even: {
      const auto selections = workloads::even_selections(shape.tokens, shape.top_k, shape.experts);
      loads.mean = loads_of(workloads::most_loaded_rank(selections, shape.ranks), shape.tile);
      break;
    }
    case ExpertRouting::Kind::EvenInTiles:
      loads.mean = even_in_tiles(shape);
      break;
    case ExpertRouting::Kind::PowerLaw:
      loads = power_law_loads(routing.exponent, shape);
      break;
  }
  entry = std::make_shared<const RoutedLoads>(std::move(loads));
  return entry;
}

Estimate over_draws(const RoutedLoads& loads, const std::function<base::Duration(const RankLoads&)>& time) {
  Estimate estimate{time(loads.mean), 0, 0};
  if (loads.low.experts.empty()) return estimate;
  estimate.draw_low = std::max(0.0, std::log(estimate.time / time(loads.low)));
  estimate.draw_high = std::max(0.0, std::log(time(loads.high) / estimate.time));
  return estimate;
}

}  // namespace moesim::validation
