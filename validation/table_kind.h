// The kinds of measured tables. To add one:
//
//  1. The cost model is a pure function in sim/lowering/<kernel>.{h,cc} with its declaration table: one KernelModel per
//     parameter set (per kernel implementation and number format, e.g. "gemm_bf16"), each a list of ParameterSpec.
//     Communication kernels are lowerings to exchanges; their prediction runs an engine on the cluster.
//  2. validation/<kind>.cc defines `TableKind <kind>_kind()` (declared in validation/kinds.h, listed in table_kinds()
//  of
//     kinds.cc): its columns, the kernels it needs, how a row becomes
//     samples, its splits, its goal, and in words where the model fails. c1_gemm.cc is the shortest example.
//  3. scripts/accuracy fits it and writes calibration/profile/kernels/<kernel>.json and docs/accuracy.md; or, step by
//     step, `moesim calibrate fit --all --tables DIR`, a build, and
//     `moesim validate --all --tables DIR --markdown docs/accuracy.md`.
//
// A sample is one time to be predicted; it carries its own prediction as a closure over its shape, so that the fit, the
// validation and the splits treat all kinds alike. Rows that cannot be predicted are listed in `skipped`, never
// dropped.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "calibration/profile/kernel_parameters.h"
#include "calibration/table.h"
#include "validation/system.h"

namespace moesim::validation {

// A predicted time, and what is random in the row itself (a drawn routing): half-widths of the 80 % interval of
// log(time) downwards and upwards over the draws, 0 for a row without randomness.
struct Estimate {
  base::Duration time;
  double draw_low = 0;
  double draw_high = 0;
};

struct Sample {
  std::size_t row = 0;                       // of the table
  std::string_view column = "predicted_us";  // of --rows: or "dispatch_predicted_us", "combine_predicted_us"
  double measured_us = 0;
  std::string_view kernel;  // parameter set: "gemm_bf16"
  std::string group;        // of the report: op or phase, GPUs or EP, dtype
  double size = 0;          // what residuals are shown against: bytes, operations or tokens
  std::string_view size_unit;
  std::string error_class;  // see profile::LogErrors; "" for most
  bool scored = true;       // else predicted and reported as a group of its own, not in the table's errors
  double weight = 1;        // in the fit; 0 for a known outlier: scored all the same
  std::function<Estimate(const System&, const profile::KernelParameters&)> predict;
};

struct Skipped {
  std::size_t row = 0;
  std::string reason;  // equal reasons are reported together
};

struct Samples {
  std::vector<Sample> samples;
  std::vector<Skipped> skipped;
  std::vector<Skipped> reread{};  // rows that are predicted, but for something else than their columns say, and why
};

// A hold-out, written down before anything is fitted: which rows are fitted, which are judged. Never random rows.
enum class Part { Fit, Test, Neither };
struct Split {
  std::string_view name;  // "m <= 512 -> larger"
  enum class By { System, Size, Shape } by = By::Size;
  std::function<Part(const System&, const calibration::Table&, std::size_t row)> part;
};

// What a part of a kind's rows should reach.
struct Goal {
  std::string_view name;  // "NVLink, above 64 KB"
  double median = 0, p90 = 0;
  std::function<bool(std::string_view kernel, std::string_view error_class)> of;
};

struct TableKind {
  std::string_view name;                       // "C1"
  std::string_view title;                      // "GEMM"
  std::vector<std::string_view> columns;       // a table of this kind has them all
  std::vector<std::string_view> time_columns;  // those of them that are times in us
  // What columns alone cannot tell; empty: nothing to tell.
  std::function<bool(const calibration::Table&)> matches;
  // What is fitted to it; none of a kind that is not modelled yet, or that is predicted by whole scenarios.
  std::vector<profile::KernelModel> kernels;
  bool scenarios = false;  // samples run scenarios; they carry their own intervals as draws, and no kernel
  std::function<Samples(const calibration::Table&, const System&)> read;
  // Beside the splits by system (each system left out), which are made for every kind.
  std::vector<Split> splits;
  // Median and 90th percentile of the relative error to reach on every hold-out; 0: none set.
  double goal_median = 0, goal_p90 = 0;
  std::vector<Goal> goals;  // instead of those, where parts of the rows have goals of their own
  std::string_view limits;  // Markdown for docs/accuracy.md: where and why the model fails
};

}  // namespace moesim::validation
