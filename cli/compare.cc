#include "planning/compare.h"

#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/curve.h"
#include "cli/progress.h"
#include "cli/scenario_options.h"
#include "cli/vary.h"
#include "cli/verb.h"
#include "report/text.h"

namespace moesim::cli {
namespace {

struct Options : ScenarioOptions {
  std::vector<std::string> scenarios, vary;
  std::string baseline, kernels;
  CurveOptions curve;
};

// Of what an error says the problem alone, without its place and what would be right.
std::string problem_of(const base::InputError& error) {
  const std::string text = error.what(), place = error.place() + ": ";
  const std::size_t begin = text.find(place), end = text.find("; expected ");
  return begin == std::string::npos ? text : text.substr(begin + place.size(), end - begin - place.size());
}

results::Comparison side_by_side(const Options& options) {
  std::vector<sim::Scenario> scenarios;
  std::vector<std::string> refused;
  std::vector<Variant> variants = variants_of(options.kernels, options.vary);
  if (variants.empty()) variants.emplace_back();
  const std::vector<base::JsonDocument> documents = read_scenarios(options.scenarios);
  for (const base::JsonDocument& document : documents) {
    for (const Variant& variant : variants) {
      std::vector<std::string> sets = variant.sets;
      if (!variant.name.empty()) {
        const bool single = documents.size() == 1;
        const std::string name = single ? variant.name : options.load(document).name + ", " + variant.name;
        sets.push_back("name=" + base::Json(name).dump());
      }
      try {
        scenarios.push_back(options.load(document, sets));
      } catch (const base::InputError& error) {
        if (!variant.may_be_refused || error.place() != "/communication/kernel") throw;
        refused.push_back("not compared: " + (documents.size() == 1 ? "" : document.file + ": ") + problem_of(error));
      }
    }
  }
  std::string baseline = options.baseline;
  if (baseline.empty() && options.kernels.empty() && options.vary.empty())
    baseline = stored_baseline(options.scenarios);
  results::Comparison comparison = planning::compare(scenarios, baseline, options.threads);
  comparison.warnings.insert(comparison.warnings.end(), refused.begin(), refused.end());
  return comparison;
}

}  // namespace

void add_compare(CLI::App& program, Context& context) {
  const auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand("compare", "Run several scenarios side by side: speedups, and why");
  verb->add_option("SCENARIO", options->scenarios, "Scenario files; or a result file to repeat")->required();
  verb->add_option("--baseline", options->baseline, "Name of the scenario that counts as 1x (default: the first)");
  verb->add_option(
      "--kernels", options->kernels,
      "Run each scenario with each of these communication kernels, comma-separated; \"all\": with all that "
      "can run there");
  verb->add_option("--vary", options->vary,
                   "Run each scenario with each value: path=value,value,..., e.g. cluster.nodes=1,2,4; several: all "
                   "combinations")
      ->allow_extra_args(false);
  options->add_to(*verb);
  options->curve.add_to(*verb);
  verb->footer(
      "Example: moesim compare examples/10-pcie-box.json examples/13-gb200-nvl72.json --baseline \"PCIe box\"\n"
      "         moesim compare examples/12-hgx-h200-9-nodes.json --kernels all\n"
      "         moesim compare examples/11-hgx-h100.json --vary step.tokens_per_gpu=16,64,256\n"
      "         moesim compare --curve examples/61-decode-step-h200.json examples/60-decode-step.json");
  verb->callback([options, verb, &context] {
    context.action = [options, verb, &context] {
      check_outputs(options->json, {options->curve.csv});
      if (is_curve(options->scenarios)) {
        for (const char* other : {"--kernels", "--vary", "--baseline"})
          if (verb->count(other) > 0)
            throw base::InputError(other, "", "beside a stored curve", "the scenarios that it was made of");
        repeat_curve(*options, options->curve, *verb, options->scenarios.front(), context);
        return;
      }
      for (const char* needs : {"--users", "--batches", "--csv", "--layers", "--draws"})
        if (!options->curve.asked && verb->count(needs) > 0)
          throw base::InputError(needs, "", "has no effect", "--curve beside it");
      if (options->curve.asked) {
        const auto variants = variants_of(options->kernels, options->vary);
        run_curve(*options, options->curve, options->scenarios, variants, options->baseline, context);
        return;
      }
      std::optional<Progress> progress(std::in_place, context.terminal, "comparing scenarios");
      const results::Comparison comparison = side_by_side(*options);
      progress.reset();
      words(options->json, context) << report::text(comparison);
      write_json(options->json, results::to_json(comparison).dump(2), context);
    };
  });
}

}  // namespace moesim::cli
