#include "report/curve.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/units.h"
#include "report/curve_words.h"
#include "report/table.h"

namespace moesim::report {
namespace {

using results::ClusterCurve;
using results::CurveComparison;
using results::OperatingPoint;

std::string cell(const OperatingPoint& point) {
  if (point.reached()) return rate_words(point.per_gpu) + (point.memory_bound ? " m" : "  ");
  return point.unreachable.starts_with("too slow") ? "too slow  " : "cannot  ";
}

char mark(std::size_t cluster) { return static_cast<char>('A' + static_cast<int>(cluster % 26)); }

// Tokens/s/GPU (logarithmic, upwards) over tokens/s/user; a letter for each cluster, '*' where two meet.
std::string chart(const CurveComparison& curve) {
  constexpr std::size_t kRows = 12;
  std::size_t step = 4;  // columns of a point: its label and a space
  for (const double users : curve.users) step = std::max(step, number_words(users).size() + 1);
  double low = INFINITY, high = 0;
  for (const ClusterCurve& cluster : curve.clusters)
    for (const OperatingPoint& point : cluster.points) {
      if (!point.reached()) continue;
      low = std::min(low, point.per_gpu);
      high = std::max(high, point.per_gpu);
    }
  if (high == 0) return "";
  const double span = std::max(std::log(high / low), 0.1);
  bool met = false;
  std::vector<std::string> rows(kRows, std::string(curve.users.size() * step, ' '));
  for (std::size_t c = 0; c < curve.clusters.size(); ++c) {
    for (std::size_t p = 0; p < curve.users.size(); ++p) {
      const OperatingPoint& point = curve.clusters[c].points[p];
      if (!point.reached()) continue;
      const auto row = static_cast<std::size_t>(std::lround(std::log(high / point.per_gpu) / span * (kRows - 1)));
      char& at = rows[std::min(row, kRows - 1)][p * step + step - 1];
      met = met || at != ' ';
      at = at == ' ' ? mark(c) : '*';
    }
  }
  std::string out = "  output tokens/s/GPU (logarithmic)\n";
  for (std::size_t r = 0; r < kRows; ++r) {
    const bool label = r % 3 == 0 || r + 1 == kRows;
    const std::string value = label ? rate_words(high * std::exp(-span * static_cast<double>(r) / (kRows - 1))) : "";
    std::string line = "  " + std::string(8 - std::min<std::size_t>(8, value.size()), ' ') + value + " |" + rows[r];
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  out += std::string(11, ' ') + "+" + std::string(curve.users.size() * step, '-') + "\n" + std::string(12, ' ');
  for (const double users : curve.users) {
    const std::string value = number_words(users);
    out += std::string(step - std::min(step, value.size()), ' ') + value;
  }
  out += "  tokens/s/user\n ";
  for (std::size_t c = 0; c < curve.clusters.size(); ++c)
    out += std::string(" ") + mark(c) + " " + curve.clusters[c].name + (c + 1 < curve.clusters.size() ? "," : "") +
           (c + 1 == curve.clusters.size() && met ? "; * several of them" : "");
  return out + "\n";
}

// "16 or 72"
std::string gpus_words(const ClusterCurve& cluster) {
  std::set<std::int32_t> counts;
  for (const results::StepRun& run : cluster.runs) counts.insert(run.gpus);
  std::string out;
  for (const std::int32_t count : counts) out += (out.empty() ? "" : " or ") + std::to_string(count);
  return out;
}

std::vector<std::string> options_of(const ClusterCurve& cluster) {
  std::vector<std::string> names;
  for (const results::StepRun& run : cluster.runs)
    if (std::find(names.begin(), names.end(), run.option) == names.end()) names.push_back(run.option);
  return names;
}

// Throughput of all clusters, and which of its options is best; then what the letters and numbers mean.
std::string throughput_table(const CurveComparison& curve) {
  const bool pair = curve.clusters.size() == 2;
  std::vector<std::string> header{"at least tokens/s/user"};
  std::string meaning;
  for (std::size_t c = 0; c < curve.clusters.size(); ++c) {
    const ClusterCurve& cluster = curve.clusters[c];
    header.push_back(std::string(1, mark(c)) + " " + cluster.name + "  ");
    meaning += std::string("  ") + mark(c) + " " + cluster.name + ": " + gpus_words(cluster) + " GPUs";
    if (cluster.options > 1) header.emplace_back("option");
    const std::vector<std::string> options = cluster.options > 1 ? options_of(cluster) : std::vector<std::string>{};
    for (std::size_t o = 0; o < options.size(); ++o)
      meaning += (o == 0 ? "; option " : ", ") + std::to_string(o + 1) + " " + options[o];
    meaning += "\n";
  }
  if (pair) header.insert(header.end(), {"speedup", "80 % interval"});
  Table table(std::move(header));
  for (std::size_t p = 0; p < curve.users.size(); ++p) {
    std::vector<std::string> row{number_words(curve.users[p])};
    for (const ClusterCurve& cluster : curve.clusters) {
      row.push_back(cell(cluster.points[p]));
      if (cluster.options <= 1) continue;
      const std::vector<std::string> options = options_of(cluster);
      const auto found = std::find(options.begin(), options.end(), cluster.points[p].option);
      row.push_back(cluster.points[p].reached() ? std::to_string(found - options.begin() + 1) : "");
    }
    if (pair) {
      const results::Ratio& ratio = curve.speedup[1 - curve.baseline][p];
      row.push_back(ratio.value > 0 ? factor_words(ratio.value) : "-");
      row.push_back(ratio.value > 0 ? factor_words(ratio.low) + " to " + factor_words(ratio.high) : "-");
    }
    table.add_row(std::move(row));
  }
  const bool memory = std::any_of(curve.clusters.begin(), curve.clusters.end(), [](const ClusterCurve& cluster) {
    return std::any_of(cluster.points.begin(), cluster.points.end(), [](const auto& p) { return p.memory_bound; });
  });
  return table.text() + (memory ? "  m: memory binds; all that fits is faster than asked for\n" : "") + meaning;
}

// Of more than two clusters, each over the baseline.
std::string speedup_table(const CurveComparison& curve) {
  std::vector<std::string> header{"at least tokens/s/user"};
  for (std::size_t c = 0; c < curve.clusters.size(); ++c)
    if (c != curve.baseline) header.push_back(std::string(1, mark(c)) + " / " + mark(curve.baseline));
  Table table(std::move(header));
  for (std::size_t p = 0; p < curve.users.size(); ++p) {
    std::vector<std::string> row{number_words(curve.users[p])};
    for (std::size_t c = 0; c < curve.clusters.size(); ++c) {
      const results::Ratio& ratio = curve.speedup[c][p];
      if (c == curve.baseline) continue;
      row.push_back(ratio.value > 0 ? factor_words(ratio.value) + " (" + factor_words(ratio.low) + " to " +
                                          factor_words(ratio.high) + ")"
                                    : "-");
    }
    table.add_row(std::move(row));
  }
  return "  Speedup over " + curve.clusters[curve.baseline].name + " (80 % interval):\n" + table.text() + "\n";
}

std::string tried(const CurveComparison& curve) {
  std::string out;
  for (const ClusterCurve& cluster : curve.clusters) {
    std::string line = "  " + cluster.name + ": " + std::to_string(cluster.runs.size()) + " runs";
    if (cluster.options > 1) line += " of " + std::to_string(cluster.options) + " options";
    if (cluster.pruned > 0)
      line += ", " + std::to_string(cluster.pruned) +
              " left out because slower than asked for or, by their bound, worse than another option";
    for (const std::string& refused : cluster.refused) line += "; cannot be: " + refused;
    out += wrap(line, 4);
  }
  return out;
}

std::string bar(double log_part, double log_most) {
  constexpr double kWidth = 24;
  const auto length = static_cast<std::size_t>(std::lround(std::abs(log_part) / std::max(log_most, 1e-9) * kWidth));
  return std::string(length, log_part < 0 ? '-' : '#') + std::string(static_cast<std::size_t>(kWidth) - length, ' ');
}

std::string point_text(const results::Waterfall& waterfall, const results::WaterfallPoint& point) {
  const std::string at = number_words(point.users) + " tokens/s/user";
  if (!point.unreachable.empty())
    return wrap("At " + at +
                    ": no ratio and so no parts of it, because one side is out of reach: " + point.unreachable + ".",
                2) +
           "\n";
  std::string out = wrap("At " + at + ": " + waterfall.target + " does " + rate_words(point.target.per_gpu) +
                             " output tokens/s/GPU, " + waterfall.baseline + " " + rate_words(point.baseline.per_gpu) +
                             ": " + ratio_words(point.speedup) + ". Factors that multiply to it:",
                         2) +
                    "\n";
  double most = 0, product = 1;
  for (const results::FactorPart& part : point.parts) {
    most = std::max(most, std::abs(part.log_part));
    product *= part.factor;
  }
  const double whole = std::log(product);
  Table table({"factor", "times", "of the speedup", "sampling", "alone", "last", std::string(24, ' ')});
  for (const results::FactorPart& part : point.parts)
    table.add_row({part.name, factor_words(part.factor),
                   std::abs(whole) > 1e-9 ? percent_words(part.log_part / whole) : "-",
                   part.log_error > 0 ? "+- " + percent_words(std::expm1(part.log_error)) : "-",
                   factor_words(part.alone), factor_words(part.last), bar(part.log_part, most)});
  table.add_row({"all together", factor_words(product), "", "", "", "", std::string(24, ' ')});
  out += table.text() + "\n";
  if (!point.elasticities.empty()) {
    Table more({"10 % more of", waterfall.baseline, waterfall.target});
    const auto change = [](double value) {
      if (value == 0) return std::string("0 %");
      return (value < 0 ? "-" : "+") + base::format_number(std::abs(100 * value), std::abs(value) < 0.1 ? 2 : 3) + " %";
    };
    for (const results::Elasticity& e : point.elasticities)
      more.add_row({e.resource, change(e.baseline), change(e.target)});
    out += "  Change of tokens/s/GPU, at the same tokens/s/user:\n" + more.text() + "\n";
  }
  return out;
}

}  // namespace

std::string text(const CurveComparison& curve) {
  std::string out = wrap("Output tokens/s/GPU at equal interactivity: " + curve.scope, 2) + "\n";
  out += throughput_table(curve) + "\n";
  if (curve.clusters.size() > 2) out += speedup_table(curve);
  out += chart(curve) + "\n";
  out += wrap("In words: " + words(curve), 2) + "\n";
  out += "Tried:\n" + tried(curve);
  out +=
      wrap("How sure: 80 % intervals of ratios, from " + std::to_string(curve.draws) +
               " joint draws of what the kernels' models missed on measurements that they were not fitted to; kernels "
               "that both sides share are wrong together." +
               (curve.sampling.empty() ? "" : " " + curve.sampling),
           2);
  out +=
      list("Assumed:", curve.assumptions) + list("Not in it:", curve.not_modelled) + list("Warnings:", curve.warnings);
  return out;
}

std::string text(const results::Waterfall& waterfall) {
  std::string out = wrap("Where the speedup of " + waterfall.target + " over " + waterfall.baseline +
                             " comes from: " + waterfall.model + ", output tokens/s/GPU at equal tokens/s/user",
                         2) +
                    "\n";
  for (const results::WaterfallPoint& point : waterfall.points) out += point_text(waterfall, point);
  out += wrap("In words: " + words(waterfall), 2) + "\n";
  if (const auto found = std::find_if(waterfall.points.begin(), waterfall.points.end(),
                                      [](const auto& point) { return !point.parts.empty(); });
      found != waterfall.points.end()) {
    std::vector<std::string> what;
    for (const results::FactorPart& part : found->parts) what.push_back(part.name + ": " + part.what);
    out += list("Factors:", what);
  }
  out += wrap("Method: each part is the mean, over " +
                  (waterfall.orders > 0 ? std::to_string(waterfall.orders) + " drawn orders (seed " +
                                              std::to_string(waterfall.seed) + ")"
                                        : std::string("all orders")) +
                  ", of what the factor adds to log(tokens/s/GPU) when its turn comes (Shapley value), so that factors "
                  "multiply to the whole in any order; percentages are of its logarithm; " +
                  std::to_string(waterfall.hybrids) + " hybrids at a point, " + std::to_string(waterfall.runs) +
                  " runs in all. \"alone\": switched on first; \"last\": when all others are on. " + waterfall.sampling,
              2);
  return out + list("Not in it:", waterfall.not_modelled) + list("Warnings:", waterfall.warnings);
}

}  // namespace moesim::report
