// Samples of one measurement, when to stop taking them, and what they say. Host only.
#pragma once

#include <cstddef>
#include <vector>

namespace moesim::kernels {

// Of times in microseconds. The noise is half the distance of the quartiles over the median: outliers do not move it.
struct Summary {
  std::size_t count = 0;
  double min = 0, p10 = 0, median = 0, p90 = 0, max = 0;
  double noise = 0;
};
// Empty samples give zeros. Quantiles are linear between the order statistics.
Summary summarise(std::vector<double> samples_us);

// When to stop: not before `fewest` samples; then as soon as the standard error of the median, noise * 1.25 / sqrt(n),
// is below `relative_error`, or the samples or their time are used up.
struct StoppingRule {
  std::size_t fewest = 10;
  std::size_t most = 1000;
  double relative_error = 0.005;
  double most_seconds = 1;

  bool done(const std::vector<double>& samples_us, double spent_seconds) const;
};

// The clock before and after a measurement, in MHz, 0 where unknown: slowed down if it fell by more than 3 %.
bool throttled(double before_mhz, double after_mhz);

}  // namespace moesim::kernels
