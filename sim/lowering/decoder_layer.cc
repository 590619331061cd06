#include "sim/lowering/decoder_layer.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "sim/lowering/attention.h"
#include "sim/lowering/gemm.h"
#include "sim/lowering/moe_kernels.h"

namespace moesim::lowering {

using workloads::Attention;
using workloads::AttentionKind;
using workloads::Dtype;

namespace {

constexpr double kBf16 = 2, kFp32 = 4;
// Of kernels that nothing measured: bytes at this share of HBM, operations at that of the bf16 rate (assumed).
constexpr double kStreamShare = 0.8, kTensorShare = 0.5;
constexpr double kStreamLogError = 0.4;

AttentionHeads heads_of(const Attention& own) {
  return grouped_query_heads(own.heads, std::max(1, own.kv_heads), own.head_dim);
}

}  // namespace

std::int64_t PassTokens::scored() const {
  const std::int64_t prompts =
      prompt_tokens > 0 ? (prefill_tokens + prompt_tokens - 1) / prompt_tokens : std::int64_t{0};
  return decode_tokens() + prompts;
}

// The interval of a sequence is that of its parts, weighted by their time: their errors are taken to go together.
struct DecoderCosts::Sum {
  PartCost part;
  double weighted = 0;

  void add(const KernelCost& cost, double log_error) {
    part.cost = part.cost + cost;
    part.kernels += 1;
    weighted += cost.total.value() * log_error;
  }
  PartCost result() const {
    PartCost done = part;
    if (part.cost.total > base::Duration(0)) done.log_error = weighted / part.cost.total.value();
    return done;
  }
};

DecoderCosts::DecoderCosts(const workloads::Model& model, const profile::Profile& profile, std::int32_t tp)
    : model_(&model), profile_(&profile), tp_(tp), dtype_(workloads::multiplied_in(model.other_weights)) {
  if (profile.ideal) return;
  gemm_ = profile.kernel(gemm_kernel(dtype_));
  gemm_bf16_ = profile.kernel(gemm_kernel(Dtype::Bf16));
  norm_ = moe_parameters("rms_norm", profile);
  gate_ = moe_parameters("gate_topk", profile);
  mla_prefill_ = profile.kernel("mla_prefill");
  mla_decode_ = profile.kernel("mla_decode");
  gqa_prefill_ = grouped_query_parameters(profile, "mla_prefill");
  gqa_decode_ = grouped_query_parameters(profile, "mla_decode");
}

void DecoderCosts::product(Sum& sum, std::int64_t m, std::int64_t n, std::int64_t k, Dtype dtype) const {
  if (m == 0 || n == 0 || k == 0) return;
  const profile::KernelParameters& parameters = dtype == Dtype::Bf16 ? gemm_bf16_ : gemm_;
  sum.add(gemm_cost({m, n, k, dtype}, *profile_, parameters), parameters.log_error());
}

void DecoderCosts::norm(Sum& sum, std::int64_t tokens) const {
  sum.add(rms_norm_cost({tokens, model_->hidden, 0, 0, base::Bytes(kBf16)}, *profile_, norm_), norm_.log_error());
}

void DecoderCosts::stream(Sum& sum, double bytes, double operations) const {
  KernelCost cost;
  cost.launch = profile_->launch.value;
  cost.memory = base::Duration(bytes / (kStreamShare * profile_->hbm_bandwidth.value.value()));
  cost.tensor = base::Duration(operations / (kTensorShare * profile_->bf16.value.value()));
  cost.total = cost.launch + std::max(cost.memory, cost.tensor);
  sum.add(cost, kStreamLogError);
}

// Whole prompts, or the mean share of one: a kernel of its own either way.
void DecoderCosts::prefill(Sum& sum, const Attention& own, const PassTokens& tokens) const {
  if (tokens.prefill_tokens == 0) return;
  const double prompts = static_cast<double>(tokens.prefill_tokens) / static_cast<double>(tokens.prompt_tokens);
  const auto length = static_cast<double>(tokens.prompt_tokens);
  const bool mla = own.kind == AttentionKind::Mla;
  const profile::KernelParameters& parameters = mla ? mla_prefill_ : gqa_prefill_;
  AttentionShape shape;
  shape.heads = mla ? mla_prefill_heads(own.heads) : heads_of(own);
  shape.fp8_cache = tokens.fp8_cache;
  shape.requests = std::max<std::int64_t>(1, std::llround(prompts));
  // With a window w a token sees w others: pieces of w tokens see half as many pairs.
  const double window = own.window > 0 ? std::min<double>(own.window, length) : length;
  shape.tokens = std::llround(window);
  const double pairs = window * length - window * window / 2, piece = window * window / 2;
  const KernelCost cost = prefill_attention_cost(shape, *profile_, parameters);
  sum.add(work_times(cost, prompts / static_cast<double>(shape.requests) * pairs / piece), parameters.log_error());
}

void DecoderCosts::decode(Sum& sum, const Attention& own, const PassTokens& tokens) const {
  if (tokens.sequences == 0) return;
  const bool mla = own.kind == AttentionKind::Mla;
  double cached = std::max(1.0, tokens.cached);
  const auto verified = static_cast<double>(tokens.decode_tokens());
  if (own.index_heads > 0 && own.index_top > 0) {
    stream(sum, static_cast<double>(tokens.sequences) * cached * own.index_dim,
           2 * verified * cached * own.index_heads * own.index_dim);
    cached = std::min<double>(cached, own.index_top);
  }
  if (own.window > 0) cached = std::min<double>(cached, own.window);
  const profile::KernelParameters& parameters = mla ? mla_decode_ : gqa_decode_;
  AttentionShape shape;
  // Tokens that are verified together share the cache that is read: like more heads.
  shape.heads = mla ? mla_decode_heads(own.heads) : heads_of(own);
  shape.heads.query *= tokens.tokens_per_sequence;
  shape.fp8_cache = tokens.fp8_cache;
  shape.requests = tokens.sequences;
  shape.tokens = std::llround(cached);
  sum.add(decode_attention_cost(shape, *profile_, parameters), parameters.log_error());
}

void DecoderCosts::core(Sum& sum, const Attention& own, const PassTokens& tokens) const {
  const auto all = static_cast<double>(tokens.tokens());
  const double width = static_cast<double>(own.heads) * (own.head_dim + own.rope_dim + own.value_dim());
  stream(sum, 2 * all * width * kBf16, 0);  // rotary embedding, cache write
  if (own.kind == AttentionKind::Gqa || own.kind == AttentionKind::Mla) {
    prefill(sum, own, tokens);
    decode(sum, own, tokens);
    return;
  }
  const double state = state_elements(own) * (own.kind == AttentionKind::Compressed ? kBf16 : kFp32);
  const double cached = own.compression > 0 ? tokens.cached / own.compression : 0;
  const double per_token = cache_elements_per_token(own) * (tokens.fp8_cache ? 1 : kBf16);
  const double attended = own.kind == AttentionKind::Compressed
                              ? cached + std::max(0, own.window)
                              : static_cast<double>(std::max(own.state_dim, own.value_dim()));
  stream(sum, static_cast<double>(tokens.sequences) * (2 * state + tokens.cached * per_token),
         4 * all * own.heads * own.head_dim * attended);
}

PartCost DecoderCosts::attention(const Attention& whole, const PassTokens& tokens) const {
  Sum sum;
  const std::int64_t m = tokens.tokens();
  if (profile_->ideal || m == 0) return {};
  const Attention own = tensor_parallel_share(whole, tp_);
  const std::int64_t hidden = model_->hidden, heads = own.heads, value = own.value_dim();
  norm(sum, m);
  if (own.kind == AttentionKind::Mla) {
    const std::int64_t query = heads * (own.head_dim + own.rope_dim);
    product(sum, m, std::int64_t{own.kv_rank} + own.rope_dim + (own.q_rank > 0 ? own.q_rank : query), hidden, dtype_);
    if (own.q_rank > 0) product(sum, m, query, own.q_rank, dtype_);
    product(sum, tokens.decode_tokens(), heads * own.kv_rank, own.head_dim, Dtype::Bf16);
    product(sum, tokens.prefill_tokens, heads * (own.head_dim + value), own.kv_rank, dtype_);
    core(sum, own, tokens);
    product(sum, tokens.decode_tokens(), heads * value, own.kv_rank, Dtype::Bf16);
    product(sum, m, hidden, heads * value, dtype_);
    return sum.result();
  }
  if (own.kind == AttentionKind::Gqa) {
    const std::int64_t keys = own.kv_heads * (own.head_dim + (own.shared_kv ? 0 : value));
    product(sum, m, heads * own.head_dim * (own.output_gate ? 2 : 1) + keys, hidden, dtype_);
  } else {
    // The weights of everything but the output projection, as one product.
    const double inputs =
        attention_parameters(own, model_->hidden) / static_cast<double>(hidden) - static_cast<double>(heads * value);
    product(sum, m, std::max<std::int64_t>(1, std::llround(inputs)), hidden, dtype_);
  }
  core(sum, own, tokens);
  product(sum, m, hidden, heads * value, dtype_);
  return sum.result();
}

PartCost DecoderCosts::gate(std::int64_t tokens) const {
  if (profile_->ideal || tokens == 0) return {};
  Sum sum;
  norm(sum, tokens);
  sum.add(
      gate_topk_cost({tokens, model_->hidden, model_->experts, model_->top_k, base::Bytes(kBf16)}, *profile_, gate_),
      gate_.log_error());
  if (model_->latent_width > 0) product(sum, tokens, model_->latent_width, model_->hidden, dtype_);
  return sum.result();
}

PartCost DecoderCosts::from_latent(std::int64_t tokens) const {
  if (profile_->ideal || tokens == 0 || model_->latent_width == 0) return {};
  Sum sum;
  product(sum, tokens, model_->hidden, model_->latent_width, dtype_);
  return sum.result();
}

PartCost DecoderCosts::dense_ffn(std::int64_t tokens) const {
  if (profile_->ideal || tokens == 0) return {};
  Sum sum;
  norm(sum, tokens);
  const std::int64_t inner = (std::int64_t{model_->dense_ffn} + tp_ - 1) / tp_;
  product(sum, tokens, inner * (model_->expert_matrices - 1), model_->hidden, dtype_);
  product(sum, tokens, model_->hidden, inner, dtype_);
  return sum.result();
}

PartCost DecoderCosts::shared_expert(std::int64_t tokens) const {
  if (profile_->ideal || tokens == 0 || model_->shared_experts == 0) return {};
  Sum sum;
  const std::int64_t inner = (std::int64_t{model_->shared_width()} * model_->shared_experts + tp_ - 1) / tp_;
  product(sum, tokens, inner * (model_->expert_matrices - 1), model_->hidden, dtype_);
  product(sum, tokens, model_->hidden, inner, dtype_);
  return sum.result();
}

PartCost DecoderCosts::head(std::int64_t scored) const {
  if (profile_->ideal || scored == 0 || model_->vocabulary == 0) return {};
  Sum sum;
  norm(sum, scored);
  const std::int64_t own = (std::int64_t{model_->vocabulary} + tp_ - 1) / tp_;
  product(sum, scored, own, model_->hidden, Dtype::Bf16);
  stream(sum, static_cast<double>(scored * own) * kFp32, 0);
  return sum.result();
}

std::vector<std::string> DecoderCosts::assumptions() const {
  if (profile_->ideal) return {"profile \"ideal\": attention, gate, dense layers and head take no time"};
  std::vector<std::string> notes{
      "norms, gate, rotary embedding, cache writes and sampling were not measured: launch and bytes are assumed"};
  for (const Attention& attention : model_->attention) {
    const std::string kind(to_string(attention.kind));
    std::string note;
    if (attention.kind == AttentionKind::Gqa)
      note = "grouped-query attention runs at the rates measured for MLA";
    else if (attention.kind != AttentionKind::Mla)
      note = "attention \"" + kind + "\" is modelled by bytes and operations only";
    if (!note.empty() && std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(note);
    if (attention.index_heads > 0)
      notes.push_back("sparse attention: its index is modelled by bytes and operations only");
  }
  return notes;
}

}  // namespace moesim::lowering
