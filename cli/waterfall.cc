#include "planning/waterfall.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/version.h"
#include "cli/curve.h"
#include "report/curve.h"

namespace moesim::cli {
namespace {

using base::Json;

struct Options : ScenarioOptions {
  std::string file, users = "20", hybrid;
  int circles = 1;
  bool exact = false, no_elasticities = false;
  SamplingOptions sampling;
};

planning::Subset read_hybrid(const std::string& text, const std::vector<planning::Factor>& factors) {
  std::vector<std::string> names;
  for (const planning::Factor& factor : factors) names.push_back(factor.name);
  planning::Subset on = 0;
  for (const std::string& name : split(text)) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      throw base::InputError("--hybrid", "", "no such factor \"" + name + "\"" + base::suggestion(name, names));
    on |= planning::Subset{1} << (found - names.begin());
  }
  return on;
}

void run_waterfall(const Options& options, Context& context) {
  const planning::WaterfallFile file = planning::read_waterfall(options.file);
  const base::JsonDocument below = load_document(options, file.baseline_path);
  const base::JsonDocument above = load_document(options, file.target_path);
  if (!options.hybrid.empty()) {
    Json scenario = planning::hybrid(*below.root, file.factors, read_hybrid(options.hybrid, file.factors));
    scenario["name"] = "hybrid: " + options.hybrid;
    context.out << scenario.dump(2) << "\n";
    return;
  }
  check_outputs({options.json});
  planning::WaterfallRequest request;
  request.name = file.name;
  request.baseline = *below.root;
  request.target = *above.root;
  request.baseline_name = request.baseline.value("name", std::filesystem::path(below.file).stem().string());
  request.target_name = request.target.value("name", std::filesystem::path(above.file).stem().string());
  request.factors = file.factors;
  request.users = read_users(options.users);
  request.circles = options.exact ? 0 : options.circles;
  request.seed = options.seed >= 0 ? static_cast<std::uint64_t>(options.seed) : 1;
  request.draws.count = options.sampling.draws;
  request.elasticities = !options.no_elasticities;
  request.threads = options.threads;
  const auto steps = std::make_shared<planning::StepRunner>(options.sampling.layers);
  const std::string path = options.file;
  request.run = [steps, path](const Json& scenario) { return (*steps)(path, scenario); };
  const auto start = std::chrono::steady_clock::now();
  results::Waterfall waterfall = planning::make_waterfall(request);
  std::vector<std::pair<std::string, Json>> checks;
  for (const auto& [scenario, near] : {std::pair(&request.baseline, &waterfall.points.front().baseline.near),
                                       std::pair(&request.target, &waterfall.points.front().target.near)}) {
    checks.emplace_back(path, *scenario);
    checks.back().second["step"]["batch"] = std::max<std::int64_t>(1, near->batch);
    const planning::StepOutcome outcome = (*steps)(path, checks.back().second);
    if (!outcome.model.empty()) waterfall.model = outcome.model;
  }
  waterfall.runs = steps->runs();
  waterfall.sampling = sampling_words(options.sampling.layers, checks);
  waterfall.not_modelled = file.not_modelled;
  waterfall.not_modelled.emplace_back("software that matures between two measurements");
  waterfall.not_modelled.emplace_back("prefill and decode on separate GPUs: decode alone is compared");
  waterfall.version = base::version();
  waterfall.inputs = Json{{"baseline", request.baseline},
                          {"target", request.target},
                          {"waterfall", *base::load_json(options.file).root},
                          {"users", request.users},
                          {"circles", request.circles},
                          {"layers", options.sampling.layers},
                          {"draws", request.draws.count},
                          {"seed", request.seed}}
                         .dump();
  context.out << report::text(waterfall);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  context.out << "Took " << base::format_number(took.count()) << " s.\n";
  write_json(options.json, results::to_json(waterfall).dump(2));
}

}  // namespace

void add_waterfall(CLI::App& program, Context& context) {
  const auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand("waterfall", "Split the speedup of one scenario over another into factors");
  verb->add_option("FILE", options->file, "Two scenarios and the factors between them: planning/waterfall.h")
      ->required();
  verb->add_option("--users", options->users, "Operating points: tokens/s/user, comma-separated; default 20");
  verb->add_option("--circles", options->circles,
                   "Drawn orders: n factors in 2n orders each, which need n (n - 1) + 2 hybrids")
      ->check(CLI::Range(1, 1000));
  verb->add_flag("--exact", options->exact, "All orders: 2^n hybrids");
  verb->add_flag("--no-elasticities", options->no_elasticities, "Leave out what 10 % more of each resource does");
  verb->add_option("--hybrid", options->hybrid,
                   "Print the scenario with these factors on, comma-separated, instead of running anything");
  options->add_to(*verb);
  options->sampling.add_to(*verb);
  verb->footer(
      "Example: moesim waterfall examples/ten-x/deepseek-r1.json --users 20 --threads 2\n"
      "         moesim waterfall examples/ten-x/deepseek-r1.json --hybrid \"NVLink,EP width\"");
  verb->callback([options, &context] { context.action = [options, &context] { run_waterfall(*options, context); }; });
}

}  // namespace moesim::cli
