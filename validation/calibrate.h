// Fitting kernels to measured tables, hold-outs, and the widths of intervals: what `calibrate fit` does.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "calibration/kernel_fit.h"
#include "validation/score.h"

namespace moesim::validation {

// A table with the system that it was measured on.
struct MeasuredTable {
  calibration::Table table;
  std::string label;  // "C1_gemm/h100_sxm__gemm.csv"
  System system;
  TableKind kind;
  Samples samples;
};

// All tables below a folder (*.csv, in order of their paths) whose kind is modelled. A file's system is the beginning
// of its name, up to "__". Throws InputError for a folder without any.
std::vector<MeasuredTable> read_tables(const std::string& folder);
MeasuredTable read_table(const std::string& path, const std::string& system);
MeasuredTable measured_table(calibration::Table table, const std::string& system);

// One hold-out of one kernel: fitted to a part of the rows, judged on another.
struct HoldOut {
  std::string split;  // "m <= 512, larger m held out", or "b200 left out"
  Split::By by = Split::By::Size;
  std::string table;   // label of the judged rows' table
  std::string system;  // its profile
  std::string kernel;
  profile::Relation relation = profile::Relation::FittedSystem;
  std::vector<ScoredSample> samples;
  GroupScore score;  // with intervals whose width comes from other hold-outs
};

struct KernelResult {
  std::string kind;  // "C1"
  profile::KernelModel model;
  calibration::KernelFit fit;  // with the widths of all hold-outs
  std::vector<HoldOut> hold_outs;
  std::vector<calibration::ResidualBin> by_size;  // of the fitted rows
  std::string size_unit;
  std::vector<double> skew_errors;  // of the fitted rows with skewed routing: see skew.h
};

// Fits all kernels of all tables, each kernel to its own rows alone. Without hold-outs the intervals' widths are those
// of the fitted rows. With `shipped`, a profile of the tables' GPU, its parameters are the priors, and its widths count
// as 20 further rows: a short log must not claim more than it can know.
std::vector<KernelResult> fit_all(const std::vector<MeasuredTable>& tables, bool hold_outs,
                                  const profile::Profile* shipped = nullptr);

}  // namespace moesim::validation
