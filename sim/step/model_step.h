// A forward pass of a whole model on a cluster: every decoder layer with attention, gate, experts or dense network, the
// collectives of tensor parallelism, the exchanges of expert parallelism, and the output head.
//
// Every GPU has a compute stream and a communication stream; tasks of a stream run one after another. A layer:
//
//   attention ─► (TP all-reduce) ─► gate ─► dispatch ─► experts ─► combine        tokens are dealt over the ranks
//                                       └─► shared expert ─┘
//   attention ─► all-reduce ─► gate ─► shared expert, experts ─► all-reduce        one copy of attention: every rank
//   has
//                                                                                  all tokens, no dispatch
//   attention ─► (all-reduce) ─► dense FFN ─► (all-reduce)                         a layer without experts
//
// Where tokens are dealt and attention has several tensor-parallel ranks, a reduce-scatter deals a copy's tokens to
// them and an all-gather brings the results back.
//
// overlap   none           shared expert and routed experts wait for each other; micro-batches one after another
//           shared_expert  the shared expert runs while tokens travel
//           two_batch      two micro-batches: one computes while the other's tokens travel; SMs that a communication
//                          kernel holds are taken from compute
// launch    graph          kernels follow each other with the start-up that their models have
//           eager          and a sequence of n kernels takes at least n host launches
// Pipeline stages run one after another; other micro-batches keep the other stages busy meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "results/result.h"
#include "sim/lowering/decoder_layer.h"
#include "sim/step/moe_layer.h"
#include "workloads/parallel_plan.h"

namespace moesim::step {

enum class Overlap : std::uint8_t { None, SharedExpert, TwoBatch };
enum class Launch : std::uint8_t { Graph, Eager };
std::string_view to_string(Overlap overlap);  // "none", "shared_expert", "two_batch"

// The host's time for one kernel launch without a CUDA graph (assumed).
inline constexpr base::Duration kHostLaunch{5e-6};

// Where the tokens of one micro-batch go in one MoE layer.
struct StepRouting {
  workloads::Placement placement;
  // Tokens dealt over the ranks of a stage:
  workloads::Traffic traffic;
  lowering::MoeTokens tokens;
  // Every rank has all tokens: selections by slot, of the whole copy.
  std::vector<std::int32_t> slot_tokens;
};

struct ModelStep {
  const topology::Cluster* cluster = nullptr;
  const workloads::Model* model = nullptr;
  const profile::Profile* profile = nullptr;
  workloads::ParallelPlan plan;
  const lowering::CommunicationKernel* kernel = nullptr;  // null: every rank has all tokens
  lowering::ExpertKernel expert_kernel = lowering::ExpertKernel::Roofline;
  std::string phase = "decode";
  base::Bytes dispatch_bytes;
  base::Bytes combine_bytes;
  Overlap overlap = Overlap::SharedExpert;
  Launch launch = Launch::Graph;
  // [copies of attention][micro-batches]; all have equally many tokens.
  std::vector<std::vector<lowering::PassTokens>> tokens;
  // [MoE layers, then one for each draft][micro-batches]
  const std::vector<std::vector<StepRouting>>* routing = nullptr;  // null: no experts
  std::int32_t drafts = 0;                  // tokens drafted one after another, each by one more MoE layer and the head
  std::vector<base::Duration> start_delay;  // [GPUs] when each is ready for the step; empty: all at 0

  std::int32_t micro_batches() const { return static_cast<std::int32_t>(tokens.front().size()); }
};

// Runs it and fills what follows from it: total, bound, phases, causes, links, intervals, assumptions. The guard rails
// are checked.
results::Result simulate_model_step(const ModelStep& step, const topology::Router& router, const LayerRun& run);

}  // namespace moesim::step
