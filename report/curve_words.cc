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

// "20" or "20 to 40 tokens/s/user", of points that follow each other
std::string span_words(const CurveComparison& curve, std::size_t first, std::size_t last) {
  return first == last ? users_words(curve.users[first])
                       : number_words(curve.users[first]) + " to " + users_words(curve.users[last]);
}

// "nodes 2 (8 GPUs)" where the size is what varies.
std::string named(const CurveComparison& curve, const ClusterCurve& cluster) {
  const bool sizes = curve.series && std::any_of(curve.clusters.begin(), curve.clusters.end(),
                                                 [&](const auto& other) { return other.gpus != cluster.gpus; });
  return sizes ? cluster.name + " (" + std::to_string(cluster.gpus) + " GPUs)" : cluster.name;
}

// Who cannot reach which point first, and why.
std::string reach_words(const CurveComparison& curve) {
  std::string out;
  std::vector<std::string> all;
  for (const ClusterCurve& cluster : curve.clusters) {
    const auto first = std::find_if(cluster.points.begin(), cluster.points.end(),
                                    [](const OperatingPoint& point) { return !point.reached(); });
    if (first == cluster.points.end())
      all.push_back(named(curve, cluster));
    else
      out += named(curve, cluster) + " does not reach " + users_words(first->users) + " (" + first->unreachable +
             "): from there on it has no ratio. ";
  }
  if (all.size() == curve.clusters.size()) return "All points are reached. ";
  std::string names;
  for (std::size_t i = 0; i < all.size(); ++i) names += (i == 0 ? "" : i + 1 < all.size() ? ", " : " and ") + all[i];
  if (!all.empty()) out += names + (all.size() == 1 ? " reaches" : " reach") + " all points. ";
  return out;
}

// How the throughput of a cluster compares with that of another, over the points that both reach.
std::string against(const CurveComparison& curve, std::size_t c, std::size_t base) {
  const ClusterCurve &cluster = curve.clusters[c], &other = curve.clusters[base];
  const std::string name = named(curve, cluster), other_name = named(curve, other);
  std::vector<std::size_t> points;
  for (std::size_t p = 0; p < curve.users.size(); ++p)
    if (cluster.points[p].reached() && other.points[p].reached()) points.push_back(p);
  if (points.empty())
    return name + " and " + other_name + " reach no common point between " + users_words(curve.users.front()) +
           " and " + users_words(curve.users.back()) + ". ";
  const bool intervals = base == curve.baseline;
  const auto ratio = [&](std::size_t p) {
    if (intervals) return curve.speedup[c][p];
    const double value = cluster.points[p].per_gpu / other.points[p].per_gpu;
    return Ratio{value, value, value, 1};
  };
  const auto said = [&](std::size_t p) { return intervals ? ratio_words(ratio(p)) : factor_words(ratio(p).value); };
  const auto by_value = [&](std::size_t a, std::size_t b) { return ratio(a).value < ratio(b).value; };
  const std::size_t most = *std::max_element(points.begin(), points.end(), by_value);
  const std::size_t least = *std::min_element(points.begin(), points.end(), by_value);
  std::string out = "Per GPU " + name + " serves ";
  if (ratio(most).value < 1.005 * ratio(least).value)
    return out + said(most) + " as much as " + other_name + " at every common point. ";
  return out + "between " + said(least) + ", at " + users_words(curve.users[least]) + ", and " + said(most) + ", at " +
         users_words(curve.users[most]) + ", as much as " + other_name + ". ";
}

// Which cluster does most per GPU over which points; of several that do alike, the one named first.
std::string best_words(const CurveComparison& curve) {
  constexpr double kAlike = 0.995;
  std::vector<std::size_t> best;  // [users]; clusters.size(): none reaches it
  for (std::size_t p = 0; p < curve.users.size(); ++p) {
    double most = 0;
    for (const ClusterCurve& cluster : curve.clusters) most = std::max(most, cluster.points[p].per_gpu);
    std::size_t c = 0;
    while (c < curve.clusters.size() && (most == 0 || curve.clusters[c].points[p].per_gpu < kAlike * most)) ++c;
    best.push_back(c);
  }
  std::string out;
  for (std::size_t p = 0; p < best.size();) {
    std::size_t last = p;
    while (last + 1 < best.size() && best[last + 1] == best[p]) ++last;
    if (best[p] < curve.clusters.size()) {
      const bool end = curve.series && best[p] + 1 == curve.clusters.size();
      out += (out.empty() ? "Most per GPU: " : "; ") + named(curve, curve.clusters[best[p]]) +
             (end ? ", the last tried," : "") + " at " + span_words(curve, p, last);
    }
    p = last + 1;
  }
  if (out.empty()) return "";
  return out + (curve.series ? ". Where another than the last is named, the next one serves no more. " : ". ");
}

// What binds on each side, at the middle of the points that most sides reach.
std::string binding_words(const CurveComparison& curve) {
  std::vector<std::size_t> reached(curve.users.size());  // [users] clusters
  for (const ClusterCurve& cluster : curve.clusters)
    for (std::size_t p = 0; p < curve.users.size(); ++p) reached[p] += cluster.points[p].reached() ? 1 : 0;
  const std::size_t most = *std::max_element(reached.begin(), reached.end());
  if (most == 0) return "";
  std::vector<std::size_t> points;
  for (std::size_t p = 0; p < reached.size(); ++p)
    if (reached[p] == most) points.push_back(p);
  const std::size_t middle = points[points.size() / 2];
  std::string out = "At " + users_words(curve.users[middle]);
  const char* before = ", ";
  for (const ClusterCurve& cluster : curve.clusters) {
    if (!cluster.points[middle].reached()) continue;
    out += before + binds(named(curve, cluster), cluster.points[middle]);
    before = "; ";
  }
  return out + ". ";
}

// "; together the interconnect (NVLink, NIC) is 2.02x (53 % of it)"
std::string group_words(const results::WaterfallPoint& point, double whole) {
  std::vector<std::string> groups;
  for (const auto& part : point.parts)
    if (!part.group.empty() && std::find(groups.begin(), groups.end(), part.group) == groups.end())
      groups.push_back(part.group);
  std::string out;
  for (const std::string& group : groups) {
    double log_part = 0;
    std::string names;
    for (const auto& part : point.parts) {
      if (part.group != group) continue;
      log_part += part.log_part;
      names += (names.empty() ? "" : ", ") + part.name;
    }
    out += "; together " + group + " (" + names + ") is " + factor_words(std::exp(log_part)) + " (" +
           percent_words(log_part / whole) + " of it)";
  }
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
  return out + group_words(point, whole);
}

}  // namespace

std::string words(const CurveComparison& curve) {
  std::string out;
  for (std::size_t c = 0; c < curve.clusters.size(); ++c) {
    if (curve.series && c > 0)
      out += against(curve, c, c - 1);
    else if (!curve.series && c != curve.baseline)
      out += against(curve, c, curve.baseline);
  }
  if (curve.clusters.size() > 2) out += best_words(curve);
  return out + binding_words(curve) + reach_words(curve);
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
  return out + "Not in it: software that matures between two measurements, and prefill on other GPUs than decode.";
}

}  // namespace moesim::report
