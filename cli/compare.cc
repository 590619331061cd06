#include "planning/compare.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/scenario_options.h"
#include "cli/verb.h"
#include "report/text.h"

namespace moesim::cli {

void add_compare(CLI::App& program, Context& context) {
  struct Options : ScenarioOptions {
    std::vector<std::string> scenarios;
    std::string baseline;
    int threads = 1;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand("compare", "Run several scenarios side by side: speedups, and why");
  verb->add_option("SCENARIO", options->scenarios, "Scenario files")->required();
  verb->add_option("--baseline", options->baseline, "Name of the scenario that counts as 1x (default: the first)");
  verb->add_option("--threads", options->threads, "How many to run at a time; the results are the same")
      ->check(CLI::Range(1, 1024));
  options->add_to(*verb);
  verb->footer("Example: moesim compare examples/02-pcie-box.json examples/05-nvl72.json --baseline pcie-box");
  verb->callback([options, &context] {
    context.action = [options, &context] {
      std::vector<sim::Scenario> scenarios;
      for (const std::string& path : options->scenarios) scenarios.push_back(options->load(path));
      const results::Comparison comparison = planning::compare(scenarios, options->baseline, options->threads);
      context.out << report::text(comparison);
      write_json(options->json, results::to_json(comparison).dump(2));
    };
  });
}

}  // namespace moesim::cli
