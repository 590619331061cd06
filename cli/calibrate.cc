#include "cli/calibrate.h"

#include <filesystem>
#include <memory>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "calibration/kernel_fit.h"
#include "cli/accuracy.h"
#include "cli/scenario_options.h"
#include "report/table.h"

namespace moesim::cli {
namespace {

struct Options {
  std::vector<std::string> files;
  validation::FromLogsOptions from;
  std::string output;
  bool all = false;
  std::string tables, accuracy;
};

std::string percent(double fraction) { return base::format_number(100 * fraction, 3) + " %"; }

// `known`: values that the kernel had before are the priors.
void print_fit(const validation::KernelResult& result, bool known, std::ostream& out) {
  out << result.model.name << "\n";
  report::Table table({"table", "rows", "median", "p90"});
  for (const profile::FittedTable& t : result.fit.calibration.tables)
    table.add_row({t.file, std::to_string(t.rows), percent(t.median), percent(t.p90)});
  for (const validation::HoldOut& h : result.hold_outs) {
    table.add_row({"held out: " + h.split + " (" + h.system + ")", std::to_string(h.score.rows),
                   percent(h.score.median), percent(h.score.p90)});
  }
  out << table.text();
  std::string kept;
  for (const std::string& name : result.fit.assumed) kept += (kept.empty() ? "" : ", ") + name;
  if (!kept.empty())
    out << report::wrap(
        "  not identified by these rows, so " + std::string(known ? "held near what was known: " : "assumed: ") + kept,
        4);
  for (const std::string& name : result.fit.at_bound) out << "  " << name << ": at its bound\n";
}

// One kernel's values for the GPU, beside those before.
void print_parameters(const validation::FromLogs& result, const validation::KernelResult& kernel, std::ostream& out) {
  const std::string name(kernel.model.name);
  const profile::KernelParameters now = result.profile.kernel(name);
  const bool known = result.before.calibration(name) != nullptr;
  report::Table table({"parameter", "value", "80 % interval", "source", "before", "change"});
  for (const auto& [key, parameter] : now.all()) {
    const std::string unit = parameter.unit == "1" ? "" : " " + parameter.unit;
    std::string before = "-", change = "-";
    if (known) {
      const profile::KernelParameters old = result.before.kernel(name);
      for (const auto& [old_key, value] : old.all()) {
        if (old_key != key) continue;
        before = base::format_number(value.value) + unit;
        change = base::format_number(100 * (parameter.value / value.value - 1), 2) + " %";
      }
    }
    table.add_row({key, base::format_number(parameter.value) + unit, "+- " + percent(parameter.relative_error),
                   parameter.reference.starts_with(calibration::kAsShipped) ? "as before"
                   : parameter.reference.starts_with(calibration::kMovedFrom)
                       ? "as before, moved"
                       : std::string(to_string(parameter.source)),
                   before, change});
  }
  out << table.text();
}

void fit_one(const Options& options, std::ostream& out) {
  if (options.files.empty()) throw base::InputError("--table", "", "is missing", "a measured table or log, or --all");
  if (options.output.empty()) throw base::InputError("-o", "", "is missing", "the profile to write");
  check_outputs("", {options.output});
  const validation::FromLogs result = validation::from_logs(options.files, options.from);
  print(result, out);
  base::write_file(options.output, profile::to_json(result.profile).dump(2) + "\n");
  out << "wrote " << options.output << "\n";
}

void fit_everything(const Options& options, std::ostream& out) {
  if (options.tables.empty()) throw base::InputError("--tables", "", "is missing", "the folder of the measured tables");
  const std::filesystem::path folder = options.output.empty() ? "calibration/profile/kernels" : options.output;
  const auto results = validation::fit_all(validation::read_tables(options.tables), true);
  for (const validation::KernelResult& result : results) {
    print_fit(result, false, out);
    base::write_file((folder / (result.fit.calibration.kernel + ".json")).string(),
                     profile::to_json(result.fit.calibration).dump(1) + "\n");
  }
  if (!options.accuracy.empty()) write_accuracy(results, options.accuracy, out);
}

}  // namespace

void print(const validation::FromLogs& result, std::ostream& out) {
  for (const std::string& format : result.formats) out << format << "\n";
  out << "on " << result.system << ", profile " << result.profile.name
      << (result.synthetic ? "; a log is synthetic: nothing of it is tagged measured" : "") << "\n";
  for (const std::string& warning : result.warnings) out << report::wrap("warning: " + warning, 9);
  if (!result.findings.empty()) {
    report::Table table({"read directly", "value", "80 % interval", "residual", "before"});
    for (const validation::Finding& f : result.findings)
      table.add_row({f.name, f.value, "+- " + percent(f.error), f.residual > 0 ? percent(f.residual) : "-", f.shipped});
    out << "\n" << table.text();
    for (const validation::Finding& f : result.findings) out << report::wrap("  " + f.name + ": " + f.from, 4);
  }
  for (const validation::KernelResult& kernel : result.kernels) {
    out << "\n";
    print_fit(kernel, result.before.calibration(kernel.model.name) != nullptr, out);
    print_parameters(result, kernel, out);
  }
  if (!result.notes.empty()) out << "\n";
  for (const std::string& note : result.notes) out << report::wrap("note: " + note, 6);
}

void add_calibrate_fit(CLI::App& verb, Context& context) {
  const auto options = std::make_shared<Options>();
  CLI::App* fit = verb.add_subcommand("fit", "Fit to tables and logs, or regenerate every shipped parameter");
  CLI::Option* all = fit->add_flag("--all", options->all, "Fit all kernels to all tables of --tables");
  fit->add_option("--tables", options->tables, "With --all: the folder of the tables")->needs(all);
  fit->add_option("--accuracy", options->accuracy, "With --all: also write the page of the errors, as validate --all")
      ->needs(all);
  fit->add_option("--table,--log", options->files,
                  "Measured tables (CSV); logs of nccl-tests (text, -J), nvbandwidth --json, ib_write_bw, ib_write_lat "
                  "and DeepEP's tests; documents of moesim-kernels")
      ->excludes(all);
  fit->add_option("--system", options->from.system,
                  "The system that they were measured on, e.g. h100_sxm (default: as a log names its GPU)")
      ->excludes(all);
  fit->add_option("--profile", options->from.profile, "Start from this profile instead of the shipped one")
      ->excludes(all);
  fit->add_option("--op", options->from.log.op, "The collective of an nccl-tests log that does not name it")
      ->check(CLI::IsMember({"all_gather", "all_reduce", "reduce_scatter", "alltoall"}))
      ->excludes(all);
  fit->add_option("--shape", options->from.log.shape,
                  "What a log of DeepEP does not say: ep=8,experts=256,topk=8,hidden=7168,tokens=128,nodes=1")
      ->excludes(all);
  fit->add_option("-o,--output", options->output,
                  "The profile to write; with --all the folder (default: calibration/profile/kernels)");
  fit->footer(
      "Example: moesim calibrate fit --table h100_sxm__gemm.csv --system h100_sxm -o profile.json\n"
      "         moesim calibrate fit --log alltoall.txt ib_write_bw.txt --system h100_sxm -o profile.json");
  fit->callback([options, &context] {
    context.action = [options, &context] {
      if (options->all)
        fit_everything(*options, context.out);
      else
        fit_one(*options, context.out);
    };
  });
}

void add_calibrate(CLI::App& program, Context& context) {
  CLI::App* verb = program.add_subcommand("calibrate", "Make profiles from measurements; show, compare and check them");
  verb->require_subcommand(1);
  verb->footer("Example: moesim calibrate fit --table h100_sxm__gemm.csv --system h100_sxm -o profile.json");
  for (const auto add : {add_calibrate_fit, add_calibrate_measure, add_calibrate_show, add_calibrate_check})
    add(*verb, context);
}

}  // namespace moesim::cli
