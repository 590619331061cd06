// Small summaries of samples.
#pragma once

#include <span>

namespace moesim::base {

double mean(std::span<const double> samples);     // 0 for none
double maximum(std::span<const double> samples);  // 0 for none
// Largest over mean: 1 is balanced. 1 when all are zero.
double imbalance(std::span<const double> loads);
// The p-quantile, p in [0, 1], with linear interpolation between order statistics. Needs at least one sample.
double quantile(std::span<const double> samples, double p);
// Slope of the least-squares line of log(y) over log(x), pairs with y <= 0 left out. Needs two usable pairs.
double log_log_slope(std::span<const double> x, std::span<const double> y);

}  // namespace moesim::base
