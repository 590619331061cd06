#include "cli/trace_statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <ostream>

#include "base/error.h"
#include "base/units.h"
#include "report/table.h"
#include "workloads/expert_counts.h"
#include "workloads/placement.h"
#include "workloads/trace_file.h"
#include "workloads/trace_summary.h"

namespace moesim::cli {
namespace {

using workloads::LayerStatistics;
using workloads::TraceSummary;

std::string number(double value) { return base::format_number(value, 3); }
std::string percent(double fraction) { return base::format_number(100 * fraction, 3) + " %"; }

// A bar of `width` cells for 1.
std::string bar(double fraction, int width) {
  return std::string(static_cast<std::size_t>(std::lround(std::clamp(fraction, 0.0, 1.0) * width)), '#');
}

// One number of every layer: mean, range and the layer of the largest.
std::vector<std::string> over_layers(const std::string& name, const std::vector<LayerStatistics>& layers,
                                     double LayerStatistics::*value, std::string (*text)(double)) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double sum = 0, least = kInfinity, most = -kInfinity;
  std::size_t at = 0;
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    const double x = layers[layer].*value;
    sum += x;
    least = std::min(least, x);
    if (x > most) at = layer;
    most = std::max(most, x);
  }
  return {name, text(sum / static_cast<double>(layers.size())), text(least), text(most), std::to_string(at)};
}

void print_layers(const TraceSummary& s, bool tokens, std::ostream& out) {
  report::Table numbers({"over the layers", "mean", "least", "most", "in layer"});
  const auto add = [&](const char* name, double LayerStatistics::*value, std::string (*text)(double)) {
    numbers.add_row(over_layers(name, s.statistics, value, text));
  };
  add("load of the busiest expert over the mean", &LayerStatistics::max_over_mean, number);
  add("Zipf exponent of the loads", &LayerStatistics::zipf_exponent, number);
  add("share of the busiest tenth of experts", &LayerStatistics::top_tenth_share, percent);
  if (tokens) add("experts shared by adjacent tokens", &LayerStatistics::adjacent_share, percent);
  out << numbers.text();
}

std::vector<std::int32_t> degrees(const TraceOptions& options, std::int32_t experts) {
  std::vector<std::int32_t> result;
  result.assign(options.ranks.begin(), options.ranks.end());
  for (std::int32_t ep = 2; options.ranks.empty() && ep <= std::min(experts, 256); ep *= 2)
    if (experts % ep == 0) result.push_back(ep);
  return result;
}

// Experts placed as scenarios place them by default.
void print_ranks(const TraceOptions& options, const TraceSummary& s, bool tokens, std::ostream& out) {
  const auto list = degrees(options, s.experts);
  if (list.empty()) return;
  std::vector<std::string> header{"EP", "busiest rank over mean", "worst layer"};
  if (tokens) header.insert(header.end(), {"ranks per token", "if uniform"});
  report::Table ranks(header);
  bool replicas = false;
  for (const std::int32_t ep : list) {
    const workloads::Placement placement = workloads::default_placement(s.experts, ep);
    replicas = replicas || placement.num_slots() > s.experts;
    double sum = 0, worst = 0, fan = 0;
    for (std::int32_t layer = 0; layer < s.layers; ++layer) {
      const double imbalance = workloads::rank_imbalance(s.loads[static_cast<std::size_t>(layer)], placement);
      sum += imbalance / s.layers;
      worst = std::max(worst, imbalance);
      if (tokens) fan += workloads::fan_out(s.sample.layer(layer), placement) / s.layers;
    }
    std::vector<std::string> row{std::to_string(ep), number(sum), number(worst)};
    if (tokens) row.insert(row.end(), {number(fan), number(workloads::uniform_fan_out(s.top_k, placement))});
    ranks.add_row(row);
  }
  out << "\n" << ranks.text();
  if (replicas)
    out << report::wrap("  Where ranks do not divide " + std::to_string(s.experts) +
                            " experts, the first experts fill the slots left over once more, as in a scenario.",
                        2);
}

// The mean layer's loads in falling order, in tenths of the experts.
void print_tenths(const TraceSummary& s, std::ostream& out) {
  std::vector<double> share(10, 0);
  for (std::vector<std::int64_t> loads : s.loads) {
    std::sort(loads.begin(), loads.end(), std::greater<>());
    const auto all = static_cast<double>(std::accumulate(loads.begin(), loads.end(), std::int64_t{0}));
    for (std::size_t i = 0; all > 0 && i < loads.size(); ++i)
      share[i * 10 / loads.size()] += static_cast<double>(loads[i]) / all / s.layers;
  }
  out << "\n  selections by tenths of the experts, busiest first\n";
  for (std::size_t tenth = 0; tenth < share.size(); ++tenth)
    out << "  " << tenth + 1 << (tenth == 9 ? "" : " ") << " " << bar(share[tenth] / share[0], 50) << " "
        << percent(share[tenth]) << "\n";
}

// At most 12 rows: what depends on depth.
void print_depth(const TraceSummary& s, std::ostream& out) {
  constexpr std::int32_t kRows = 12;
  if (s.layers < 2) return;
  out << "\n  by depth: experts shared by adjacent tokens, load of the busiest expert over the mean\n";
  const std::int32_t rows = std::min(kRows, s.layers);
  for (std::int32_t row = 0; row < rows; ++row) {
    const std::int32_t first = row * s.layers / rows, last = (row + 1) * s.layers / rows - 1;
    double shared = 0, busiest = 0;
    for (std::int32_t layer = first; layer <= last; ++layer) {
      shared += s.statistics[static_cast<std::size_t>(layer)].adjacent_share / (last - first + 1);
      busiest += s.statistics[static_cast<std::size_t>(layer)].max_over_mean / (last - first + 1);
    }
    std::string name = first == last ? std::to_string(first) : std::to_string(first) + "-" + std::to_string(last);
    name.resize(std::max<std::size_t>(name.size(), 8), ' ');
    std::string share = percent(shared);
    share.insert(0, share.size() < 7 ? 7 - share.size() : 0, ' ');
    out << "  layer " << name << share << " " << bar(shared, 40) << std::string(40 - bar(shared, 40).size(), ' ') << " "
        << number(busiest) << "x\n";
  }
}

TraceSummary of_counts(const std::string& path) {
  const workloads::ExpertCounts counts = workloads::read_expert_counts(path);
  TraceSummary s;
  s.layers = counts.layers;
  s.experts = counts.experts;
  s.layers_dropped = counts.layers_dropped;
  for (std::int32_t layer = 0; layer < counts.layers; ++layer) {
    // Weights may be fractions: a millionth of the mean is as fine as a statistic needs.
    const auto row = counts.layer(layer);
    const double sum = std::accumulate(row.begin(), row.end(), 0.0);
    const bool whole = std::all_of(row.begin(), row.end(), [](double c) { return c == std::floor(c) && c < 0x1p53; });
    std::vector<std::int64_t> loads;
    for (const double c : row) loads.push_back(std::llround(whole ? c : c / sum * 1e6 * counts.experts));
    s.statistics.push_back(workloads::load_statistics(loads));
    s.loads.push_back(std::move(loads));
  }
  return s;
}

bool is_counts(const std::string& file) {
  if (file.ends_with(".json")) return true;
  return (file.ends_with(".npy") || file.ends_with(".npz")) && workloads::npy_dimensions(file) == 2;
}

}  // namespace

std::string notes_text(std::int64_t padding_dropped, const std::vector<std::int32_t>& layers_dropped) {
  std::string text;
  if (padding_dropped > 0) text += "; " + std::to_string(padding_dropped) + " tokens of padding left out";
  if (layers_dropped.empty()) return text;
  text += layers_dropped.size() == 1 ? "; layer " : "; layers ";
  for (std::size_t i = 0; i < layers_dropped.size();) {
    std::size_t end = i + 1;
    while (end < layers_dropped.size() && layers_dropped[end] == layers_dropped[end - 1] + 1) ++end;
    text += (i > 0 ? ", " : "") + std::to_string(layers_dropped[i]);
    if (end - i > 1) text += " to " + std::to_string(layers_dropped[end - 1]);
    i = end;
  }
  return text + " of the file " + (layers_dropped.size() == 1 ? "has" : "have") + " no experts and " +
         (layers_dropped.size() == 1 ? "is" : "are") + " left out";
}

void print_statistics(const TraceOptions& options, std::ostream& out) {
  if (is_counts(options.file)) {
    for (const auto& [flag, value] : {std::pair("--experts", options.experts), std::pair("--layers", options.layers)})
      if (value > 0) throw base::InputError(flag, "", "has no effect: " + options.file + " holds expert counts");
    const TraceSummary s = of_counts(options.file);
    out << options.file << ": expert counts of " << s.layers << " MoE layers, " << s.experts << " experts"
        << notes_text(0, s.layers_dropped) << "\n\n";
    print_layers(s, false, out);
    print_ranks(options, s, false, out);
    print_tenths(s, out);
    return;
  }
  const std::int32_t told = options.experts > 0 ? options.experts : workloads::experts_told(options.file);
  const TraceSummary s = workloads::summarize_trace(options.file, options.layers, told);
  out << options.file << ": " << s.tokens << " tokens, " << s.layers << " MoE layers, top-" << s.top_k << " of "
      << s.experts << " experts" << (told == 0 ? " (those seen; --experts tells how many there are)" : "")
      << notes_text(s.padding_dropped, s.layers_dropped) << "\n\n";
  print_layers(s, true, out);
  if (s.layers > 1) {
    const auto correlation = workloads::layer_correlation(s.sample, s.experts);
    out << "\n  A layer's experts foretell " << percent(correlation.from_layer_before)
        << " of the next layer's, popularity " << percent(correlation.from_popularity) << " (of " << s.sample.tokens
        << " tokens, evenly spaced).\n";
  }
  if (s.sample.tokens >= 64)
    out << "  Of the busiest tenth of experts in a quarter of the tokens, "
        << percent(workloads::hot_expert_overlap(s.sample, s.experts)) << " are so in another quarter.\n";
  print_ranks(options, s, true, out);
  print_tenths(s, out);
  print_depth(s, out);
}

}  // namespace moesim::cli
