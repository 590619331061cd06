#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

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
      check_outputs({options->json});
      const results::Result result = sim::run(options->load(options->scenario), options->threads);
      context.out << report::text(result);
      write_json(options->json, results::to_json(result).dump(2));
    };
  });
}

}  // namespace moesim::cli
