#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/accuracy.h"
#include "cli/progress.h"
#include "cli/scenario_options.h"
#include "cli/verb.h"
#include "report/scatter.h"
#include "report/table.h"
#include "sim/lowering/moe_kernels.h"
#include "validation/kinds.h"
#include "validation/score.h"

namespace moesim::cli {
namespace {

struct Options {
  std::string system, table, json, rows, plot, profile;
  bool all = false;
  std::string tables, markdown;
};

std::string percent(double fraction) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.1f %%", 100 * fraction);
  return text.data();
}

std::string signed_percent(double fraction) { return (fraction < 0 ? "-" : "+") + percent(std::abs(fraction)); }

void print(const validation::Score& score, const std::string& title, std::ostream& out) {
  out << score.kind << " (" << title << ") on " << score.system << ": " << score.all.rows << " times predicted\n";
  if (score.all.rows > 0) {
    report::Table table({"group", "rows", "median", "p90", "max", "bias", "in 80 % interval", "its width"});
    const auto add = [&](const validation::GroupScore& g) {
      table.add_row({g.name, std::to_string(g.rows), percent(g.median), percent(g.p90), percent(g.max),
                     signed_percent(g.bias), percent(g.coverage), "+- " + percent(g.width)});
    };
    for (const validation::GroupScore& group : score.groups) add(group);
    if (score.groups.size() > 1) add(score.all);
    out << table.text();
  }
  for (const auto& reread : score.reread) out << "reread " << reread.rows << " rows: " << reread.reason << "\n";
  for (const auto& skipped : score.skipped) out << "skipped " << skipped.rows << " rows: " << skipped.reason << "\n";
}

std::string plot_of(const validation::Score& score, const std::string& title) {
  report::ScatterPlot plot;
  plot.title = score.kind + " (" + title + ") on " + score.system;
  plot.x_label = "measured, us";
  plot.y_label = "predicted, us";
  plot.diagonal = true;
  for (const validation::GroupScore& group : score.groups) {
    report::ScatterSeries series{group.name, {}};
    for (const validation::ScoredSample& sample : score.samples)
      if (sample.group == group.name) series.points.emplace_back(sample.measured_us, sample.predicted_us);
    plot.series.push_back(std::move(series));
  }
  return report::svg(plot);
}

void validate_table(const Options& options, Context& context) {
  if (options.system.empty()) throw base::InputError("--system", "", "is missing", "a system, e.g. h100_sxm");
  if (options.table.empty()) throw base::InputError("validate", "", "a measured table is missing", "FILE.csv");
  check_outputs(options.json, {options.rows, options.plot});
  std::optional<Progress> progress(std::in_place, context.terminal, "predicting " + options.table);
  const validation::System system(options.system);
  const auto table = calibration::Table::read(options.table);
  const validation::TableKind kind = validation::recognise(table);
  profile::Profile profile = system.profile();
  if (!options.profile.empty()) {
    profile = profile::load_profile(options.profile);
    if (profile.name != system.profile().name)
      throw base::InputError(options.profile, "/name", "the profile of \"" + profile.name + "\"",
                             "one of \"" + system.profile().name + "\", the GPU of " + system.name());
  }
  const validation::Score score = validation::validate(
      table, kind, system, [&](std::string_view kernel) { return lowering::moe_parameters(kernel, profile); });
  progress.reset();
  print(score, std::string(kind.title), words(options.json, context));
  write_json(options.json, validation::to_json(score).dump(2), context);
  if (!options.rows.empty()) base::write_file(options.rows, validation::rows_csv(table, score));
  if (!options.plot.empty()) base::write_file(options.plot, plot_of(score, std::string(kind.title)));
}

}  // namespace

void add_validate(CLI::App& program, Context& context) {
  const auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand("validate", "Predict a measured table and say how far off");
  verb->add_option("FILE", options->table, "Measured table (CSV); its columns tell its kind");
  verb->add_option("--system", options->system, "The system that it was measured on, e.g. h100_sxm");
  verb->add_option("--json", options->json, "Write the errors to this file");
  verb->add_option("--rows", options->rows, "Write the table with the predictions to this file");
  verb->add_option("--plot", options->plot, "Draw predicted against measured into this SVG file");
  verb->add_option("--profile", options->profile,
                   "A profile that `calibrate fit -o` wrote, instead of the shipped one");
  CLI::Option* all =
      verb->add_flag("--all", options->all, "Fit and judge hold-outs of all tables, for docs/accuracy.md");
  for (const char* of_one : {"FILE", "--system", "--json", "--rows", "--plot", "--profile"})
    all->excludes(verb->get_option(of_one));
  verb->add_option("--tables", options->tables, "With --all: the folder of the tables")->needs(all);
  verb->add_option("--markdown", options->markdown, "With --all: the page to write; plots go beside it")->needs(all);
  verb->footer("Example: moesim validate --system h100_sxm h100_sxm__gemm.csv --json errors.json --plot errors.svg");
  verb->callback([options, &context] {
    context.action = [options, &context] {
      if (!options->all) return validate_table(*options, context);
      if (options->tables.empty())
        throw base::InputError("--tables", "", "is missing", "the folder of the measured tables");
      write_accuracy(validation::fit_all(validation::read_tables(options->tables), true), options->markdown,
                     context.out);
    };
  });
}

}  // namespace moesim::cli
