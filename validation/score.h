// A measured table against its predictions: every row is scored, or listed as skipped with the reason.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "validation/table_kind.h"

namespace moesim::validation {

struct ScoredSample {
  std::size_t row = 0;
  std::string_view column;
  std::string_view kernel;
  std::string group;
  std::string error_class;
  double size = 0;
  double measured_us = 0;
  double predicted_us = 0;
  double low_us = 0, high_us = 0;      // 80 % interval
  double draw_low = 0, draw_high = 0;  // of that, log half-widths over the draws of a random routing
  bool scored = true;
};

// Errors are predicted / measured - 1, as fractions; the bias is the median of the signed error.
struct GroupScore {
  std::string name;
  std::size_t rows = 0;
  double median = 0, p90 = 0, max = 0, bias = 0;
  double coverage = 0;  // share of rows inside the 80 % interval
  double width = 0;     // median of the interval's half-width over the prediction
};

struct Score {
  std::string system;
  std::string kind;
  GroupScore all;
  std::vector<GroupScore> groups;  // in the order in which they appear
  struct Rows {
    std::size_t rows = 0;
    std::string reason;
  };
  std::vector<Rows> skipped, reread;  // see Samples
  std::vector<ScoredSample> samples;  // in the order of the table
};

using ParameterSource = std::function<profile::KernelParameters(std::string_view kernel)>;

// Predicts all samples, on several threads. The 80 % interval is predicted * exp(-+ width) with the width of the
// kernel's calibration (profile::LogErrors) and that of the row's own draws added in quadrature.
std::vector<ScoredSample> predict(const std::vector<Sample>& samples, const System& system,
                                  const ParameterSource& parameters);
GroupScore summarise(std::string name, const std::vector<const ScoredSample*>& samples);

// Throws InputError for a kind that is not modelled yet.
Score validate(const calibration::Table& table, const TableKind& kind, const System& system,
               const ParameterSource& parameters);

// {"system", "kind", "rows", "median", "p90", "max", "bias", "coverage", "groups", "skipped"}; null for what no row
// tells. And "reread", if any row was.
base::Json to_json(const Score& score);

// The table with the predictions as further columns; empty where a row was skipped.
std::string rows_csv(const calibration::Table& table, const Score& score);

}  // namespace moesim::validation
