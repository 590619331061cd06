#include "validation/skew.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "validation/expert_routing.h"

namespace moesim::validation {
namespace {

constexpr std::string_view kDistribution = "dist";

std::string shape_of(const calibration::Table& table, const std::vector<std::string_view>& time_columns,
                     std::size_t row) {
  std::string shape;
  for (const std::string& column : table.columns()) {
    const bool time = std::find(time_columns.begin(), time_columns.end(), column) != time_columns.end();
    if (column != kDistribution && !time) shape += table.text(row, column) + ",";
  }
  return shape;
}

bool is_even(const calibration::Table& table, std::size_t row) {
  const auto routing = routing_named(table.text(row, kDistribution));
  return routing && routing->kind == ExpertRouting::Kind::Even;
}

}  // namespace

std::vector<double> skew_ratio_errors(const calibration::Table& table,
                                      const std::vector<std::string_view>& time_columns,
                                      const std::vector<PredictedRow>& rows) {
  std::vector<double> errors;
  if (!table.has(kDistribution)) return errors;
  std::map<std::string, double> even;
  for (const PredictedRow& row : rows)
    if (is_even(table, row.row)) even[shape_of(table, time_columns, row.row)] = row.log_error;
  for (const PredictedRow& row : rows) {
    if (is_even(table, row.row)) continue;
    const auto partner = even.find(shape_of(table, time_columns, row.row));
    if (partner != even.end()) errors.push_back(std::abs(std::expm1(row.log_error - partner->second)));
  }
  return errors;
}

}  // namespace moesim::validation
