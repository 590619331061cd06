// How well the cost of skewed routing is predicted apart from the cost itself: the ratio of a power-law row's time to
// the time of the same shape under even routing.
#pragma once

#include <string_view>
#include <vector>

#include "calibration/table.h"

namespace moesim::validation {

struct PredictedRow {
  std::size_t row = 0;
  double log_error = 0;  // log(predicted / measured)
};

// |predicted ratio / measured ratio - 1| for each power-law row of which the even partner ("balanced" or "uniform" in
// the column "dist", all other columns but the times equal) is among `rows` too. Empty for a table without "dist".
std::vector<double> skew_ratio_errors(const calibration::Table& table,
                                      const std::vector<std::string_view>& time_columns,
                                      const std::vector<PredictedRow>& rows);

}  // namespace moesim::validation
