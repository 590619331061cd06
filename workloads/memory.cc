#include "workloads/memory.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "workloads/parameters.h"

namespace moesim::workloads {
namespace {

using base::Bytes;

constexpr double kBf16 = 2, kFp32 = 4;

Bytes stored(double weights, WeightFormat format) { return Bytes(weights * bits_per_weight(format) / 8); }

// The part of a model's layers of one kind that a stage has.
double stage_share(const ParallelPlan& plan, const Model& model, std::int32_t stage) {
  return static_cast<double>(stage_layers(plan, model, stage).count) / model.layers;
}

// How many layers of a stage have a dense FFN.
double dense_layers(const ParallelPlan& plan, const Model& model, std::int32_t stage) {
  if (model.dense_ffn_layers != model.layers - model.moe_layers())
    return model.dense_ffn_layers * stage_share(plan, model, stage);
  return stage_layers(plan, model, stage).count - stage_moe_layers(plan, model, stage);
}

bool last(const ParallelPlan& plan, std::int32_t stage) { return stage == plan.pp - 1; }

GpuMemory weights_of(const Model& m, const ParallelPlan& plan, std::int32_t stage) {
  GpuMemory use;
  const double moe_layers = stage_moe_layers(plan, m, stage), hidden = m.hidden, tp = plan.tp;
  for (const Attention& attention : m.attention)
    use.attention += stored(attention.layers * stage_share(plan, m, stage) *
                                attention_parameters(tensor_parallel_share(attention, plan.tp), m.hidden),
                            m.other_weights);
  use.routed = expert_bytes(m) * (moe_layers * plan.slots_per_rank(m) / plan.moe_tp);
  use.shared =
      stored(moe_layers * m.shared_experts * m.expert_matrices * hidden * m.shared_width() / tp, m.other_weights);
  use.dense = stored(dense_layers(plan, m, stage) * m.expert_matrices * hidden * m.dense_ffn / tp, m.other_weights);
  use.router = stored(moe_layers * (hidden * m.experts + 2 * hidden * m.latent_width), m.other_weights);
  const Bytes table = stored(m.vocabulary * hidden / tp, WeightFormat::Bf16);
  if (stage == 0) use.embedding = table;
  if (last(plan, stage) && !(m.tied_embeddings && stage == 0)) use.output = table;
  return use;
}

}  // namespace

MemoryRequest read_memory(const base::JsonNode* node, Bytes capacity) {
  MemoryRequest request;
  request.capacity = capacity;
  if (node == nullptr) return request;
  const base::JsonObject object(*node, {"utilization", "cache", "prefill_tokens", "decode_tokens", "other"});
  request.utilization =
      object.get("utilization", request.utilization, [](const base::JsonNode& n) { return n.number(0.01, 1); });
  if (const auto cache = object.optional("cache")) request.cache_element = cache->one_of({"bf16", "fp8"}) == 0 ? 2 : 1;
  request.prefill_tokens = object.get("prefill_tokens", request.prefill_tokens,
                                      [](const base::JsonNode& n) { return n.integer(0, 1 << 24); });
  request.decode_tokens =
      object.get("decode_tokens", request.decode_tokens, [](const base::JsonNode& n) { return n.number(0, 1024); });
  request.other = object.get("other", request.other, [](const base::JsonNode& n) { return n.bytes(); });
  return request;
}

Bytes cache_bytes(const Model& model, const ParallelPlan& plan, const MemoryRequest& request, std::int32_t stage,
                  std::int64_t tokens) {
  const auto length = static_cast<double>(tokens);
  double sum = 0;
  for (const Attention& whole : model.attention) {
    const Attention own = tensor_parallel_share(whole, plan.tp);
    const bool state = own.kind == AttentionKind::Linear || own.kind == AttentionKind::Mamba;
    const double filled = own.window > 0 ? std::min(1.0, length / own.window) : 1;
    const double bytes = length * cache_elements_per_token(own) * request.cache_element +
                         state_elements(own) * (state ? request.state_element : filled * request.cache_element);
    sum += own.layers * bytes;
  }
  return Bytes(sum * stage_share(plan, model, stage));
}

Bytes activation_bytes(const Model& m, const ParallelPlan& plan, std::int32_t stage, double tokens, double sequences,
                       double expert_load) {
  const double hidden = m.hidden;
  double part = 0;
  for (const Attention& whole : m.attention) {
    const Attention own = tensor_parallel_share(whole, plan.tp);
    const double heads = own.heads, rotary = own.rope_dim;
    const double query = heads * (own.head_dim + rotary), output = heads * own.value_dim();
    const double keys = own.kind == AttentionKind::Mla
                            ? own.kv_rank + rotary + query + output
                            : static_cast<double>(own.kv_heads) * (own.head_dim + own.value_dim());
    part = std::max(part, tokens * (query + keys + output));
  }
  const double projections = m.expert_matrices;  // with a gate: gate, up and their product
  if (dense_layers(plan, m, stage) > 0) part = std::max(part, tokens * (hidden + projections * m.dense_ffn / plan.tp));
  if (stage_moe_layers(plan, m, stage) > 0) {
    const double selections = tokens * plan.attention_dp * m.top_k / plan.ep * expert_load;
    const double shared = static_cast<double>(m.shared_experts) * m.shared_width() / plan.tp;
    part = std::max(part, selections * (2.0 * m.dispatch_width() + projections * m.expert_ffn / plan.moe_tp) +
                              tokens * projections * shared);
  }
  const double logits = last(plan, stage) ? sequences * m.vocabulary / plan.tp : 0;
  return Bytes(2 * tokens * hidden * kBf16 + std::max(part * kBf16, logits * kFp32));
}

GpuMemory gpu_memory(const Model& model, const ParallelPlan& plan, const MemoryRequest& request, std::int32_t stage,
                     std::int64_t sequences) {
  MOESIM_CHECK(sequences >= 0, "a number of sequences");
  GpuMemory use = weights_of(model, plan, stage);
  const auto batch = static_cast<double>(sequences);
  const double tokens = std::max(static_cast<double>(request.prefill_tokens), batch * request.decode_tokens);
  use.caches = batch * cache_bytes(model, plan, request, stage, request.sequence_tokens);
  use.activations = activation_bytes(model, plan, stage, tokens, batch, request.expert_load);
  use.communication = request.communication;
  use.other = request.other;
  return use;
}

std::int64_t largest_batch(const Model& model, const ParallelPlan& plan, const MemoryRequest& request,
                           std::int64_t limit) {
  const Bytes usable = request.utilization * request.capacity;
  const auto fits = [&](std::int64_t sequences) {
    for (std::int32_t stage = 0; stage < plan.pp; ++stage)
      if (gpu_memory(model, plan, request, stage, sequences).total() > usable) return false;
    return true;
  };
  if (limit <= 0 || !fits(1)) return 0;
  std::int64_t low = 1, high = limit + 1;  // low fits, high is not known to
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

MemoryFit memory_fit(const Model& model, const ParallelPlan& plan, const MemoryRequest& request,
                     std::int64_t sequences) {
  MemoryFit fit;
  fit.sequences = sequences;
  fit.usable = request.utilization * request.capacity;
  for (std::int32_t stage = 0; stage < plan.pp; ++stage) {
    const GpuMemory use = gpu_memory(model, plan, request, stage, sequences);
    if (stage > 0 && use.total() <= fit.use.total()) continue;
    fit.stage = stage;
    fit.use = use;
  }
  fit.missing = std::max(Bytes(0), fit.use.total() - fit.usable);
  fit.largest = largest_batch(model, plan, request);
  return fit;
}

std::string describe(const MemoryFit& fit, const MemoryRequest& request) {
  const auto text = [](Bytes bytes) { return base::to_string(bytes); };
  struct Part {
    const char* name;
    Bytes bytes;
  };
  std::string parts;
  const GpuMemory& use = fit.use;
  for (const Part& part : std::array<Part, 5>{{{"weights", use.weights()},
                                               {"caches", use.caches},
                                               {"activations", use.activations},
                                               {"communication buffers", use.communication},
                                               {"other", use.other}}})
    if (part.bytes > Bytes(0)) parts += (parts.empty() ? "" : ", ") + std::string(part.name) + " " + text(part.bytes);
  const std::string may = text(fit.usable) + " that may be used (" + base::format_number(100 * request.utilization) +
                          " % of " + text(request.capacity) + ")";
  const std::string largest = fit.largest == 0   ? "not even one sequence fits"
                              : fit.largest == 1 ? "no more than one sequence fits"
                                                 : "at most " + std::to_string(fit.largest) + " sequences fit";
  if (!fit.fits())
    return "a GPU needs " + text(use.total()) + " of the " + may + ", " + text(fit.missing) + " too much (" + parts +
           "); " + largest;
  return "a GPU needs " + text(use.total()) + " of the " + may + " (" + parts + "); " + largest;
}

}  // namespace moesim::workloads
