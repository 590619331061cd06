#include "validation/calibrate.h"

#include <filesystem>
#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/accuracy.h"
#include "cli/verb.h"
#include "report/table.h"

namespace moesim::cli {
namespace {

struct Options {
  std::string table, system, output;
  bool all = false;
  std::string tables, accuracy;
};

std::string percent(double fraction) { return base::format_number(100 * fraction, 3) + " %"; }

void print(const validation::KernelResult& result, std::ostream& out) {
  out << result.model.name << "\n";
  report::Table table({"table", "rows", "median", "p90"});
  for (const profile::FittedTable& t : result.fit.calibration.tables)
    table.add_row({t.file, std::to_string(t.rows), percent(t.median), percent(t.p90)});
  for (const validation::HoldOut& h : result.hold_outs) {
    table.add_row({"held out: " + h.split + " (" + h.system + ")", std::to_string(h.score.rows),
                   percent(h.score.median), percent(h.score.p90)});
  }
  out << table.text();
  for (const std::string& name : result.fit.assumed)
    out << "  " << name << ": not identified by these rows, so assumed\n";
  for (const std::string& name : result.fit.at_bound) out << "  " << name << ": at its bound\n";
}

void fit_one(const Options& options, std::ostream& out) {
  if (options.table.empty()) throw base::InputError("--table", "", "is missing", "a measured table, or --all");
  if (options.system.empty()) throw base::InputError("--system", "", "is missing", "a system, e.g. h100_sxm");
  if (options.output.empty()) throw base::InputError("-o", "", "is missing", "the profile to write");
  std::vector<validation::MeasuredTable> tables;
  tables.push_back(validation::read_table(options.table, options.system));
  const validation::TableKind& kind = tables.front().kind;
  if (kind.kernels.empty()) {
    throw base::InputError(
        options.table, "",
        "tables of the kind " + std::string(kind.name) + " (" + std::string(kind.title) + ") are not modelled yet");
  }
  profile::Profile profile = tables.front().system.profile();
  for (const validation::KernelResult& result : validation::fit_all(tables, true)) {
    print(result, out);
    profile.kernels.push_back(std::make_shared<profile::KernelCalibration>(result.fit.calibration));
  }
  if (profile.kernels.empty())
    throw base::InputError(options.table, "", "no row of it can be predicted on " + options.system);
  base::write_file(options.output, profile::to_json(profile).dump(2) + "\n");
}

void fit_everything(const Options& options, std::ostream& out) {
  if (options.tables.empty()) throw base::InputError("--tables", "", "is missing", "the folder of the measured tables");
  const std::filesystem::path folder = options.output.empty() ? "calibration/profile/kernels" : options.output;
  const auto results = validation::fit_all(validation::read_tables(options.tables), true);
  for (const validation::KernelResult& result : results) {
    print(result, out);
    base::write_file((folder / (result.fit.calibration.kernel + ".json")).string(),
                     profile::to_json(result.fit.calibration).dump(1) + "\n");
  }
  if (!options.accuracy.empty()) write_accuracy(results, options.accuracy, out);
}

}  // namespace

void add_calibrate(CLI::App& program, Context& context) {
  CLI::App* verb = program.add_subcommand("calibrate", "Fit the parameters of kernels to measurements");
  verb->require_subcommand(1);
  verb->footer("Example: moesim calibrate fit --table h100_sxm__gemm.csv --system h100_sxm -o profile.json");

  const auto options = std::make_shared<Options>();
  CLI::App* fit = verb->add_subcommand("fit", "Fit to one measured table, or regenerate every shipped parameter");
  CLI::Option* all = fit->add_flag("--all", options->all, "Fit all kernels to all tables of --tables");
  fit->add_option("--tables", options->tables, "With --all: the folder of the tables")->needs(all);
  fit->add_option("--accuracy", options->accuracy, "With --all: also write the page of the errors, as validate --all")
      ->needs(all);
  fit->add_option("--table", options->table, "One measured table (CSV)")->excludes(all);
  fit->add_option("--system", options->system, "The system that it was measured on, e.g. h100_sxm")->excludes(all);
  fit->add_option("-o,--output", options->output,
                  "The profile to write; with --all the folder (default: calibration/profile/kernels)");
  fit->footer("Example: moesim calibrate fit --table h100_sxm__gemm.csv --system h100_sxm -o profile.json");
  fit->callback([options, &context] {
    context.action = [options, &context] {
      if (options->all)
        fit_everything(*options, context.out);
      else
        fit_one(*options, context.out);
    };
  });
}

}  // namespace moesim::cli
