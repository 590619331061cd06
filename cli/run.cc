#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/progress.h"
#include "cli/scenario_options.h"
#include "cli/verb.h"
#include "report/text.h"

namespace moesim::cli {

void add_run(CLI::App& program, Context& context) {
  struct Options : ScenarioOptions {
    std::string scenario;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand("run", "Run one scenario: its time, and why");
  verb->add_option("SCENARIO", options->scenario, "Scenario file, or a result file to repeat")->required();
  options->add_to(*verb);
  verb->footer("Example: moesim run examples/01-minimal.json --set step.tokens_per_gpu=64 --json result.json");
  verb->callback([options, &context] {
    context.action = [options, &context] {
      check_outputs(options->json);
      std::optional<Progress> progress(std::in_place, context.terminal, "running " + options->scenario);
      const sim::Scenario scenario = options->load(read_scenario_file(options->scenario));
      const results::Result result = sim::run(scenario, options->threads);
      progress.reset();
      words(options->json, context) << report::text(result);
      write_json(options->json, results::to_json(result).dump(2), context);
    };
  });
}

}  // namespace moesim::cli
