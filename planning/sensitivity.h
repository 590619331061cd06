// What the result of scenarios rests on, and what to measure next: each number of their profiles that is uncertain,
// moved by its uncertainty, one at a time.
//
// Of a parameter v with the 80 % half-width w of log v, the effect on a time T is w dlog T / dlog v, from two runs at
// v e^w and v e^-w (a share stays at or below 1). Scenarios that take a parameter from the same entry (the same family,
// say) move together, so that a speedup T0 / T changes by the difference of both effects. Effects of parameters that
// were fitted together offset each other in part: they rank, and do not add up to the interval.
//
// Beside parameters, a kernel without a table of the scenario's GPU: with one, the interval that hold-outs show shrinks
// to that of a fitted system; its effect is what goes, sqrt(before^2 - after^2).
#pragma once

#include <string>
#include <vector>

#include "sim/scenario.h"

namespace moesim::planning {

struct UsedKernel {
  std::string name;
  profile::Relation relation = profile::Relation::FittedSystem;
  double error = 0;         // half-width of its 80 % interval, relative
  std::size_t assumed = 0;  // of its parameters, tagged so
};

// A scenario's profile, and what of it counts there.
struct ProfileCheck {
  std::string scenario, profile;
  double time_us = 0;
  double error = 0;                      // half-width of the 80 % interval of its time, relative
  std::vector<UsedKernel> kernels;       // those that change the time
  std::vector<std::string> assumptions;  // of numbers outside kernels
  bool complete() const;                 // every kernel fitted on this GPU, nothing assumed
};

struct Candidate {
  std::string kernel;     // "deepep_ll_dispatch"; "" for a number outside kernels
  std::string what;       // "a of hopper"; "a table of h200"
  std::string value;      // "6.5 us", "fitted on its family"
  double half_width = 0;  // of log(value)
  profile::Source source = profile::Source::Assumed;
  std::vector<double> time;     // [scenarios] effect on log(time): signed, for a larger value
  std::vector<double> speedup;  // [scenarios] effect on log(speedup against the baseline)
  double effect() const;        // largest of |speedup|; of |time| if there is one scenario
};

struct Sensitivity {
  std::size_t baseline = 0;
  std::vector<double> speedup;  // [scenarios] of tokens/s/GPU against the baseline
  std::vector<ProfileCheck> scenarios;
  std::vector<Candidate> candidates;  // largest effect first; those below 1e-4 left out
};

// Runs each scenario a few hundred times. Throws InputError for ideal profiles, which have nothing uncertain.
Sensitivity sensitivity(const std::vector<sim::Scenario>& scenarios, const std::string& baseline, int threads = 1);

}  // namespace moesim::planning
