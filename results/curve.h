// Throughput against interactivity, and where a speedup comes from: plain values, written by planning, read by report.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "results/result.h"

namespace moesim::results {

// A part of a step's time whose model is wrong by an unknown factor.
struct TimePart {
  std::string parameters;  // whose parameters: parts of two results that name the same ones are wrong together
  double share = 0;        // of the step's time
  double error = 0;        // half-width of the 80 % interval of its time, as a fraction; 0: none known
};

// One decode step, as far as curves need it.
struct StepRun {
  std::string option;  // what was chosen where a cluster has options, "" otherwise
  std::string plan;    // "DP72, EP72"
  std::int32_t gpus = 0;
  std::int64_t batch = 0;  // sequences in each copy of attention
  std::int64_t largest_batch = 0;
  double sequences_per_gpu = 0;
  double tokens_per_step = 1;  // of a sequence, drafts that are accepted included
  double users = 0;            // tokens/s/user
  double per_gpu = 0;          // output tokens/s/GPU
  double exposed = 0;          // share of the time in which nothing but communication is on the critical path
  double launch = 0;           // share of launches and start-ups
  std::string longest;         // phase with the largest part of the critical path
  double longest_share = 0;
  Binding binding;  // of that phase
  std::vector<TimePart> parts;
  std::string scenario_hash, profile_hash;
};

// The best that a cluster does with at least so many tokens/s/user.
struct OperatingPoint {
  double users = 0;           // asked for
  double per_gpu = 0;         // output tokens/s/GPU; 0 where it is out of reach
  double batch = 0;           // per copy of attention, interpolated between the runs on both sides
  bool memory_bound = false;  // all that fits is still faster than asked for
  std::string option;
  std::string unreachable;  // why, where it is
  StepRun near;             // the run nearest to it

  bool reached() const { return per_gpu > 0; }
};

// A ratio with its 80 % interval. value 0: one of both is out of reach.
struct Ratio {
  double value = 0;
  double low = 0, high = 0;
  double reached = 1;  // of the draws, those in which both reach the point
};

struct ClusterCurve {
  std::string name;
  std::string cluster;
  std::int32_t gpus = 0;
  std::vector<StepRun> runs;           // by option, then batch
  std::vector<OperatingPoint> points;  // [users]
  std::int64_t options = 0;
  std::int64_t pruned = 0;           // runs left out because a bound shows that they cannot matter
  std::vector<std::string> refused;  // options that cannot be, and why
};

// What searches tell of themselves.
struct SearchRecord {
  std::int64_t draws = 0;
  std::int64_t runs = 0;
  std::string sampling;  // what of the model was run, "" for all of it
  std::string version;
  std::string inputs;  // JSON: scenarios and options, from which it can be repeated
  std::vector<std::string> assumptions, not_modelled, warnings;
};
void add_record(const SearchRecord& record, base::Json& json);

struct CurveComparison : SearchRecord {
  std::string model;
  std::string scope;
  std::vector<double> users;  // tokens/s/user asked for, ascending
  std::size_t baseline = 0;
  std::vector<ClusterCurve> clusters;
  std::vector<std::vector<Ratio>> speedup;  // [clusters][users] over the baseline
  bool series = false;                      // the clusters are one with a value varied, in that order
};

struct FactorPart {
  std::string name;
  std::string group;     // what it is counted under, "" for itself
  std::string what;      // in words
  double factor = 1;     // what it multiplies throughput by
  double log_part = 0;   // its logarithm
  double log_error = 0;  // standard error of drawn orders
  double alone = 1;      // switched on first, by itself
  double last = 1;       // switched on last
};

struct Elasticity {
  std::string resource;
  double baseline = 0, target = 0;  // relative change of tokens/s/GPU with 10 % more of it
};

// One operating point of a waterfall.
struct WaterfallPoint {
  double users = 0;
  OperatingPoint baseline, target;
  Ratio speedup;
  std::vector<FactorPart> parts;  // logarithms add up to that of the speedup
  std::vector<Elasticity> elasticities;
  std::string unreachable;  // why there are no parts
};

struct Waterfall {
  std::string name;
  std::string baseline, target;
  std::string model;
  std::vector<WaterfallPoint> points;
  std::int64_t orders = 0;   // drawn; 0: all subsets
  std::int64_t hybrids = 0;  // at one point
  std::int64_t runs = 0;
  std::uint64_t seed = 0;
  std::string sampling;
  std::string version;
  std::string inputs;  // JSON: scenarios, factors and options, from which it can be repeated
  std::vector<std::string> not_modelled, warnings;
};

// "moesim.curve/1", "moesim.waterfall_result/1".
base::Json to_json(const CurveComparison& curve);
base::Json to_json(const StepRun& run);
base::Json to_json(const Waterfall& waterfall);
// One line for every cluster and operating point, with a header.
std::string to_csv(const CurveComparison& curve);

}  // namespace moesim::results
