// What the parts of a decoder layer cost on one GPU beside its routed experts: attention with its projections, norms,
// gate, dense feed-forward network, shared expert, output head. Each is a sequence of calibrated kernels.
//
//   attention   norm, projections (gemm.h), rotary embedding and cache write, core (attention.h), output projection
//     gqa       one product for queries, keys and values
//     mla       decode in the latent space: queries are moved into it and results out of it by a product per head;
//               prefill expands the latent to keys and values
//   gate        norm, gate and top-k (moe_kernels.h), and the product to the width at which tokens travel
//   dense FFN   norm, gate and up in one product, down
//   head        norm, product with the vocabulary, one pass over the scores to sample
//
// A window caps the tokens that are attended to. Attention with an index reads the index of all tokens, then attends to
// index_top of them. `compressed`, `linear` and `mamba` are their bytes and operations at the rates of a matrix product
// and of streamed memory: assumed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "calibration/profile/profile.h"
#include "sim/lowering/kernel_cost.h"
#include "workloads/model.h"

namespace moesim::lowering {

// The tokens of one forward pass in one copy of attention.
struct PassTokens {
  std::int64_t sequences = 0;            // that decode
  std::int64_t tokens_per_sequence = 1;  // of a decode: 1, more where drafts are verified
  double cached = 0;                     // mean tokens in the cache of a sequence
  std::int64_t prefill_tokens = 0;
  std::int64_t prompt_tokens = 0;  // length of the prompts that they belong to; all of each is computed, in this pass
                                   // or others: a pass with fewer tokens than a prompt has its mean share
  bool fp8_cache = false;

  std::int64_t decode_tokens() const { return sequences * tokens_per_sequence; }
  std::int64_t tokens() const { return decode_tokens() + prefill_tokens; }
  // How many tokens need the output head: the last of each prompt.
  std::int64_t scored() const;
  bool operator==(const PassTokens&) const = default;
};

struct PartCost {
  KernelCost cost;
  std::int32_t kernels = 0;  // launches
  double log_error = 0;      // half-width of the 80 % interval of log(true / predicted)
};

// Costs of one model on one kind of GPU, `tp` ranks sharing attention, dense networks and shared experts. With the
// profile "ideal" all are 0. Throws InputError if the GPU does not compute in the model's formats.
class DecoderCosts {
 public:
  DecoderCosts(const workloads::Model& model, const profile::Profile& profile, std::int32_t tp);

  // `whole` is one of the model's, before it is cut over ranks.
  PartCost attention(const workloads::Attention& whole, const PassTokens& tokens) const;
  PartCost gate(std::int64_t tokens) const;
  // Of combined tokens, to the hidden size; nothing where they travel at that size.
  PartCost from_latent(std::int64_t tokens) const;
  PartCost dense_ffn(std::int64_t tokens) const;
  // Of all tokens of the copy of attention; no norm: it is the gate's.
  PartCost shared_expert(std::int64_t tokens) const;
  PartCost head(std::int64_t scored) const;

  // What the results should say.
  std::vector<std::string> assumptions() const;

 private:
  struct Sum;  // kernels one after another
  void product(Sum& sum, std::int64_t m, std::int64_t n, std::int64_t k, workloads::Dtype dtype) const;
  void norm(Sum& sum, std::int64_t tokens) const;
  void stream(Sum& sum, double bytes, double operations) const;
  void core(Sum& sum, const workloads::Attention& own, const PassTokens& tokens) const;
  void prefill(Sum& sum, const workloads::Attention& own, const PassTokens& tokens) const;
  void decode(Sum& sum, const workloads::Attention& own, const PassTokens& tokens) const;

  const workloads::Model* model_;
  const profile::Profile* profile_;
  std::int32_t tp_;
  workloads::Dtype dtype_;  // of products with weights
  profile::KernelParameters gemm_, gemm_bf16_, norm_, gate_, mla_prefill_, mla_decode_, gqa_prefill_, gqa_decode_;
};

}  // namespace moesim::lowering
