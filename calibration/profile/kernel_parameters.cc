#include "calibration/profile/kernel_parameters.h"

#include <algorithm>
#include <mutex>

#include "base/embedded.h"

namespace moesim::profile {

namespace kernels {
std::span<const base::EmbeddedFile> embedded_presets();
}

std::string_view to_string(Scope scope) {
  switch (scope) {
    case Scope::Shared:
      return "shared";
    case Scope::Family:
      return "family";
    case Scope::System:
      return "system";
  }
  return "shared";
}

std::string_view to_string(Relation relation) {
  switch (relation) {
    case Relation::FittedSystem:
      return "fitted_system";
    case Relation::SameFamily:
      return "same_family";
    case Relation::OtherFamily:
      return "other_family";
  }
  return "other_family";
}

KernelParameters::KernelParameters(std::string kernel, NamedParameters parameters, Relation relation, LogErrors errors)
    : kernel_(std::move(kernel)), parameters_(std::move(parameters)), relation_(relation), errors_(std::move(errors)) {}

const Parameter& KernelParameters::parameter(std::string_view name) const {
  for (const auto& [key, parameter] : parameters_)
    if (key == name) return parameter;
  throw base::InternalError("kernel \"" + kernel_ + "\" declares no parameter \"" + std::string(name) + "\"");
}

double KernelParameters::log_error(std::string_view error_class) const {
  auto found = errors_.find(error_class);
  if (found == errors_.end()) found = errors_.find("");
  return found == errors_.end() ? 0 : found->second[static_cast<std::size_t>(relation_)];
}

KernelCalibration uncalibrated(const KernelModel& model) {
  KernelCalibration calibration{
      std::string(model.name), std::string(model.mechanism), {}, {}, {}, {}, {}, "not fitted"};
  for (const ParameterSpec& spec : model.parameters) {
    calibration.shared.emplace_back(
        spec.name, Parameter{spec.start, std::string(spec.unit), Source::Assumed, "start value of the fit", 0.5});
  }
  return calibration;
}

std::string_view family_parent(std::string_view family) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kParents{
      {{"ada", "ampere"}, {"blackwell_sm120", "ada"}}};
  for (const auto& [child, parent] : kParents)
    if (child == family) return parent;
  return "";
}

namespace {

const Parameter* find(const NamedParameters& parameters, std::string_view name) {
  for (const auto& [key, parameter] : parameters)
    if (key == name) return &parameter;
  return nullptr;
}

const Parameter* find(const std::vector<std::pair<std::string, NamedParameters>>& entries, std::string_view entry,
                      std::string_view name) {
  for (const auto& [key, parameters] : entries)
    if (key == entry) return find(parameters, name);
  return nullptr;
}

}  // namespace

KernelParameters resolve(const KernelCalibration& calibration, std::string_view system, std::string_view family) {
  NamedParameters resolved;
  for (const auto& [name, shared] : calibration.shared) {
    const Parameter* parameter = find(calibration.systems, system, name);
    for (std::string_view f = family; parameter == nullptr && !f.empty(); f = family_parent(f))
      parameter = find(calibration.families, f, name);
    resolved.emplace_back(name, parameter == nullptr ? shared : *parameter);
  }
  Relation relation = Relation::OtherFamily;
  for (const FittedTable& table : calibration.tables) {
    if (table.system == system) relation = Relation::FittedSystem;
    if (table.family == family && relation == Relation::OtherFamily) relation = Relation::SameFamily;
  }
  return {calibration.kernel, std::move(resolved), relation, calibration.errors};
}

ParameterEntry parameter_entry(KernelCalibration& calibration, std::string_view name, std::string_view system,
                               std::string_view family) {
  const auto in = [&](std::string_view entry, auto& entries) -> Parameter* {
    return const_cast<Parameter*>(find(entries, entry, name));  // NOLINT: the calibration itself is not constant
  };
  if (Parameter* own = in(system, calibration.systems)) return {std::string(system), own};
  for (std::string_view f = family; !f.empty(); f = family_parent(f))
    if (Parameter* own = in(f, calibration.families)) return {std::string(f), own};
  return {std::string(kAllGpus), const_cast<Parameter*>(find(calibration.shared, name))};  // NOLINT
}

std::shared_ptr<const KernelCalibration> kernel_calibration(std::string_view kernel) {
  // Read once each: the tasks of a step ask for them thousands of times.
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<const KernelCalibration>, std::less<>> read;
  const std::scoped_lock lock(mutex);
  if (const auto found = read.find(kernel); found != read.end()) return found->second;
  for (const base::EmbeddedFile& file : kernels::embedded_presets()) {
    if (file.name != kernel) continue;
    const auto document = base::parse_json(file.text, std::string(kernel) + " (kernel calibration)");
    auto calibration = std::make_shared<const KernelCalibration>(read_kernel_calibration(base::JsonNode(document)));
    return read.emplace(kernel, std::move(calibration)).first->second;
  }
  throw base::InputError(
      "", "",
      "no calibration of kernel \"" + std::string(kernel) + "\"" + base::suggestion(kernel, calibrated_kernels()),
      "a kernel that `moesim calibrate fit --all` has fitted");
}

std::vector<std::string> calibrated_kernels() {
  std::vector<std::string> names;
  for (const base::EmbeddedFile& file : kernels::embedded_presets()) names.emplace_back(file.name);
  return names;
}

}  // namespace moesim::profile
