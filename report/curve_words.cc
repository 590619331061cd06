#include "report/curve_words.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/units.h"

namespace moesim::report {

using results::ClusterCurve;
using results::CurveComparison;
using results::OperatingPoint;
using results::Ratio;

std::string rate_words(double per_second) {
  if (per_second >= 1e3) return base::format_number(per_second / 1e3, 3) + " k";
  return base::format_number(per_second, 3);
}

std::string number_words(double value) { return base::format_number(value, value == std::round(value) ? 17 : 3); }

std::string factor_words(double value) { return base::format_number(value, 3) + "x"; }

std::string percent_words(double fraction) {
  return base::format_number(100 * fraction, std::abs(fraction) < 0.0995 ? 2 : 3) + " %";
}

std::string ratio_words(const Ratio& ratio) {
  std::string out =
      factor_words(ratio.value) + " (80 % interval " + factor_words(ratio.low) + " to " + factor_words(ratio.high);
  if (ratio.reached < 0.995) out += "; both reach this point in " + percent_words(ratio.reached) + " of the draws";
  return out + ")";
}

namespace {

std::string users_words(double users) { return number_words(users) + " tokens/s/user"; }

// "on X, combine takes 50 % of the step, bound by network link node7.nic5 -> leaf5"
std::string binds(const std::string& name, const OperatingPoint& point) {
  std::string out = "on " + name + " the longest part of a step is " + point.near.longest + " (" +
                    percent_words(point.near.longest_share) + ")";
  if (!point.near.binding.kind.empty()) out += ", bound by " + point.near.binding.kind;
  out += ", and communication is exposed for " + percent_words(point.near.exposed) + " of it";
  if (point.memory_bound) out += "; no more sequences fit in memory";
  return out;
}

// Indices of points where a cluster and the baseline have a ratio.
std::vector<std::size_t> compared(const CurveComparison& curve, std::size_t cluster) {
  std::vector<std::size_t> list;
  for (std::size_t p = 0; p < curve.users.size(); ++p)
    if (curve.speedup[cluster][p].value > 0) list.push_back(p);
  return list;
}

std::string reach_words(const CurveComparison& curve, const ClusterCurve& cluster) {
  const auto first = std::find_if(cluster.points.begin(), cluster.points.end(),
                                  [](const OperatingPoint& point) { return !point.reached(); });
  if (first == cluster.points.end())
    return cluster.name + " reaches all points up to " + users_words(curve.users.back()) + ". ";
  return cluster.name + " does not reach " + users_words(first->users) + " (" + first->unreachable +
         "), so that no ratio exists from there on. ";
}

std::string cluster_words(const CurveComparison& curve, std::size_t c) {
  const ClusterCurve& cluster = curve.clusters[c];
  const ClusterCurve& base = curve.clusters[curve.baseline];
  const std::vector<std::size_t> points = compared(curve, c);
  if (points.empty())
    return cluster.name + " and " + base.name + " reach no common point between " + users_words(curve.users.front()) +
           " and " + users_words(curve.users.back()) + ". ";
  const auto by_value = [&](std::size_t a, std::size_t b) {
    return curve.speedup[c][a].value < curve.speedup[c][b].value;
  };
  const std::size_t most = *std::max_element(points.begin(), points.end(), by_value);
  const std::size_t least = *std::min_element(points.begin(), points.end(), by_value);
  std::string out = "Per GPU " + cluster.name + " serves ";
  if (curve.speedup[c][most].value < 1.005 * curve.speedup[c][least].value) {
    out += "the same " + ratio_words(curve.speedup[c][most]) + " as much as " + base.name + " at every common point. ";
  } else {
    out += "between " + ratio_words(curve.speedup[c][least]) + ", at " + users_words(curve.users[least]) + ", and " +
           ratio_words(curve.speedup[c][most]) + ", at " + users_words(curve.users[most]) + ", as much as " +
           base.name + ": the speedup is no one number. ";
  }
  const std::size_t middle = points[points.size() / 2];
  out += "At " + users_words(curve.users[middle]) + ", " + binds(base.name, base.points[middle]) + "; " +
         binds(cluster.name, cluster.points[middle]) + ". ";
  return out;
}

std::string largest_parts(const results::WaterfallPoint& point) {
  double whole = 0;
  for (const auto& part : point.parts) whole += part.log_part;
  if (std::abs(whole) < 1e-6) return "no factor changes anything";
  std::vector<const results::FactorPart*> order;
  for (const auto& part : point.parts) order.push_back(&part);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->log_part > b->log_part; });
  std::string out;
  for (const results::FactorPart* part : order) {
    if (std::abs(part->factor - 1) < 0.005) continue;
    out += (out.empty() ? "" : ", ") + part->name + " " + factor_words(part->factor) + " (" +
           percent_words(part->log_part / whole) + " of it)";
  }
  return out;
}

}  // namespace

std::string words(const CurveComparison& curve) {
  std::string out;
  for (std::size_t c = 0; c < curve.clusters.size(); ++c)
    if (c != curve.baseline) out += cluster_words(curve, c);
  for (const ClusterCurve& cluster : curve.clusters) out += reach_words(curve, cluster);
  return out;
}

std::string words(const results::Waterfall& waterfall) {
  std::string out;
  for (const results::WaterfallPoint& point : waterfall.points) {
    if (point.parts.empty()) {
      out += "At " + users_words(point.users) + " there is no ratio: " + point.unreachable + ". ";
      continue;
    }
    out += "At " + users_words(point.users) + " " + waterfall.target + " serves " + ratio_words(point.speedup) +
           " as many tokens per GPU as " + waterfall.baseline + ". It is made of " + largest_parts(point) + ". There " +
           binds(waterfall.baseline, point.baseline) + "; " + binds(waterfall.target, point.target) + ". ";
  }
  return out +
         "The other parts of what is sold as one number, software that matured between two measurements and "
         "prefill on other GPUs than decode, are not in it.";
}

}  // namespace moesim::report
