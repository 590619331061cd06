#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/verb.h"
#include "report/table.h"
#include "workloads/generator.h"
#include "workloads/npy.h"
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

void import_trace(const std::string& file, int layers, const std::string& output, std::ostream& out) {
  const workloads::Trace trace = workloads::read_trace_file(file, {layers});
  workloads::write_npy(trace, output);
  out << output << ": " << trace.tokens << " tokens, " << trace.layers << " MoE layers, top-" << trace.top_k << "\n";
}

// One number of every layer: mean, range and the layer of the largest.
std::vector<std::string> over_layers(const std::string& name, const TraceSummary& summary,
                                     double LayerStatistics::*value, std::string (*text)(double)) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double sum = 0, least = kInfinity, most = -kInfinity;
  std::size_t at = 0;
  for (std::size_t layer = 0; layer < summary.statistics.size(); ++layer) {
    const double x = summary.statistics[layer].*value;
    sum += x;
    least = std::min(least, x);
    if (x > most) at = layer;
    most = std::max(most, x);
  }
  return {name, text(sum / static_cast<double>(summary.statistics.size())), text(least), text(most),
          std::to_string(at)};
}

void print_stats(const std::string& file, int layers, int experts, std::ostream& out) {
  const TraceSummary s = workloads::summarize_trace(file, layers, experts);
  out << file << ": " << s.tokens << " tokens, " << s.layers << " MoE layers, top-" << s.top_k << " of " << s.experts
      << " experts" << (experts == 0 ? " (those seen; --experts tells how many there are)" : "");
  if (s.padding_dropped > 0) out << "; " << s.padding_dropped << " tokens of padding left out";
  out << "\n\n";
  report::Table numbers({"over the layers", "mean", "least", "most", "in layer"});
  numbers.add_row(over_layers("load of the busiest expert over the mean", s, &LayerStatistics::max_over_mean, number));
  numbers.add_row(over_layers("Zipf exponent of the loads", s, &LayerStatistics::zipf_exponent, number));
  numbers.add_row(over_layers("share of the busiest tenth of experts", s, &LayerStatistics::top_tenth_share, percent));
  numbers.add_row(over_layers("experts shared by adjacent tokens", s, &LayerStatistics::adjacent_share, percent));
  out << numbers.text();
  if (s.layers > 1) {
    const auto correlation = workloads::layer_correlation(s.sample, s.experts);
    out << "\nA layer's experts foretell " << percent(correlation.from_layer_before)
        << " of the next layer's, popularity " << percent(correlation.from_popularity) << " (" << s.sample.tokens
        << " tokens, evenly spaced).\n";
  }

  report::Table ranks({"EP", "busiest rank over mean", "worst layer", "ranks per token", "if uniform"});
  for (std::int32_t ep = 2; ep <= std::min(s.experts, 256); ep *= 2) {
    if (s.experts % ep != 0) continue;
    double sum = 0, worst = 0, fan = 0;
    for (std::int32_t layer = 0; layer < s.layers; ++layer) {
      const double imbalance = workloads::rank_imbalance(s.loads[static_cast<std::size_t>(layer)], ep);
      sum += imbalance / s.layers;
      worst = std::max(worst, imbalance);
      fan += workloads::fan_out(s.sample.layer(layer), s.experts, ep) / s.layers;
    }
    ranks.add_row({std::to_string(ep), number(sum), number(worst), number(fan),
                   number(workloads::uniform_fan_out(s.experts, s.top_k, ep))});
  }
  out << "\n" << ranks.text();

  // The mean layer's loads in falling order, in tenths of the experts.
  std::vector<double> share(10, 0);
  for (std::vector<std::int64_t> loads : s.loads) {
    std::sort(loads.begin(), loads.end(), std::greater<>());
    const auto all = static_cast<double>(std::accumulate(loads.begin(), loads.end(), std::int64_t{0}));
    for (std::size_t i = 0; all > 0 && i < loads.size(); ++i)
      share[i * 10 / loads.size()] += static_cast<double>(loads[i]) / all / s.layers;
  }
  out << "\nselections by tenths of the experts, busiest first\n";
  for (std::size_t tenth = 0; tenth < share.size(); ++tenth)
    out << "  " << tenth + 1 << (tenth == 9 ? "" : " ") << " " << bar(share[tenth] / share[0], 50) << " "
        << percent(share[tenth]) << "\n";
}

struct Generate {
  std::string preset, model = "deepseek-v3", output;
  std::int64_t tokens = 4096;
  std::uint64_t seed = 1;
};

void generate(const Generate& options, std::ostream& out) {
  base::Json scenario = {{"model", {{"preset", options.model}}},
                         {"generate", {{"preset", options.preset}, {"seed", options.seed}}}};
  base::JsonDocument document = base::parse_json(scenario.dump(), "trace generate");
  const base::JsonNode node(document);
  const workloads::Model model = workloads::read_model(node.member("model"));
  std::vector<std::string> warnings;
  const auto parameters = workloads::read_generator(node.member("generate"), model, warnings);
  const workloads::Trace trace = workloads::generate_trace(parameters, model, options.tokens);
  workloads::write_npy(trace, options.output);
  const base::Json side = {{"schema", "moesim.trace/1"}, {"model", options.model},
                           {"source", "generated"},      {"parameters", workloads::to_json(parameters)},
                           {"tokens", trace.tokens},     {"layers", trace.layers},
                           {"top_k", trace.top_k}};
  base::write_file(options.output + ".json", side.dump(2) + "\n");
  out << options.output << ": " << trace.tokens << " tokens, " << trace.layers << " MoE layers, top-" << trace.top_k
      << ", generated like " << options.preset << "; beside it " << options.output << ".json\n";
  for (const std::string& warning : warnings) out << "warning: " << warning << "\n";
}

}  // namespace

void add_trace(CLI::App& program, Context& context) {
  CLI::App* verb = program.add_subcommand("trace", "Recorded token routing: import, statistics; or generate some");
  verb->require_subcommand(1);
  verb->footer("Example: moesim trace import topk_ids.jsonl -o trace.npy");

  struct Options {
    std::string file, output;
    int layers = 0, experts = 0;
    Generate generate;
  };
  const auto options = std::make_shared<Options>();
  const auto add_file = [&](CLI::App* sub) {
    sub->add_option("FILE", options->file, "A .jsonl with \"topk_ids\", or a .npy [tokens, layers, top_k]")->required();
    sub->add_option("--layers", options->layers, "MoE layers of the model (default: inferred)")
        ->check(CLI::Range(1, 10000));
  };
  CLI::App* import = verb->add_subcommand("import", "Convert a recording to .npy [tokens, MoE layers, top-k]");
  add_file(import);
  import->add_option("-o,--output", options->output, "The .npy to write")->required();
  import->footer("Example: moesim trace import topk_ids.jsonl -o trace.npy --layers 48");
  import->callback([options, &context] {
    context.action = [options, &context] {
      import_trace(options->file, options->layers, options->output, context.out);
};
}  // namespace moesim::cli
);

CLI::App* stats = verb->add_subcommand("stats", "Skew, locality, imbalance of ranks, fan-out, correlation of layers");
add_file(stats);
stats->add_option("--experts", options->experts, "Experts of the model (default: those seen)")
    ->check(CLI::Range(1, 65536));
stats->footer("Example: moesim trace stats trace.npy --experts 256");
stats->callback([options, &context] {
  context.action = [options, &context] { print_stats(options->file, options->layers, options->experts, context.out); };
});

CLI::App* make = verb->add_subcommand("generate", "Routing with the statistics of a recorded family, seeded");
Generate& g = options->generate;
make->add_option("--preset", g.preset, "The statistics: deepseek-v3-decode, deepseek-v3-prefill, qwen3-30b-a3b")
    ->required();
make->add_option("--model", g.model, "The model's shape, a preset (default: deepseek-v3)");
make->add_option("--tokens", g.tokens, "How many tokens (default: 4096)")->check(CLI::Range(1, 1 << 24));
make->add_option("--seed", g.seed, "Of the draws (default: 1)");
make->add_option("-o,--output", g.output, "The .npy to write, with a .json beside it")->required();
make->footer("Example: moesim trace generate --preset deepseek-v3-decode --tokens 8192 -o trace.npy");
make->callback([options, &context] {
  context.action = [options, &context] { generate(options->generate, context.out); };
});
}

}  // namespace moesim::cli
