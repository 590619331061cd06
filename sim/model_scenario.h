// The sections of a scenario whose step is a whole model (step.scope "model"): what is computed for how many sequences,
// how the model is spread, and whether it fits.
//
//   step    {"scope": "model", "phase": "decode" | "prefill",
//            "batch": 128 | "largest"    sequences that decode in each copy of attention; "largest": as many as fit
//            "kv_tokens": 4096           in the cache of a sequence, or {"mean": 4096, "distribution": "fixed" |
//                                        "uniform" | "exponential", "seed": 1}: lengths are drawn for each sequence
//            "prefill_tokens": 8192      of prompts, in each copy of attention; beside a batch: chunked prefill
//            "prompt_tokens": 4096       length of the prompts; default: prefill_tokens
//            "micro_batches": 1          2 with overlap "two_batch"
//            "overlap": "shared_expert" | "none" | "two_batch",  "launch": "graph" | "eager"
//            "speculative": {"draft_tokens": 1, "acceptance": 0.8}    tokens drafted for each sequence, each accepted
//                                        with this probability if those before it were
//            "start_jitter": as in scope "moe_layer"}
//   plan    workloads/parallel_plan.h; default: attention and experts on all GPUs (attention_dp = ep = GPUs)
//   memory  workloads/memory.h; what does not fit is an InputError
//
// communication.kernel "all_reduce" is of plans with one copy of attention: all GPUs have all tokens. "auto" takes it
// there, and "allgather_reducescatter" where experts are cut over ranks (moe_tp).
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "sim/lowering/communication.h"
#include "sim/step/model_step.h"
#include "workloads/memory.h"
#include "workloads/parallel_plan.h"

namespace moesim::sim {

struct ModelScenario {
  workloads::ParallelPlan plan;
  bool redundant_given = false;  // in the plan section
  std::int64_t batch = 0;
  std::int64_t prefill_tokens = 0;
  std::int64_t prompt_tokens = 0;
  double kv_mean = 0;
  std::vector<double> kv_of_copy;  // [copies of attention] mean over its sequences
  std::int32_t micro_batches = 1;
  step::Overlap overlap = step::Overlap::SharedExpert;
  step::Launch launch = step::Launch::Graph;
  std::int32_t draft_tokens = 0;
  double acceptance = 0;
  bool dealt = true;  // tokens are dispatched; else every GPU of a stage has all of them at its experts
  workloads::MemoryRequest memory;
  std::optional<workloads::MemoryFit> fit;              // absent: not checked
  std::vector<std::vector<step::StepRouting>> routing;  // [MoE layers, then drafts][micro-batches]
  bool routing_drawn = false;                           // by a seed, wholly or in part
  std::vector<std::string> notes;

  // How many prompts prefill_tokens are, the last one perhaps cut.
  std::int64_t prompts() const;
  // Mean output tokens of a sequence in one step: 1 + a + ... + a^drafts.
  double accepted_tokens() const;
  // Tokens of one copy of attention in micro-batch b.
  lowering::PassTokens pass(std::int32_t copy, std::int32_t b) const;
};

// Reads step and plan; everything but memory and routing.
ModelScenario read_model_step(const base::JsonObject& root, const workloads::Model& model, std::int32_t gpus,
                              std::string& phase);
// Reads memory, resolves the batch "largest" and checks that all fits.
void check_memory(const base::JsonObject& root, const workloads::Model& model, const profile::Profile& profile,
                  const std::string& kernel, ModelScenario& scenario);

// The GPUs of one pipeline stage as a cluster of their own, for checks of kernels.
topology::Cluster stage_cluster(const topology::Cluster& cluster, const workloads::ParallelPlan& plan,
                                std::int32_t stage);

// What makes the routing of all layers.
struct RoutingInputs {
  const base::JsonObject* root = nullptr;
  const topology::Cluster* cluster = nullptr;
  const workloads::Model* model = nullptr;
  const profile::Profile* profile = nullptr;
  const lowering::CommunicationKernel* kernel = nullptr;  // null: not dealt
  base::Bytes bytes_both_ways;                            // of a token
  int threads = 1;
};
// Fills scenario.routing. Returns the source of the first layer's tokens.
std::string make_model_routing(const RoutingInputs& inputs, ModelScenario& scenario,
                               std::vector<std::string>& warnings);

// Fills what follows from plan and memory.
void fill_serving(const ModelScenario& scenario, const std::string& phase, results::Result& result);
// "decode step of DeepSeek-V3, 128 sequences per copy of attention with 4096 tokens in the cache, DP72, EP72".
std::string scope_of(const ModelScenario& scenario, const workloads::Model& model, const std::string& phase);

}  // namespace moesim::sim
