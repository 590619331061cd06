// Robust least squares for few positive parameters against many measured times.
//
// Minimises over v (in logarithms, between bounds)
//     sum_i w_i 2 s^2 (sqrt(1 + (e_i / s)^2) - 1) / s^2  +  sum_j ((log v_j - log start_j) / sigma_j)^2
// with e_i = log(predicted_i / measured_i): soft-L1, quadratic for errors well below the scale s and linear above, so
// that an outlier pulls with bounded force. The solver is Eigen's Levenberg-Marquardt (MINPACK's lmder) on numeric
// derivatives; bounds by v = L + (U - L)(1 + sin u)/2 in logarithms, as in MINUIT.
//
// Confidence intervals: with H the Hessian of the above and B the sum of the squared scores (and prior), the covariance
// of log v is H^-1 B H^-1 (Huber, White): right whatever the noise is, as long as rows err independently.
//
// A parameter counts as identified if the data say more of it than its prior (its standard deviation is below 0.7 of
// the prior's) or, without a prior, if they fix it to within a factor of e^0.5.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"

namespace moesim::calibration {

// One unknown number.
struct Unknown {
  std::string name;  // "t0 of hopper"
  double start = 1;
  double lower = 0, upper = 0;    // 0 < lower < start < upper
  double prior_sigma = 0;         // of log(value); 0: no prior
  std::vector<std::size_t> rows;  // those that it can affect; empty: all
  bool fixed = false;             // stays at `start`
};

struct Measured {
  double value = 0;   // > 0
  double weight = 1;  // >= 0; 0: scored but not fitted
};

// Writes predicted[i] of the row rows[i]; a pure function, called from several threads.
using Predict =
    std::function<void(std::span<const double> values, std::span<const std::size_t> rows, std::span<double> predicted)>;

struct FitOptions {
  double scale = 0.08;  // s of the soft-L1 loss
  int iterations = 60;  // at most
  int threads = 0;      // 0: as many as there are cores; the result is the same
  bool refuse = true;   // throw UnidentifiedError; otherwise mark
};

struct FittedValue {
  double value = 0;
  double log_sd = 0;            // standard deviation of log(value)
  double lower = 0, upper = 0;  // 80 % confidence interval
  bool at_bound = false;
  bool identified = true;
};

struct FitResult {
  std::vector<FittedValue> values;  // [unknowns]
  std::vector<double> log_errors;   // [rows] log(predicted / measured)
  double cost = 0;
  int iterations = 0;
  bool converged = false;
};

// Names the parameters that the data cannot identify.
class UnidentifiedError : public base::InputError {
 public:
  explicit UnidentifiedError(std::vector<std::string> names);
  const std::vector<std::string>& names() const { return names_; }

 private:
  std::vector<std::string> names_;
};

// Throws InputError for rows that are not positive and finite, UnidentifiedError as above.
FitResult fit(std::span<const Unknown> unknowns, std::span<const Measured> measured, const Predict& predict,
              const FitOptions& options = {});

// Residuals by size: rows in `bins` groups of equal count in order of `size`.
struct ResidualBin {
  double from = 0, to = 0;  // sizes
  std::size_t rows = 0;
  double median = 0, p90 = 0, bias = 0;  // of |e|, and the median of e
};
std::vector<ResidualBin> residuals_by_size(std::span<const double> log_errors, std::span<const double> sizes,
                                           std::size_t bins);

}  // namespace moesim::calibration
