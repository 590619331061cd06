// The tokens of the timed rank's experts in tables of expert kernels: by a rule or, for a power law, over random draws.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "sim/lowering/expert_loads.h"
#include "validation/table_kind.h"

namespace moesim::validation {

struct ExpertRouting {
  enum class Kind : std::uint8_t { Even, EvenInTiles, PowerLaw } kind = Kind::Even;
  double exponent = 0;  // of a power law

  auto operator<=>(const ExpertRouting&) const = default;
};

// "balanced" and "uniform" are even; "pl1.01" and "power_law_1.01" power laws. Nothing for another name.
std::optional<ExpertRouting> routing_named(std::string_view name);

struct RoutedExperts {
  std::int64_t tokens = 0;  // of all ranks
  std::int32_t top_k = 0, experts = 0, ranks = 0;
  double tile = 0;  // loads are merged by tiles of so many rows

  auto operator<=>(const RoutedExperts&) const = default;
};

// What the timed rank computes.
struct RankLoads {
  std::vector<lowering::ExpertLoad> experts;
  double fullest = 0;  // tokens of its fullest expert
};

// Of the most loaded rank: the mean over the draws, and the draws that 10 % and 90 % of all stay below in rows of full
// tiles (empty for a rule). One table's rows share them.
struct RoutedLoads {
  RankLoads mean, low, high;
};

class RoutingCache {
 public:
  std::shared_ptr<const RoutedLoads> loads(const ExpertRouting& routing, const RoutedExperts& shape);

 private:
  std::map<std::pair<ExpertRouting, RoutedExperts>, std::shared_ptr<const RoutedLoads>> known_;
};

// The time at the mean loads, with the interval over the draws. `time` gives microseconds for loads.
Estimate over_draws(const RoutedLoads& loads, const std::function<base::Duration(const RankLoads&)>& time);

}  // namespace moesim::validation
