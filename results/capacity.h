// How many GPUs of each kind serve a load: plain values, written by planning, read by report.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/units.h"
#include "results/curve.h"

namespace moesim::results {

// What an instance does with one batch, in a steady state.
struct ServingRun {
  StepRun step;  // users: 1 / mean time per output token, parts and binding of steps that carry prompts
  base::Duration first_token;
  double prompt_share = 0;  // of the steps that carry prompts
};

struct CapacityChoice {
  std::string name;          // of the scenario
  std::string cluster;       // "9 x hgx_h200"
  std::string option, plan;  // the best of those tried
  std::int32_t gpus = 0;     // of an instance
  std::int64_t instances = 0;
  std::int64_t low = 0, high = 0;  // instances, 80 % interval
  double reached = 1;              // of the draws, those in which the targets can be met at all
  double load = 0;                 // share of what the instances could serve
  double requests_per_s = 0;       // that an instance serves at most
  double output_tokens_per_s_per_gpu = 0;
  double batch = 0;  // requests that run in each copy of attention
  base::Duration per_token, first_token;
  std::string limit;        // what keeps an instance from serving more
  ServingRun near;          // the run nearest to it
  double price = 0;         // of a GPU for an hour; 0: not told
  std::string unreachable;  // why no number of instances serves it, "" if some does
  std::vector<ServingRun> runs;
  std::vector<std::string> refused;  // options that cannot be, and why

  std::int64_t all_gpus() const { return instances * gpus; }
  double price_per_hour() const { return price * static_cast<double>(all_gpus()); }
};

struct Capacity : SearchRecord {
  std::string model;
  double requests_per_s = 0;
  std::int64_t input_tokens = 0, output_tokens = 0;  // of a request
  base::Duration per_token, first_token;             // at most; first_token 0: not asked for
  std::vector<CapacityChoice> choices;               // best first: cheapest, or with the fewest GPUs
  bool priced = false;                               // all choices have a price
};

// "moesim.capacity/1".
base::Json to_json(const Capacity& capacity);

}  // namespace moesim::results
