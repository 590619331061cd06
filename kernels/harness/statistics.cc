#include "kernels/harness/statistics.h"

#include <algorithm>
#include <cmath>

namespace moesim::kernels {
namespace {

constexpr double kMedianFactor = 1.2533;    // standard error of a median over that of a mean, for normal noise
constexpr double kQuartileFactor = 1.4826;  // standard deviation over half the distance of the quartiles
constexpr double kThrottledBelow = 0.97;

double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

Summary summarise(std::vector<double> samples_us) {
  Summary summary;
  summary.count = samples_us.size();
  if (samples_us.empty()) return summary;
  std::sort(samples_us.begin(), samples_us.end());
  summary.min = samples_us.front();
  summary.p10 = quantile(samples_us, 0.1);
  summary.median = quantile(samples_us, 0.5);
  summary.p90 = quantile(samples_us, 0.9);
  summary.max = samples_us.back();
  if (summary.median > 0)
    summary.noise = (quantile(samples_us, 0.75) - quantile(samples_us, 0.25)) / 2 / summary.median;
  return summary;
}

bool StoppingRule::done(const std::vector<double>& samples_us, double spent_seconds) const {
  if (samples_us.size() < fewest) return false;
  if (samples_us.size() >= most || spent_seconds >= most_seconds) return true;
  const double deviation = kQuartileFactor * summarise(samples_us).noise;
  return kMedianFactor * deviation / std::sqrt(static_cast<double>(samples_us.size())) < relative_error;
}

bool throttled(double before_mhz, double after_mhz) {
  return before_mhz > 0 && after_mhz > 0 && after_mhz < kThrottledBelow * before_mhz;
}

}  // namespace moesim::kernels
