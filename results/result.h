// The result of one scenario as plain values: what it is, why, and from what it came. Written by sim/step, read by
// planning and report.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/units.h"

namespace moesim::results {

// What limits a phase or the whole.
struct Binding {
  std::string what;        // "NIC of gpu3 -> leaf3", "HBM of gpu5", "latency", "tensor cores of gpu0"
  std::string kind;        // "network", "nvlink", "pcie", "hbm", "tensor", "latency", "launch", ...: for grouping
  double utilisation = 0;  // of that resource while the phase ran, 0 ... 1 (of the phase's time for a latency)
  std::string shared{};    // phases whose transfers it carried meanwhile, too: "combine"
};

// One stretch of the chain of causes that ends at the last event.
struct CriticalStep {
  std::string what;  // "dispatch gpu3 -> gpu17"
  std::string phase;
  base::Duration start;
  base::Duration end;
  base::Duration launch;  // of it, until the first instruction
  Binding binding;
};

// The GPU that sends or receives most bytes in an exchange, and what it does to the others.
struct Skew {
  std::string gpu;             // "" for compute
  base::Duration time;         // from its own start until it has all that it receives
  base::Duration others_wait;  // from their own ends to that of the last GPU, mean over the other GPUs
  Binding link;                // the busiest link of the exchange
};

struct Phase {
  std::string name;             // "dispatch", "experts", "combine"
  base::Duration critical;      // its part of the critical path; the phases' parts add up to the total
  base::Duration fastest_rank;  // from the rank's own start to its end
  base::Duration mean_rank;
  base::Duration slowest_rank;
  base::Duration mean_late;  // of mean_rank: until the last of those that a rank receives from has started
  base::Duration mean_wait;  // from a rank's own end to that of the last, mean over the ranks
  base::Bytes sent;          // by all GPUs together, self-traffic excluded; 0 for compute
  base::Bandwidth per_gpu;   // busiest GPU's bytes (sent or received) over the time from first start to last end
  base::Bandwidth logical;   // as the kernel's authors count: per GPU, own share included, over the whole time; 0: none
  base::Bandwidth nic;       // per GPU, on the wire: bytes that leave the node over the whole time
  double imbalance = 1;      // busiest over mean GPU: bytes received, or selections computed
  Skew skew;
  double error = 0;  // half-width of the 80 % interval of its times, as a fraction; 0: none known
  Binding binding;
};

struct LinkUse {
  std::string name;  // "gpu3 -> nvswitch0"
  std::string kind;  // "nvlink", "pcie", "network", ...
  base::Bandwidth raw;
  base::Bytes bytes;
  double utilisation = 0;  // bytes over raw rate times total time
};

// How far a batched run was from an exact one of the same sample; relative.
struct BatchingError {
  std::string sample;  // "the whole layer"
  double mean_flow = 0;
  double largest_flow = 0;
  double total = 0;
};

// One of several layers that were run one after another.
struct LayerTime {
  std::int32_t layer = 0;
  base::Duration total;
  base::Duration lower_bound;
  Binding binding;
};

// What a GPU of the fullest pipeline stage holds.
struct MemoryUse {
  base::Bytes weights;
  base::Bytes caches;
  base::Bytes activations;
  base::Bytes communication;
  base::Bytes other;
  base::Bytes usable;
  std::int64_t largest_batch = 0;  // sequences of each copy of attention that would fit
};

// A step of a whole model, as its users count it.
struct Serving {
  std::string plan;                  // "TP4 x DP2, EP8"
  std::int64_t batch = 0;            // sequences that decode in each copy of attention
  std::int64_t sequences = 0;        // that decode, on all GPUs
  std::int64_t prefill_tokens = 0;   // of each copy of attention
  double tokens_per_step = 1;        // of a sequence, drafts that are accepted included
  base::Duration tpot;               // time per output token of a sequence; 0 without decode
  double tokens_per_s_per_user = 0;  // 1 / tpot
  double output_tokens_per_s_per_gpu = 0;
  double prefill_tokens_per_s_per_gpu = 0;
  base::Duration launch;            // launches and start-ups on the critical path
  base::Duration exposed;           // communication on the critical path
  base::Duration waiting;           // of a GPU in exchanges and collectives, mean over a stage's GPUs, stages added up:
                                    // nothing to compute, and a GPU that it receives from has not started
  std::optional<MemoryUse> memory;  // absent: not checked
};

struct Provenance {
  std::string version;
  std::string scenario_hash;
  std::string profile;  // name
  std::string profile_hash;
  std::string routing;  // source of the token routing
  std::string engine;
  double tolerance = 0;
};

struct Result {
  std::string name;     // the scenario's
  std::string cluster;  // "9 x hgx_h200"
  std::string model;
  std::string scope;  // "one MoE layer (layer 30 of deepseek-v3), decode"
  std::int32_t gpus = 0;
  std::int64_t tokens_per_gpu = 0;
  base::Duration total;
  double error = 0;                       // half-width of the 80 % interval of total, as a fraction; 0: none known
  base::Duration lower_bound;             // no schedule can be faster on these links and GPUs
  double tokens_per_s_per_gpu = 0;        // of this scope
  std::optional<Serving> serving;         // of a whole model's step
  std::vector<LayerTime> layers;          // where there are several; total is their sum
  std::optional<BatchingError> batching;  // with a tolerance
  std::vector<Phase> phases;
  Binding binding;                          // of the whole: where most of the critical path's time is spent
  std::vector<CriticalStep> critical_path;  // of several layers: of the slowest
  std::vector<LinkUse> links;               // busiest first, only those that carried something
  std::vector<std::string> assumptions;
  std::vector<std::string> not_modelled;
  std::vector<std::string> warnings;
  Provenance provenance;
  std::string scenario;  // its JSON text as run, all patches applied: running it again gives this result
};

// {"schema": "moesim.result/1", ...}; times in seconds, sizes in bytes, with the unit in each key.
base::Json to_json(const Result& result);

}  // namespace moesim::results
