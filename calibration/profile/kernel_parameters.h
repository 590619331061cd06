// The few physical parameters of a kernel's cost model: how a kernel declares them, and their values for one GPU.
//
// A parameter is shared by all GPUs, or belongs to an architecture family, or to a system (a GPU). For a GPU without a
// value of its own the *family rule* gives it: system -> its family -> the family that its own descends from (see
// family_parent) -> shared. Entries of a wider scope are the geometric means of those below them (kernel_fit.h).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "calibration/profile/source.h"

namespace moesim::profile {

enum class Scope : std::uint8_t { Shared, Family, System };
std::string_view to_string(Scope scope);

// The declaration of one parameter; a kernel's declarations are a constant table beside its cost function. Values are
// positive: they are fitted as logarithms.
struct ParameterSpec {
  std::string_view name;
  std::string_view unit;  // of all numbers here: "us", "ns", "1" (a fraction or exponent), "GB/s", ...
  double start = 0;       // of the fit, and the middle of the prior
  double lower = 0, upper = 0;
  double prior_sigma = 0;  // of log(value) around log(start); 0: no prior
  Scope scope = Scope::Shared;
  std::string_view meaning;  // one line, for docs/accuracy.md
};

// A kernel as the fit, the profile and the documentation know it.
struct KernelModel {
  std::string_view name;       // "gemm_bf16": the file kernels/gemm_bf16.json
  std::string_view mechanism;  // the equation and why, one paragraph
  std::span<const ParameterSpec> parameters;
};

struct Parameter {
  double value = 0;
  std::string unit;
  Source source = Source::Assumed;
  std::string reference;      // table and residual, or argument
  double relative_error = 0;  // half-width of an 80 % interval, as a fraction of the value
};
using NamedParameters = std::vector<std::pair<std::string, Parameter>>;  // in the order of their declaration

// How near the measurements are that a prediction rests on: of the GPU itself, of its family only, or neither.
enum class Relation : std::uint8_t { FittedSystem, SameFamily, OtherFamily };
std::string_view to_string(Relation relation);  // "fitted_system", "same_family", "other_family"

// Half-width of the 80 % interval of log(true / predicted), by relation. A kernel may tell several classes of shapes
// apart ("small", "skewed"); the class "" is that of all others.
using LogErrors = std::map<std::string, std::array<double, 3>, std::less<>>;

// The values for one GPU.
class KernelParameters {
 public:
  KernelParameters() = default;
  KernelParameters(std::string kernel, NamedParameters parameters, Relation relation = Relation::FittedSystem,
                   LogErrors errors = {});

  const std::string& kernel() const { return kernel_; }
  // Throws InternalError for a name that the kernel does not declare.
  double at(std::string_view name) const { return parameter(name).value; }
  const Parameter& parameter(std::string_view name) const;
  const NamedParameters& all() const { return parameters_; }
  Relation relation() const { return relation_; }
  // Half-width of the 80 % interval of log(true / predicted) for this GPU; the class "" if `error_class` has none.
  double log_error(std::string_view error_class = "") const;

 private:
  std::string kernel_;
  NamedParameters parameters_;
  Relation relation_ = Relation::FittedSystem;
  LogErrors errors_;
};

// What one table contributed to a fit.
struct FittedTable {
  std::string file;    // "C1_gemm/h100_sxm__gemm.csv"
  std::string system;  // profile name
  std::string family;
  std::size_t rows = 0;
  double median = 0, p90 = 0;  // of |predicted / measured - 1|
};

// One file kernels/<kernel>.json (schema moesim.kernel/1): values of all scopes, and what they were fitted to.
struct KernelCalibration {
  std::string kernel;
  std::string mechanism;
  std::vector<FittedTable> tables;
  NamedParameters shared;
  std::vector<std::pair<std::string, NamedParameters>> families;
  std::vector<std::pair<std::string, NamedParameters>> systems;
  LogErrors errors;
  std::string attribution = "fitted to measurements of NVIDIA's aiconfigurator database (Apache-2.0), converted to CSV";
};

KernelCalibration read_kernel_calibration(const base::JsonNode& node);
base::Json to_json(const KernelCalibration& calibration);

// The declared start values, tagged `assumed`, for a kernel that was never fitted.
KernelCalibration uncalibrated(const KernelModel& model);

// By the family rule. `system` is a profile's name.
KernelParameters resolve(const KernelCalibration& calibration, std::string_view system, std::string_view family);

// How a parameter's owner is named where it is nobody's alone.
inline constexpr std::string_view kAllGpus = "all GPUs";
// The entry that the family rule takes a parameter from: "h100", "hopper" or kAllGpus. Null for an unknown name.
struct ParameterEntry {
  std::string of;
  Parameter* parameter = nullptr;
};
ParameterEntry parameter_entry(KernelCalibration& calibration, std::string_view name, std::string_view system,
                               std::string_view family);

// The family whose way of feeding the tensor cores a family inherits, "" for none: Ada and workstation Blackwell
// (sm_120, without tensor memory and wgmma) issue the warp-wide mma of Ampere.
std::string_view family_parent(std::string_view family);

// The shipped calibrations, by kernel name. Throws InputError for an unknown name.
std::shared_ptr<const KernelCalibration> kernel_calibration(std::string_view kernel);
std::vector<std::string> calibrated_kernels();

}  // namespace moesim::profile
