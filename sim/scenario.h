// A scenario: what to simulate, as one JSON document. Each module reads its own section; this file only assembles.
// Relative paths in it (traces, counts, a model's config, a profile) count from its folder.
//
//   schema         "moesim.scenario/1"
//   name           for tables; default: the file's name
//   cluster        topology/cluster.h, or the name of a file that holds it, as `moesim topology check` reads
//   model          workloads/model.h
//   routing        workloads/routing_source.h
//   placement      workloads/placement_section.h; default: contiguous, ceil(experts / GPUs) slots per GPU
//   profile        calibration/profile/profile.h; default: that of the cluster's GPU
//   step           {"scope": "moe_layer", "layer": 30, "phase": "decode" | "prefill", "tokens_per_gpu": 128}
//                  layer counts decoder layers from 0, dense ones included; a list of layers, or "all" MoE layers, runs
//                  one after another, each with its own routing;
//                  "start_jitter": {"mean": "3 ms", "seed": 1} delays each GPU's first start by an exponentially
//                  distributed time (default: all start together)
//                  {"scope": "model", ...} runs all of a model's layers: sim/model_scenario.h
//   plan, memory   of scope "model"
//   communication  {"kernel": "auto", "dispatch": "fp8", "combine": "bf16", "sms": 20, "hook": true};
//                  bytes per token: workloads/model.h; kernels: sim/lowering/communication.h; sms: budget of
//                  deepep_normal; hook: false lets deepep_low_latency hold its SMs until its tokens are in
//   experts        {"kernel": "auto" | "roofline" | "grouped_gemm" | "wide_ep"}; sim/lowering/expert_layer.h
//   engine         {"name": "fluid" | "simgrid" | "bound", "tolerance": 0}
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "calibration/profile/profile.h"
#include "results/result.h"
#include "sim/lowering/communication.h"
#include "sim/lowering/expert_layer.h"
#include "sim/model_scenario.h"
#include "topology/cluster.h"
#include "workloads/model.h"
#include "workloads/placement.h"
#include "workloads/traffic.h"

namespace moesim::sim {

// One MoE layer with the tokens that its routing sends.
struct ScenarioLayer {
  std::int32_t layer = 0;  // among all decoder layers
  workloads::Placement placement;
  workloads::Traffic traffic;
  lowering::MoeTokens moe_tokens;  // for kernels other than "ideal"
};

struct Scenario {
  std::string name;
  topology::Cluster cluster;
  workloads::Model model;
  profile::Profile profile;
  std::vector<ScenarioLayer> layers;           // of scope "moe_layer"
  std::shared_ptr<const ModelScenario> whole;  // of scope "model", null otherwise
  std::string routing_source;                  // of the first layer
  bool routing_drawn = false;                  // by a seed, wholly or in part
  std::string placement_effect;                // what a placement other than contiguous does, in words
  std::string phase;
  std::int64_t tokens_per_gpu = 0;
  std::vector<base::Duration> start_delay;  // [GPUs], or empty
  std::string kernel;                       // as run: never "auto"
  std::string kernel_choice;                // why, where it was "auto"
  lowering::KernelOptions kernel_options;
  lowering::ExpertKernel expert_kernel = lowering::ExpertKernel::Roofline;
  base::Bytes dispatch_bytes;
  base::Bytes combine_bytes;
  std::string engine;
  double tolerance = 0;
  std::vector<std::string> warnings;
  std::string text;  // the document as run, patches applied: it reproduces the result
  std::string hash;
};

// Reads a document whose patches are applied. A result file ("moesim.result/1") stands for the scenario inside it.
// Throws InputError. The layers' traffic is made on `threads` threads; here and below the outcome is
// the same for any number.
Scenario read_scenario(const base::JsonDocument& document, int threads = 1);

// Each "path=value" of `sets` in turn. A relative path to a file that one of them brings counts from the current
// folder; what stands in a file counts from that file.
void apply_sets(base::JsonDocument& document, const std::vector<std::string>& sets);

// The paths in a scenario that `file` holds, or in a patch of one, as seen from anywhere.
void make_paths_absolute(base::Json& scenario, const std::string& file);

// load_json, apply_sets, read_scenario.
Scenario load_scenario(const std::string& path, const std::vector<std::string>& sets, int threads = 1);

// Layers run on `threads` threads.
results::Result run(const Scenario& scenario, int threads = 1);

}  // namespace moesim::sim
