#include <cmath>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/calibrate.h"
#include "cli/checks.h"
#include "cli/progress.h"
#include "cli/scenario_options.h"
#include "planning/sensitivity.h"
#include "report/table.h"

namespace moesim::cli {
namespace {

std::string percent(double log_effect) { return base::format_number(100 * std::expm1(std::abs(log_effect)), 2) + " %"; }

std::string signed_percent(double log_effect) {
  if (std::abs(log_effect) < 5e-5) return "-";
  return (log_effect < 0 ? "-" : "+") + percent(log_effect);
}

// How it would be measured.
std::string how(const planning::Candidate& c) {
  if (c.kernel.empty()) {
    if (c.what.starts_with("kernel launch")) return "calibrate measure";
    return c.what.starts_with("network") ? "ib_write_bw, ib_write_lat" : "nvbandwidth or calibrate measure";
  }
  if (c.kernel.starts_with("nccl")) return "nccl-tests";
  if (c.kernel.starts_with("deepep")) return "DeepEP's tests";
  if (c.kernel == "gemm_bf16" || c.kernel.ends_with("permute") || c.kernel == "unpermute_reduce")
    return "calibrate measure";
  return "a table";
}

void print_profile(const planning::ProfileCheck& check, std::ostream& out) {
  constexpr std::array<std::string_view, 3> kFrom{"this GPU", "its family", "other families"};
  out << check.scenario << ": profile " << check.profile << " is "
      << (check.complete() ? "complete: every kernel was fitted on this GPU and nothing is assumed"
                           : "not complete for it")
      << "\n";
  report::Table table({"kernel", "fitted on", "80 % interval", "assumed parameters"});
  for (const planning::UsedKernel& kernel : check.kernels)
    table.add_row({kernel.name, std::string(kFrom[static_cast<std::size_t>(kernel.relation)]),
                   "+- " + base::format_number(100 * kernel.error) + " %", std::to_string(kernel.assumed)});
  if (!check.kernels.empty()) out << table.text();
  for (const std::string& text : check.assumptions) out << report::wrap("  assumed: " + text, 11);
  out << "\n";
}

void print(const planning::Sensitivity& result, std::size_t most, std::ostream& out) {
  for (const planning::ProfileCheck& check : result.scenarios) print_profile(check, out);
  const bool several = result.scenarios.size() > 1;
  out << "Measure this next, by its effect on the " << (several ? "predicted speedup" : "predicted time")
      << (several ? " against " + result.scenarios[result.baseline].scenario : "") << ":\n\n";
  std::vector<std::string> header{"", "kernel", "number", "now", "interval"};
  for (std::size_t i = 0; i < result.scenarios.size(); ++i)
    if (!several || i != result.baseline) header.push_back(result.scenarios[i].scenario);
  header.emplace_back("measured by");
  report::Table table(header);
  std::vector<std::string> first{"", "", several ? "speedup, " : "time, ", "predicted", "80 %"};
  first[2] += "its interval";
  for (std::size_t i = 0; i < result.scenarios.size(); ++i) {
    const planning::ProfileCheck& check = result.scenarios[i];
    const double both = std::hypot(check.error, result.scenarios[result.baseline].error);
    if (!several)
      first.push_back(base::to_string(base::Duration(check.time_us * 1e-6)) + " +- " +
                      base::format_number(100 * check.error) + " %");
    else if (i != result.baseline)
      first.push_back(base::format_number(result.speedup[i]) + "x +- " + base::format_number(100 * both) + " %");
  }
  first.emplace_back("");
  table.add_row(first);
  for (std::size_t c = 0; c < std::min(most, result.candidates.size()); ++c) {
    const planning::Candidate& candidate = result.candidates[c];
    const bool whole = candidate.what.starts_with("a table of");
    std::vector<std::string> row{std::to_string(c + 1), candidate.kernel.empty() ? "-" : candidate.kernel,
                                 candidate.what, candidate.value.substr(candidate.value.starts_with("fitted ") ? 7 : 0),
                                 "+- " + percent(candidate.half_width)};
    for (std::size_t i = 0; i < result.scenarios.size(); ++i) {
      if (several && i == result.baseline) continue;
      const double effect = several ? candidate.speedup[i] : candidate.time[i];
      row.push_back(std::abs(effect) < 5e-5 ? "-" : whole ? "+- " + percent(effect) : signed_percent(effect));
    }
    row.push_back(how(candidate));
    table.add_row(row);
  }
  out << table.text() << "\n"
      << report::wrap(
             "Each number alone, moved to the upper end of its 80 % interval, as scenarios that share it move "
             "together. "
             "Numbers that were fitted together offset each other in part: they rank, and do not add up. A table of a "
             "GPU takes off what the interval of its kernel has beyond that of a fitted GPU. What a kernel's numbers "
             "are: "
             "moesim calibrate show " +
                 result.scenarios[result.baseline].profile + " --kernel KERNEL",
             0);
}

}  // namespace

void add_calibrate_check(CLI::App& verb, Context& context) {
  struct Options : ScenarioOptions {
    std::vector<std::string> scenarios;
    std::string baseline;
    std::size_t top = 15;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* check =
      verb.add_subcommand("check", "Is a profile complete for these scenarios, and what should be measured next");
  check->add_option("SCENARIO", options->scenarios, "Scenario files; or a result file to repeat")->required();
  check->add_option("--baseline", options->baseline, "Name of the scenario that counts as 1x (default: the first)");
  check->add_option("--top", options->top, "So many of what to measure next")
      ->check(whole_number_in(1, 10000))
      ->capture_default_str();
  options->add_to(*check);
  check->footer(
      "Runs each scenario a few hundred times: of a whole model's step, check one MoE layer.\n"
      "Example: moesim calibrate check examples/10-pcie-box.json examples/13-gb200-nvl72.json");
  check->callback([options, &context] {
    context.action = [options, &context] {
      check_outputs(options->json);
      std::vector<sim::Scenario> scenarios;
      for (const base::JsonDocument& document : read_scenarios(options->scenarios))
        scenarios.push_back(options->load(document));
      const std::string baseline = options->baseline.empty() ? stored_baseline(options->scenarios) : options->baseline;
      std::optional<Progress> progress(std::in_place, context.terminal, "running each scenario a few hundred times");
      const planning::Sensitivity result = planning::sensitivity(scenarios, baseline, options->threads);
      progress.reset();
      print(result, options->top, words(options->json, context));
      base::Json json = {{"schema", "moesim.sensitivity/1"},
                         {"baseline", scenarios[result.baseline].name},
                         {"scenarios", base::Json::array()},
                         {"candidates", base::Json::array()}};
      for (const sim::Scenario& scenario : scenarios) json["scenarios"].push_back(base::Json::parse(scenario.text));
      for (const planning::Candidate& c : result.candidates)
        json["candidates"].push_back({{"kernel", c.kernel},
                                      {"number", c.what},
                                      {"value", c.value},
                                      {"log_half_width", c.half_width},
                                      {"source", to_string(c.source)},
                                      {"log_time", c.time},
                                      {"log_speedup", c.speedup}});
      write_json(options->json, json.dump(2), context);
    };
  });
}

}  // namespace moesim::cli
