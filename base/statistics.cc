#include "base/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/error.h"

namespace moesim::base {

double mean(std::span<const double> samples) {
  if (samples.empty()) return 0;
  return std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
}

double maximum(std::span<const double> samples) {
  return samples.empty() ? 0 : *std::max_element(samples.begin(), samples.end());
}

double imbalance(std::span<const double> loads) {
  const double average = mean(loads);
  return average > 0 ? maximum(loads) / average : 1;
}

double quantile(std::span<const double> samples, double p) {
  MOESIM_CHECK(!samples.empty() && p >= 0 && p <= 1, "quantile of no samples");
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  const double position = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], position - static_cast<double>(below));
}

double log_log_slope(std::span<const double> x, std::span<const double> y) {
  MOESIM_CHECK(x.size() == y.size(), "as many x as y");
  double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (y[i] <= 0 || x[i] <= 0) continue;
    const double a = std::log(x[i]), b = std::log(y[i]);
    n += 1, sx += a, sy += b, sxx += a * a, sxy += a * b;
  }
  MOESIM_CHECK(n >= 2 && n * sxx > sx * sx, "a slope needs two different points");
  return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

}  // namespace moesim::base
