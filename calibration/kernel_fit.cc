#include "calibration/kernel_fit.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "base/statistics.h"

namespace moesim::calibration {
namespace {

using profile::KernelParameters;
using profile::NamedParameters;
using profile::Parameter;
using profile::ParameterSpec;
using profile::Scope;
using profile::Source;

constexpr double kQuantile90 = 1.2815515655446004;
constexpr double kOtherMachine = 0.1;      // assumed: of log(value), between two machines of one kind
constexpr double kLoneMemberError = 0.25;  // of a mean over one member: how far others lie is not known

double rounded(double value) {
  const double unit = std::pow(10.0, std::floor(std::log10(value)) - 3);
  return std::stod(base::format_number(std::round(value / unit) * unit, 4));
}

std::string group_of(const ParameterSpec& spec, const KernelObservation& observation) {
  switch (spec.scope) {
    case Scope::Shared:
      return "";
    case Scope::Family:
      return observation.family;
    case Scope::System:
      return observation.system;
  }
  return "";
}

// The unknowns of a kernel: one per parameter and group, and which one a system takes for each parameter.
struct Layout {
  std::vector<Unknown> unknowns;
  std::vector<std::size_t> parameter;                         // [unknowns] index into the declarations
  std::vector<std::string> group;                             // [unknowns]
  std::map<std::string, std::vector<std::size_t>> of_system;  // -> [parameters] unknown
};

// The unknown of a parameter, with the declared prior or the shipped value as such.
Unknown unknown_of(const ParameterSpec& spec, const std::string& of, const KernelParameters* shipped) {
  Unknown unknown{std::string(spec.name) + of, spec.start, spec.lower, spec.upper, spec.prior_sigma, {}, false};
  if (shipped == nullptr) return unknown;
  const Parameter& known = shipped->parameter(spec.name);
  constexpr double kInside = 1.0001;  // of the bounds
  unknown.start = std::clamp(known.value, spec.lower * kInside, spec.upper / kInside);
  unknown.prior_sigma = std::hypot(std::log1p(known.relative_error) / kQuantile90, kOtherMachine);
  return unknown;
}

Layout lay_out(const profile::KernelModel& model, std::span<const KernelObservation> observations,
               const KernelParameters* shipped) {
  Layout layout;
  for (std::size_t p = 0; p < model.parameters.size(); ++p) {
    const ParameterSpec& spec = model.parameters[p];
    std::map<std::string, std::size_t> of_group;
    std::vector<std::string> groups;
    for (const KernelObservation& o : observations) groups.push_back(group_of(spec, o));
    for (std::size_t i = 0; i < observations.size(); ++i) {
      const auto [at, is_new] = of_group.try_emplace(groups[i], layout.unknowns.size());
      if (is_new) {
        const std::string of = groups[i].empty() ? "" : " of " + groups[i];
        layout.unknowns.push_back(unknown_of(spec, of, shipped));
        layout.parameter.push_back(p);
        layout.group.push_back(groups[i]);
      }
      layout.unknowns[at->second].rows.push_back(i);
      auto& own = layout.of_system[observations[i].system];
      own.resize(model.parameters.size());
      own[p] = at->second;
    }
  }
  return layout;
}

Predict predictor(const profile::KernelModel& model, std::span<const KernelObservation> observations,
                  const Layout& layout) {
  return [&model, observations, &layout](std::span<const double> values, std::span<const std::size_t> rows,
                                         std::span<double> predicted) {
    std::map<std::string_view, KernelParameters> of_system;
    for (const auto& [system, unknowns] : layout.of_system) {
      NamedParameters parameters;
      for (std::size_t p = 0; p < model.parameters.size(); ++p) {
        parameters.emplace_back(model.parameters[p].name, Parameter{});
        parameters.back().second.value = values[unknowns[p]];
      }
      of_system.emplace(system, KernelParameters(std::string(model.name), std::move(parameters)));
    }
    const KernelObservation* last = nullptr;
    const KernelParameters* parameters = nullptr;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const KernelObservation& observation = observations[rows[i]];
      if (last == nullptr || last->system != observation.system) parameters = &of_system.at(observation.system);
      last = &observation;
      predicted[i] = observation.predict(*parameters);
    }
  };
}

// The geometric mean of members, those that were fitted if there are any.
Parameter mean_of(const std::vector<Parameter>& members, const std::string& what) {
  std::vector<double> logs;
  double error = 0;
  bool fitted = false;
  for (const Parameter& member : members) fitted = fitted || member.source == Source::Fitted;
  for (const Parameter& member : members) {
    if (fitted && member.source != Source::Fitted) continue;
    logs.push_back(std::log(member.value));
    error = std::max(error, member.relative_error);
  }
  Parameter result = members.front();
  const double middle = base::mean(logs);
  double square = 0;
  for (const double x : logs) square += (x - middle) * (x - middle);
  result.value = rounded(std::exp(middle));
  result.source = fitted ? Source::Fitted : Source::Assumed;
  if (fitted) result.reference = "geometric mean of " + std::to_string(logs.size()) + " " + what;
  const double spread = logs.size() < 2
                            ? kLoneMemberError
                            : std::expm1(kQuantile90 * std::sqrt(square / static_cast<double>(logs.size() - 1)));
  result.relative_error = rounded(std::max(spread, error) + 1e-4);
  return result;
}

std::string percent(double fraction) { return base::format_number(100 * fraction, 2) + " %"; }

using Entries = std::vector<std::pair<std::string, NamedParameters>>;

void put(Entries& entries, const std::string& entry, std::string_view name, Parameter parameter) {
  auto found = std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.first == entry; });
  if (found == entries.end()) found = entries.insert(entries.end(), {entry, {}});
  found->second.emplace_back(name, std::move(parameter));
}

// Of a parameter that the rows do not identify: it is the known one, or that moved as far as they allow.
void keep_origin(const Parameter& known, Parameter& parameter) {
  constexpr double kMoved = 0.01;
  std::string origin = known.reference;
  if (const std::size_t at = origin.find('('); origin.starts_with(kAsShipped) || origin.starts_with(kMovedFrom))
    origin = origin.substr(at + 1, origin.size() - at - 2);
  const bool moved = std::abs(std::log(parameter.value / known.value)) > kMoved;
  parameter.source = known.source;
  parameter.reference =
      (moved ? std::string(kMovedFrom) + " " + base::format_number(known.value, 4) + ", rows that do not identify it ("
             : std::string(kAsShipped) + ", these rows say no more (") +
      origin + ")";
}

// Values of all scopes, from the narrowest to the widest.
profile::KernelCalibration collect(const profile::KernelModel& model,
                                   const std::map<std::string, std::string>& family_of, const Layout& layout,
                                   const FitResult& result, const std::string& reference,
                                   const KernelParameters* shipped) {
  profile::KernelCalibration calibration;
  calibration.kernel = model.name;
  calibration.mechanism = model.mechanism;
  for (std::size_t p = 0; p < model.parameters.size(); ++p) {
    const ParameterSpec& spec = model.parameters[p];
    std::map<std::string, std::vector<Parameter>> by_family;
    std::vector<Parameter> all;
    for (std::size_t k = 0; k < layout.unknowns.size(); ++k) {
      if (layout.parameter[k] != p) continue;
      const bool assumed = !result.values[k].identified;
      Parameter parameter{
          rounded(result.values[k].value), std::string(spec.unit), assumed ? Source::Assumed : Source::Fitted,
          assumed ? "not identified by the rows: start value, as far as they allow" : reference,
          layout.unknowns[k].fixed ? 0.5 : rounded(std::expm1(kQuantile90 * result.values[k].log_sd) + 1e-4)};
      if (assumed && shipped != nullptr) keep_origin(shipped->parameter(spec.name), parameter);
      all.push_back(parameter);
      const std::string& group = layout.group[k];
      if (spec.scope == Scope::Family) put(calibration.families, group, spec.name, parameter);
      if (spec.scope == Scope::System) {
        put(calibration.systems, group, spec.name, parameter);
        by_family[family_of.at(group)].push_back(parameter);
      }
    }
    std::vector<Parameter> families;
    for (const auto& [family, members] : by_family) {
      families.push_back(mean_of(members, members.size() == 1 ? "system of the family" : "systems of the family"));
      put(calibration.families, family, spec.name, families.back());
    }
    if (spec.scope == Scope::Shared)
      calibration.shared.emplace_back(spec.name, all.front());
    else
      calibration.shared.emplace_back(spec.name, mean_of(spec.scope == Scope::System ? families : all, "families"));
  }
  return calibration;
}

}  // namespace

KernelFit fit_kernel(const profile::KernelModel& model, std::span<const KernelObservation> observations,
                     std::span<const std::string> tables, const FitOptions& options, const KernelParameters* shipped) {
  if (observations.empty())
    throw base::InputError("", "", "no row of kernel \"" + std::string(model.name) + "\" to fit");
  Layout layout = lay_out(model, observations, shipped);
  std::vector<Measured> measured;
  std::map<std::string, std::string> family_of;
  for (const KernelObservation& o : observations) {
    measured.push_back(o.measured);
    family_of[o.system] = o.family;
  }
  const Predict predict = predictor(model, observations, layout);

  // What the rows do not identify and no prior holds stays at its start value.
  KernelFit fitted;
  FitOptions marked = options;
  marked.refuse = false;
  FitResult result = fit(layout.unknowns, measured, predict, marked);
  const auto loose = [&](std::size_t k) {
    return !result.values[k].identified && !layout.unknowns[k].fixed && layout.unknowns[k].prior_sigma == 0;
  };
  for (bool again = true; again;) {
    again = false;
    for (std::size_t k = 0; k < layout.unknowns.size(); ++k) {
      if (!loose(k)) continue;
      layout.unknowns[k].fixed = true;
      again = true;
    }
    if (again) result = fit(layout.unknowns, measured, predict, marked);
  }
  for (std::size_t k = 0; k < layout.unknowns.size(); ++k) {
    if (layout.unknowns[k].fixed) result.values[k].identified = false;
    if (!result.values[k].identified) fitted.assumed.push_back(layout.unknowns[k].name);
  }
  for (std::size_t k = 0; k < layout.unknowns.size(); ++k)
    if (result.values[k].at_bound) fitted.at_bound.push_back(layout.unknowns[k].name);

  std::vector<double> absolute;
  for (const double e : result.log_errors) absolute.push_back(std::abs(std::expm1(e)));
  const std::string reference = std::to_string(observations.size()) + " rows of " + std::to_string(tables.size()) +
                                (tables.size() == 1 ? " table" : " tables") + ", residual median " +
                                percent(base::quantile(absolute, 0.5)) + ", p90 " +
                                percent(base::quantile(absolute, 0.9));
  fitted.calibration = collect(model, family_of, layout, result, reference, shipped);

  // Score what is shipped: rounded values, found by the family rule.
  std::map<std::string, KernelParameters> fitted_values;
  std::vector<std::vector<double>> of_table(tables.size());
  for (const auto& [system, family] : family_of)
    fitted_values.emplace(system, profile::resolve(fitted.calibration, system, family));
  std::vector<const KernelObservation*> example(tables.size(), nullptr);
  for (const KernelObservation& o : observations) {
    fitted.log_errors.push_back(std::log(o.predict(fitted_values.at(o.system)) / o.measured.value));
    of_table[o.table].push_back(std::abs(std::expm1(fitted.log_errors.back())));
    example[o.table] = &o;
  }
  for (std::size_t t = 0; t < tables.size(); ++t) {
    if (example[t] == nullptr) continue;
    fitted.calibration.tables.push_back({tables[t], example[t]->system, example[t]->family, of_table[t].size(),
                                         rounded(base::quantile(of_table[t], 0.5)),
                                         rounded(base::quantile(of_table[t], 0.9))});
  }
  return fitted;
}

}  // namespace moesim::calibration
