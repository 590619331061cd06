#include <filesystem>
#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/patch.h"
#include "cli/checks.h"
#include "cli/trace_statistics.h"
#include "cli/verb.h"
#include "report/table.h"
#include "workloads/config.h"
#include "workloads/generator.h"
#include "workloads/routing_source.h"
#include "workloads/trace_file.h"
#include "workloads/trace_statistics.h"

namespace moesim::cli {
namespace {

using workloads::Model;
using workloads::Trace;

// A preset's name or the path of a configuration.
Model read_model_named(const std::string& name) {
  if (name.ends_with(".json")) return workloads::load_config(name);
  const base::JsonDocument document = base::parse_json(base::Json({{"preset", name}}).dump(), "--model");
  return workloads::read_model(base::JsonNode(document));
}

std::string shape_text(const Trace& trace) {
  return std::to_string(trace.tokens) + " tokens, " + std::to_string(trace.layers) + " MoE layers, top-" +
         std::to_string(trace.top_k);
}

void import_trace(const TraceOptions& options, std::ostream& out) {
  Trace trace = workloads::read_trace_file(options.file, {options.layers});
  std::string name;
  if (!options.model.empty()) {
    const Model model = read_model_named(options.model);
    if (trace.layers != model.moe_layers() || trace.top_k != model.top_k ||
        workloads::experts_seen(trace) > model.experts)
      throw base::InputError(
          options.file, "",
          shape_text(trace) + " of at least " + std::to_string(workloads::experts_seen(trace)) + " experts",
          model.name + " has " + std::to_string(model.moe_layers()) + " MoE layers, top-" +
              std::to_string(model.top_k) + " of " + std::to_string(model.experts));
    trace.experts = model.experts;
    name = model.name;
  }
  workloads::write_trace(trace, options.output, name, base::Json::object());
  out << options.output << ": " << shape_text(trace) << notes_text(trace.padding_dropped, trace.layers_dropped)
      << "; beside it " << workloads::side_file(options.output) << "\n";
}

// All MoE layers of a model, drawn as the "routing" section says that the options stand for.
void generate(const TraceOptions& options, std::ostream& out) {
  const int forms =
      (options.preset.empty() ? 0 : 1) + (options.counts.empty() ? 0 : 1) + (options.power_law > 0 ? 1 : 0);
  if (forms != 1) throw base::InputError("trace generate", "", "one of --preset, --counts and --power-law is needed");
  base::Json routing;
  if (!options.preset.empty())
    routing = {{"generate", {{"preset", options.preset}, {"seed", options.seed}}}};
  else if (!options.counts.empty())
    routing = {{"counts", std::filesystem::absolute(options.counts).string()}, {"seed", options.seed}};
  else
    routing = {{"power_law", {{"exponent", options.power_law}, {"seed", options.seed}}}};
  base::JsonDocument document = base::parse_json(routing.dump(), "trace generate");
  for (const std::string& set : options.sets)
    base::apply_set(document, (options.preset.empty() ? "" : "generate.") + set);
  const Model model = read_model_named(options.model.empty() ? "deepseek-v3" : options.model);
  std::vector<std::string> warnings;
  const workloads::RoutingSource source(base::JsonNode(document), model, warnings);

  Trace trace;
  trace.tokens = options.tokens;
  trace.top_k = model.top_k;
  trace.experts = model.experts;
  for (; trace.layers < model.moe_layers(); ++trace.layers) {
    const Trace layer = source.layer(trace.layers, options.tokens, 1);
    if (trace.layers == 0) trace.source = layer.source.substr(0, layer.source.rfind(" layer "));
    trace.ids.insert(trace.ids.end(), layer.ids.begin(), layer.ids.end());
  }
  base::Json more = {{"routing", *document.root}};
  workloads::write_trace(trace, options.output, model.name, more);
  out << options.output << ": " << shape_text(trace) << " of " << model.experts << " experts, as " << model.name
      << " has; beside it " << workloads::side_file(options.output) << "\n";
  for (const std::string& warning : warnings) out << report::wrap("warning: " + warning, 2);
}

std::string preset_help() {
  std::string text = "The statistics:";
  for (const std::string& name : workloads::generator_presets()) text += (text.back() == ':' ? " " : ", ") + name;
  return text;
}

}  // namespace

void add_trace(CLI::App& program, Context& context) {
  CLI::App* verb = program.add_subcommand("trace", "Recorded token routing: import, statistics; or generate some");
  verb->require_subcommand(1);
  verb->footer("Example: moesim trace import topk_ids.jsonl -o trace.npy");

  const auto options = std::make_shared<TraceOptions>();
  const auto add_file = [&](CLI::App* sub, const char* help) {
    sub->add_option("FILE", options->file, help)->required();
    sub->add_option("--layers", options->layers, "MoE layers of the model (default: inferred)")
        ->check(whole_number_in(1, 10000));
  };
  CLI::App* import = verb->add_subcommand("import", "Convert a recording to .npy [tokens, MoE layers, top-k]");
  add_file(import, "A .jsonl with \"topk_ids\", or a .npy or .npz [tokens, layers, top_k]");
  import->add_option("--model", options->model, "The model that was recorded: a preset or its config.json; checked");
  import->add_option("-o,--output", options->output, "The .npy to write, with a .json beside it")->required();
  import->footer("Example: moesim trace import topk_ids.jsonl -o trace.npy --model qwen3-30b-a3b");
  import->callback([options, &context] {
    context.action = [options, &context] { import_trace(*options, context.out);
};
}  // namespace moesim::cli
);

CLI::App* stats = verb->add_subcommand("stats", "Skew, locality, imbalance of ranks, fan-out, correlation of layers");
add_file(stats, "A trace as for import, or expert counts: .npy or .npz [layers, experts], or .json");
stats->add_option("--experts", options->experts, "Experts of the model (default: as the .json beside it says, or seen)")
    ->check(whole_number_in(1, 65535));
stats->add_option("--ep", options->ranks, "EP degrees of the table, e.g. 9,72 (default: powers of 2)")
    ->delimiter(',')
    ->check(whole_number_in(1, 65535));
stats->footer("Example: moesim trace stats trace.npy --experts 256");
stats->callback([options, &context] {
  context.action = [options, &context] { print_statistics(*options, context.out); };
});

CLI::App* make = verb->add_subcommand("generate", "Routing with the statistics of a recorded family, seeded");
make->add_option("--preset", options->preset, preset_help());
make->add_option("--counts", options->counts, "Or expert counts to draw from: .npy, .npz or .json [layers, experts]");
make->add_option("--power-law", options->power_law, "Or the exponent of the law that kernel benchmarks draw from")
    ->check(number_in(0.01, 10));
make->add_option("--set", options->sets, "Change a parameter of the preset, e.g. topics=64")->allow_extra_args(false);
make->add_option("--model", options->model, "The model's shape, a preset or a config.json (default: deepseek-v3)");
make->add_option("--tokens", options->tokens, "How many tokens (default: 4096)")->check(whole_number_in(1, 1 << 24));
make->add_option("--seed", options->seed, "Of the draws (default: 1)")
    ->check(whole_number_in(0, std::int64_t{1} << 53));
make->add_option("-o,--output", options->output, "The .npy to write, with a .json beside it")->required();
make->footer("Example: moesim trace generate --preset deepseek-v3-decode --tokens 8192 -o trace.npy");
make->callback([options, &context] { context.action = [options, &context] { generate(*options, context.out); }; });
}

}  // namespace moesim::cli
