#include "planning/waterfall.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/version.h"
#include "cli/checks.h"
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

// The two scenarios, the factors and the options, from a file of them or from a stored result.
struct Inputs {
  base::JsonDocument document;  // the file of the waterfall
  planning::WaterfallFile file;
  base::JsonDocument below, above;
  std::string baseline_name, target_name;
  Options options;
};

std::string name_of(const base::JsonDocument& scenario) { return (*scenario.root)["name"].get<std::string>(); }

// What the command line does not say is as it was.
Inputs stored(const Options& options, const CLI::App& verb, const base::JsonDocument& result) {
  const base::JsonNode root(result), inputs = root.member("inputs");
  const auto part = [&](const char* key) {
    return base::JsonDocument{result.file, std::make_shared<Json>(inputs.member(key).json()), {}};
  };
  Inputs in{part("waterfall"), {}, options.patched(part("baseline")), options.patched(part("target")), {}, {}, options};
  in.file = planning::read_waterfall(in.document);
  in.baseline_name = root.member("baseline").string();
  in.target_name = root.member("target").string();
  const auto number = [&](const char* key) { return inputs.member(key).integer(0, std::int64_t{1} << 53); };
  if (verb.count("--users") == 0) in.options.users = stored_users(inputs);
  if (verb.count("--circles") == 0 && !options.exact) {
    in.options.circles = static_cast<int>(number("circles"));
    in.options.exact = in.options.circles == 0;
  }
  if (verb.count("--layers") == 0) in.options.sampling.layers = static_cast<int>(number("layers"));
  if (verb.count("--draws") == 0) in.options.sampling.draws = static_cast<int>(number("draws"));
  if (options.seed < 0) in.options.seed = number("seed");
  in.options.no_elasticities = options.no_elasticities || !inputs.member("elasticities").boolean();
  return in;
}

Inputs read_inputs(const Options& options, const CLI::App& verb) {
  const base::JsonDocument document = base::load_json(options.file);
  if (document.root->is_object() && document.root->value("schema", Json()) == "moesim.waterfall_result/1")
    return stored(options, verb, document);
  Inputs in{document, planning::read_waterfall(document), {}, {}, {}, {}, options};
  in.below = load_document(options, in.file.baseline_path);
  in.above = load_document(options, in.file.target_path);
  in.baseline_name = name_of(in.below);
  in.target_name = name_of(in.above);
  return in;
}

// As a result keeps it: what patches name is seen from anywhere.
Json with_absolute_paths(const base::JsonDocument& waterfall) {
  Json json = *waterfall.root;
  for (Json& factor : json["factors"]) {
    if (factor.contains("patch")) sim::make_paths_absolute(factor["patch"], waterfall.file);
    if (!factor.contains("cases")) continue;
    for (Json& one : factor["cases"]) sim::make_paths_absolute(one["patch"], waterfall.file);
  }
  return json;
}

void run_waterfall(const Inputs& in, Context& context) {
  const Options& options = in.options;
  const planning::WaterfallFile& file = in.file;
  const base::JsonDocument &below = in.below, &above = in.above;
  if (!options.hybrid.empty()) {
    Json scenario = planning::hybrid(*below.root, file.factors, read_hybrid(options.hybrid, file.factors));
    scenario["name"] = "hybrid: " + options.hybrid;
    context.out << scenario.dump(2) << "\n";
    return;
  }
  check_outputs(options.json);
  planning::WaterfallRequest request;
  request.name = file.name;
  request.baseline = *below.root;
  request.target = *above.root;
  request.baseline_name = in.baseline_name;
  request.target_name = in.target_name;
  request.factors = file.factors;
  request.users = read_users(options.users);
  request.circles = options.exact ? 0 : options.circles;
  request.seed = options.seed >= 0 ? static_cast<std::uint64_t>(options.seed) : 1;
  request.draws.count = options.sampling.draws;
  request.elasticities = !options.no_elasticities;
  request.threads = options.threads;
  const auto steps = std::make_shared<planning::StepRunner>(options.sampling.layers);
  const std::string path = options.file;
  std::optional<Progress> progress(std::in_place, context.terminal, "waterfall", "decode steps");
  request.run = counted([steps, path](const Json& scenario) { return (*steps)(path, scenario); }, *progress);
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
  waterfall.inputs =
      Json{
          {"baseline", request.baseline}, {"target", request.target},   {"waterfall", with_absolute_paths(in.document)},
          {"users", request.users},       {"circles", request.circles}, {"layers", options.sampling.layers},
          {"draws", request.draws.count}, {"seed", request.seed},       {"elasticities", request.elasticities}}
          .dump();
  progress.reset();
  tell(report::text(waterfall), results::to_json(waterfall), start, options, context);
}

}  // namespace

void add_waterfall(CLI::App& program, Context& context) {
  const auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand("waterfall", "Split the speedup of one scenario over another into factors");
  verb->add_option("FILE", options->file,
                   "Two scenarios and the factors between them (planning/waterfall.h); or a result file to repeat")
      ->required();
  verb->add_option("--users", options->users, "Operating points: tokens/s/user, comma-separated; default 20");
  CLI::Option* circles = verb->add_option("--circles", options->circles,
                                          "Drawn orders: n factors in 2n orders each, which need n (n - 1) + 2 hybrids")
                             ->check(whole_number_in(1, 1000));
  verb->add_flag("--exact", options->exact, "All orders: 2^n hybrids")->excludes(circles);
  verb->add_flag("--no-elasticities", options->no_elasticities, "Leave out what 10 % more of each resource does");
  CLI::Option* hybrid =
      verb->add_option("--hybrid", options->hybrid,
                       "Print the scenario with these factors on, comma-separated, instead of running anything");
  options->add_to(*verb);
  options->sampling.add_to(*verb);
  for (const char* of_runs : {"--users", "--circles", "--exact", "--no-elasticities", "--layers", "--draws", "--json"})
    hybrid->excludes(verb->get_option(of_runs));
  verb->footer(
      "Example: moesim waterfall examples/ten-x/deepseek-r1.json --users 20 --threads 2\n"
      "         moesim waterfall examples/ten-x/deepseek-r1.json --hybrid \"NVLink,EP width\"");
  verb->callback([options, verb, &context] {
    context.action = [options, verb, &context] { run_waterfall(read_inputs(*options, *verb), context); };
  });
}

}  // namespace moesim::cli
