// What a GPU must hold: weights, caches, activations, buffers; and how many sequences fit beside each other.
//
// All GPUs of a pipeline stage hold alike much: experts are counted in slots, which every expert-parallel rank has
// equally many of. Layers whose kind of attention or whose dense FFN a model does not place are taken to be spread
// evenly over the stages. Norms, biases, multi-token prediction and fragmentation are left to the reserve.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/units.h"
#include "workloads/model.h"
#include "workloads/parallel_plan.h"

namespace moesim::workloads {

struct MemoryRequest {
  base::Bytes capacity;              // of one GPU
  double utilization = 0.9;          // the part that may be used: the rest is for the driver, graphs and fragments
  double cache_element = 2;          // bytes of an element of key-value and latent caches and of windows
  double state_element = 4;          // of a state of linear attention or Mamba (fp32 in published configurations)
  std::int64_t sequence_tokens = 0;  // that one sequence has in the cache
  // Tokens of one forward pass in one copy of attention: at least prefill_tokens, and decode_tokens for each sequence.
  std::int64_t prefill_tokens = 0;
  double decode_tokens = 1;
  double expert_load = 1;     // tokens at the busiest expert-parallel rank over the mean
  base::Bytes communication;  // buffers of the communication kernels
  base::Bytes other;          // anything else, such as a draft model
};

// {"utilization": 0.9, "cache": "fp8", "prefill_tokens": 8192, "decode_tokens": 1, "other": "2 GB"}, each with the
// default above; "cache" is "bf16" or "fp8". The rest is the caller's.
MemoryRequest read_memory(const base::JsonNode* node, base::Bytes capacity);

// On one GPU of a stage.
struct GpuMemory {
  base::Bytes attention;  // weights: / tp, but for what tensor parallelism keeps whole
  base::Bytes routed;     // slots per rank / moe_tp
  base::Bytes shared;     // shared experts / tp
  base::Bytes dense;      // FFN of layers without experts / tp
  base::Bytes router;     // whole
  base::Bytes embedding;  // first stage, / tp
  base::Bytes output;     // last stage, / tp; tied to the embedding where both are in one stage
  base::Bytes caches;
  base::Bytes activations;
  base::Bytes communication;
  base::Bytes other;

  base::Bytes weights() const { return attention + routed + shared + dense + router + embedding + output; }
  base::Bytes total() const { return weights() + caches + activations + communication + other; }
};
// `sequences` of each copy of attention.
GpuMemory gpu_memory(const Model& model, const ParallelPlan& plan, const MemoryRequest& request, std::int32_t stage,
                     std::int64_t sequences);

// Caches and states of one sequence of `tokens` tokens on one GPU of a stage. Key-value heads are cut over tp (and
// copied where there are fewer), a latent is kept by every rank, a window holds at most its tokens.
base::Bytes cache_bytes(const Model& model, const ParallelPlan& plan, const MemoryRequest& request, std::int32_t stage,
                        std::int64_t tokens);

// Peak of a forward pass with `tokens` tokens and `sequences` sequences per copy of attention, in bf16: the residual
// and its normalised copy, beside the largest of a layer's parts (attention: queries, keys, values, outputs; FFN:
// input, gate, up and their product; experts: the same for every selection received; a latent is expanded to keys and
// values) or, in the last stage, the logits (fp32).
base::Bytes activation_bytes(const Model& model, const ParallelPlan& plan, std::int32_t stage, double tokens,
                             double sequences, double expert_load);

// The verdict on a number of sequences per copy of attention.
struct MemoryFit {
  std::int32_t stage = 0;  // the fullest
  GpuMemory use;           // there
  base::Bytes usable;      // utilization * capacity
  base::Bytes missing;     // 0 where it fits
  std::int64_t sequences = 0;
  std::int64_t largest = 0;  // number of sequences that would fit; 0 where not even one does

  bool fits() const { return missing <= base::Bytes(0); }
};
MemoryFit memory_fit(const Model& model, const ParallelPlan& plan, const MemoryRequest& request,
                     std::int64_t sequences);
// The largest batch per copy of attention; at most `limit`.
std::int64_t largest_batch(const Model& model, const ParallelPlan& plan, const MemoryRequest& request,
                           std::int64_t limit = std::int64_t{1} << 24);
// One line: "a GPU needs 95.8 GB of the 77.3 GB that may be used (90.0 % of 85.9 GB), 18.5 GB too much (weights
// 93.4 GB, caches 537 MB, activations 1.81 GB); not even one sequence fits". Sequences are those of one copy of
// attention.
std::string describe(const MemoryFit& fit, const MemoryRequest& request);

}  // namespace moesim::workloads
