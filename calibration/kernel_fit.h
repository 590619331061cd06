// Fits the parameters of one kernel to all its rows of all systems at once: a shared parameter is one unknown, one of a
// family one per family that has rows, one of a system one per system that has rows.
//
// What the data cannot identify is tagged `assumed`: with a prior it stays as near to the declared start value as the
// data allow, without one it stays there. The entry of a wider scope than
// the declared one, which GPUs without rows fall back on, is the geometric mean of the entries below it (family: of its
// systems; shared: of the families), with their spread as its error. So rows of one system never decide alone what is
// predicted for another family, and a system without rows changes nothing.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "calibration/fit.h"
#include "calibration/profile/kernel_parameters.h"

namespace moesim::calibration {

struct KernelObservation {
  std::string system;  // profile name
  std::string family;
  std::size_t table = 0;  // index of KernelFitInput::tables
  Measured measured;      // us
  double size = 0;        // what residuals are grouped by
  // us; a pure function.
  std::function<double(const profile::KernelParameters&)> predict;
};

// How the reference of a parameter begins that rows did not identify: its value is the known one (to 1 %), or moved.
inline constexpr std::string_view kAsShipped = "as shipped";
inline constexpr std::string_view kMovedFrom = "moved from";

struct KernelFit {
  profile::KernelCalibration calibration;  // without error widths
  std::vector<double> log_errors;          // [observations]
  std::vector<std::string> assumed;        // "lambda of ampere": not identified
  std::vector<std::string> at_bound;
};

// `tables` names the files. Values are rounded to 4 significant digits, so that what is shipped is what was scored.
// With `shipped`, the values that hold for this GPU already, the priors are these (wider by what machines of one kind
// may differ) instead of the declared ones: what few rows do not say stays as shipped.
KernelFit fit_kernel(const profile::KernelModel& model, std::span<const KernelObservation> observations,
                     std::span<const std::string> tables, const FitOptions& options = {},
                     const profile::KernelParameters* shipped = nullptr);

}  // namespace moesim::calibration
