#include "planning/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "base/parallel.h"
#include "planning/compare.h"

namespace moesim::planning {
namespace {

using profile::KernelCalibration;
using profile::Parameter;
using profile::Profile;
using profile::Relation;
using profile::Source;

constexpr double kNoEffect = 1e-4;
constexpr double kProbe = 0.1;  // of log(value): enough to show whether a kernel counts

// One scenario under changes of its profile.
class Probe {
 public:
  explicit Probe(const sim::Scenario& scenario) : scenario_(scenario) { base_ = run(); }

  const results::Result& base() const { return base_; }
  Profile& profile() { return scenario_.profile; }
  results::Result run() const { return sim::run(scenario_); }
  // log(time) over that of the unchanged scenario.
  double change() const { return std::log(run().total / base_.total); }

  // Its own calibration of a kernel from now on, that it had anyway.
  std::shared_ptr<KernelCalibration> own(const std::string& kernel) {
    const auto known = scenario_.profile.calibration(kernel);
    if (known == nullptr) return nullptr;
    auto copy = std::make_shared<KernelCalibration>(*known);
    auto& kernels = scenario_.profile.kernels;
    std::erase_if(kernels, [&](const auto& k) { return k->kernel == kernel; });
    kernels.push_back(copy);
    return copy;
  }

 private:
  sim::Scenario scenario_;
  results::Result base_;
};

struct Effect {
  std::string kernel, what, value;
  double half_width = 0;
  Source source = Source::Assumed;
  double on_time = 0;
};

// Whose parameter it is, where a kernel's shared ones are only of GPUs that it runs on.
std::string owner(const std::string& kernel, const std::string& of) {
  if (of != profile::kAllGpus) return of;
  return of + (kernel.ends_with("_pcie") ? " over PCIe" : "");
}

// d log T of a value moved by its half-width, by setting it.
template <class Set>
double effect_of(const Probe& probe, double value, double half_width, bool is_share, Set set) {
  const double most = is_share && value <= 1 ? 1 : value * 1e9;
  const double up = std::min(value * std::exp(half_width), most), down = value * std::exp(-half_width);
  set(up);
  const double above = probe.change();
  set(down);
  const double below = probe.change();
  set(value);
  return (above - below) / std::log(up / down) * half_width;
}

// Those kernels that change the scenario's time.
std::vector<std::string> used_kernels(Probe& probe) {
  std::vector<std::string> names = profile::calibrated_kernels();
  for (const auto& own : probe.profile().kernels)
    if (std::find(names.begin(), names.end(), own->kernel) == names.end()) names.push_back(own->kernel);
  std::vector<std::string> used;
  for (const std::string& name : names) {
    const auto before = probe.profile().kernels;
    const auto calibration = probe.own(name);
    const std::string system = probe.profile().name, family = probe.profile().family;
    for (const auto& [parameter, value] : KernelCalibration(*calibration).shared) {
      Parameter* entry = profile::parameter_entry(*calibration, parameter, system, family).parameter;
      entry->value *= entry->unit == "1" && entry->value <= 1 ? std::exp(-kProbe) : std::exp(kProbe);
    }
    if (std::abs(probe.change()) > 1e-12) used.push_back(name);
    probe.profile().kernels = before;
  }
  return used;
}

void parameter_effects(Probe& probe, const std::string& kernel, std::vector<Effect>& effects) {
  const auto calibration = probe.own(kernel);
  const std::string system = probe.profile().name, family = probe.profile().family;
  std::vector<std::string> names;
  for (const auto& [name, value] : calibration->shared) names.push_back(name);
  for (const std::string& name : names) {
    const auto entry = profile::parameter_entry(*calibration, name, system, family);
    Parameter& parameter = *entry.parameter;
    const double half_width = std::log1p(parameter.relative_error);
    if (half_width < kNoEffect) continue;
    const double on_time = effect_of(probe, parameter.value, half_width, parameter.unit == "1",
                                     [&](double value) { parameter.value = value; });
    effects.push_back({kernel, name + " of " + owner(kernel, entry.of),
                       base::format_number(parameter.value) + (parameter.unit == "1" ? "" : " " + parameter.unit),
                       half_width, parameter.source, on_time});
  }
}

// What a table of this GPU would take off the interval.
void table_effect(Probe& probe, const UsedKernel& kernel, std::vector<Effect>& effects) {
  if (kernel.relation == Relation::FittedSystem) return;
  const auto before = probe.profile().kernels;
  const auto calibration = probe.own(kernel.name);
  calibration->tables.push_back({"", probe.profile().name, probe.profile().family, 0, 0, 0});
  const double now = std::log1p(probe.base().error), then = std::log1p(probe.run().error);
  probe.profile().kernels = before;
  effects.push_back({kernel.name, "a table of " + probe.profile().name,
                     kernel.relation == Relation::SameFamily ? "fitted on its family" : "fitted on other families",
                     std::log1p(kernel.error), Source::Fitted, std::sqrt(std::max(0.0, now * now - then * then))});
}

template <class T>
void number_effect(Probe& probe, const std::string& what, profile::Sourced<T>& number, bool is_share,
                   const std::string& text, std::vector<Effect>& effects) {
  const double half_width = std::log1p(number.relative_error);
  double value = 0;
  if constexpr (std::is_same_v<T, double>)
    value = number.value;
  else
    value = number.value.value();
  if (half_width < kNoEffect || value <= 0) return;
  const double on_time = effect_of(probe, value, half_width, is_share, [&](double moved) { number.value = T(moved); });
  effects.push_back({"", what, text, half_width, number.source, on_time});
}

void number_effects(Probe& probe, std::vector<Effect>& effects) {
  Profile& profile = probe.profile();
  const std::string of = " of " + profile.name;
  number_effect(probe, "kernel launch" + of, profile.launch, false, base::to_string(profile.launch.value), effects);
  for (const auto& [name, link] : {std::pair("NVLink", &profile.links.nvlink), std::pair("PCIe", &profile.links.pcie),
                                   std::pair("network", &profile.links.network)}) {
    if (link->share)
      number_effect(probe, std::string(name) + " share" + of, *link->share, true,
                    base::format_number(link->share->value), effects);
    if (link->latency)
      number_effect(probe, std::string(name) + " latency" + of, *link->latency, false,
                    base::to_string(link->latency->value), effects);
  }
}

ProfileCheck check_of(Probe& probe, const std::string& name, const std::vector<std::string>& used) {
  ProfileCheck check;
  check.scenario = name;
  check.profile = probe.profile().name;
  check.time_us = probe.base().total.value() * 1e6;
  check.error = probe.base().error;
  check.assumptions = probe.profile().assumptions();
  for (const std::string& kernel : used) {
    const profile::KernelParameters parameters = probe.profile().kernel(kernel);
    UsedKernel u{kernel, parameters.relation(), std::expm1(parameters.log_error()), 0};
    for (const auto& [key, parameter] : parameters.all()) u.assumed += parameter.source == Source::Assumed ? 1 : 0;
    check.kernels.push_back(std::move(u));
  }
  return check;
}

}  // namespace

bool ProfileCheck::complete() const {
  return assumptions.empty() && std::all_of(kernels.begin(), kernels.end(), [](const UsedKernel& k) {
           return k.relation == Relation::FittedSystem && k.assumed == 0;
         });
}

double Candidate::effect() const {
  const std::vector<double>& effects = time.size() == 1 ? time : speedup;
  double largest = 0;
  for (const double e : effects) largest = std::max(largest, std::abs(e));
  return largest;
}

Sensitivity sensitivity(const std::vector<sim::Scenario>& scenarios, const std::string& baseline, int threads) {
  for (const sim::Scenario& scenario : scenarios) {
    if (scenario.profile.ideal)
      throw base::InputError("", "", "\"" + scenario.name + "\" has the profile \"ideal\", which is exact",
                             "a scenario with a GPU's profile");
  }
  Sensitivity out;
  const results::Comparison comparison = compare(scenarios, baseline, threads);
  out.baseline = comparison.baseline;
  out.speedup = comparison.speedup;
  out.scenarios.resize(scenarios.size());
  std::vector<std::vector<Effect>> effects(scenarios.size());
  const bool alone =
      std::any_of(scenarios.begin(), scenarios.end(), [](const auto& s) { return s.engine == "simgrid"; });
  base::parallel_for(scenarios.size(), alone ? 1 : threads, [&](std::size_t i) {
    Probe probe(scenarios[i]);
    const std::vector<std::string> used = used_kernels(probe);
    out.scenarios[i] = check_of(probe, scenarios[i].name, used);
    for (const UsedKernel& kernel : out.scenarios[i].kernels) {
      table_effect(probe, kernel, effects[i]);
      parameter_effects(probe, kernel.name, effects[i]);
    }
    number_effects(probe, effects[i]);
  });
  std::map<std::pair<std::string, std::string>, std::size_t> known;
  for (std::size_t i = 0; i < scenarios.size(); ++i) {
    for (const Effect& e : effects[i]) {
      const auto [at, fresh] = known.try_emplace({e.kernel, e.what}, out.candidates.size());
      if (fresh)
        out.candidates.push_back({e.kernel, e.what, e.value, e.half_width, e.source,
                                  std::vector<double>(scenarios.size()), std::vector<double>(scenarios.size())});
      out.candidates[at->second].time[i] = e.on_time;
    }
  }
  for (Candidate& c : out.candidates)
    for (std::size_t i = 0; i < scenarios.size(); ++i) c.speedup[i] = c.time[out.baseline] - c.time[i];
  std::erase_if(out.candidates, [](const Candidate& c) { return c.effect() < kNoEffect; });
  std::stable_sort(out.candidates.begin(), out.candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.effect() > b.effect(); });
  return out;
}

}  // namespace moesim::planning
