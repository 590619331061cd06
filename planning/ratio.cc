#include "planning/ratio.h"

#include <cmath>

#include "base/random.h"
#include "base/statistics.h"
#include "planning/operating_point.h"

namespace moesim::planning {
namespace {

constexpr double kSigmas = 1.2815515655446004;  // half-width of an 80 % interval of a normal distribution

results::OperatingPoint best(const RunsByOption& runs, double users, const Draws* draws, std::int64_t draw) {
  results::OperatingPoint best;
  for (const auto& option : runs) {
    if (option.empty()) continue;
    std::vector<double> factors;
    if (draws != nullptr)
      for (const results::StepRun& run : option) factors.push_back(stretch(run, *draws, draw));
    results::OperatingPoint point = operating_point(option, users, factors);
    const bool nearer = !best.reached() && !point.reached() && point.near.users > best.near.users;
    if (point.per_gpu > best.per_gpu || nearer || best.users == 0) best = std::move(point);
  }
  return best;
}

}  // namespace

double stretch(const results::StepRun& run, const Draws& draws, std::int64_t draw) {
  double known = 0, factor = 0;
  for (const results::TimePart& part : run.parts) {
    known += part.share;
    if (part.error <= 0) {
      factor += part.share;
      continue;
    }
    base::RandomStream stream(draws.seed, part.parameters, static_cast<std::uint64_t>(draw));
    factor += part.share * std::exp(stream.normal() * std::log1p(part.error) / kSigmas);
  }
  return factor + 1 - known;
}

results::OperatingPoint best_point(const RunsByOption& runs, double users) { return best(runs, users, nullptr, 0); }

results::Ratio ratio(const RunsByOption& baseline, const RunsByOption& target, double users, const Draws& draws) {
  results::Ratio result;
  const results::OperatingPoint below = best_point(baseline, users), above = best_point(target, users);
  if (!below.reached() || !above.reached()) return {0, 0, 0, 0};
  result.value = above.per_gpu / below.per_gpu;
  std::vector<double> drawn;
  for (std::int64_t d = 0; d < draws.count; ++d) {
    const results::OperatingPoint b = best(baseline, users, &draws, d), t = best(target, users, &draws, d);
    if (b.reached() && t.reached()) drawn.push_back(t.per_gpu / b.per_gpu);
  }
  result.reached = draws.count > 0 ? static_cast<double>(drawn.size()) / static_cast<double>(draws.count) : 1;
  result.low = result.high = result.value;
  if (drawn.empty()) return result;
  result.low = std::min(result.value, base::quantile(drawn, 0.1));
  result.high = std::max(result.value, base::quantile(drawn, 0.9));
  return result;
}

}  // namespace moesim::planning
