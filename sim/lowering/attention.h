// Attention of one layer on one GPU: prefill of whole requests and decode of one token per request.
//
// Prefill (causal, one thread block per request, head and 128 queries, stepping over 128 keys at a time):
//   t = t0 + smooth_max_p( smooth_max_p2( all blocks over the SMs, the longest block ), stream ) + [fp8 cache](t8 + m8
//   stream) a block of i key steps: tc + i * 2 * 128 * 128 (qk + v) SMs / (F peak) stream: q, k, v read and the output
//   written once, bf16, at the share bw of HBM; with an fp8 cache another kernel quantises q, k and v first.
//
// Decode (one thread block per request, group of query heads that share a key, and split of the cache):
//   t = t0 + requests * heads * qx / HBM + ends + min over splits of
//         smooth_max_p( waves * loop + (waves - 1) ends, stream ) + [splits > 1] (cr + cs splits
//         + 8 v requests heads splits / HBM)
//   loop = ceil(steps / splits) * smooth_max_4( 2 rows step (qk + v) SMs / (F peak), step * cache bytes / r )
//   waves = max(1, blocks / SMs): more blocks than SMs are shared out evenly, not in whole waves (assumed: batches of
//   the tables, powers of two, do not tell; B200's fit rather prefers whole ones)
//   ends = tw + rows (qk + v) 2 B / r: the first block's start and the last one's end, with nothing to stream
//   stream: the cache once, and queries and outputs, over HBM, or the cache over L2 (l2) where it is read again and
//   fits into the share `keep` of it. HBM gives its share bw, or what loads of `latency` fetch with as many bytes in
//   flight as shared memory holds beside the queries and the step's keys (Little's law), smooth_max_4 of both times.
// `rows`, the query heads that one block multiplies at a time, are 64 (wgmma, mma), so that 16 heads cost as much as
// 64; on Blackwell 16 for up to 32 heads (operands swapped), else 64, and beyond 64 heads two SMs share the fetched
// keys. A step is 64 keys, on Blackwell 128. Splits fill the SMs; each writes a partial result of fp32 that another
// kernel adds.
#pragma once

#include <cstdint>
#include <span>

#include "calibration/profile/kernel_parameters.h"
#include "calibration/profile/profile.h"
#include "sim/lowering/kernel_cost.h"

namespace moesim::lowering {

// The heads of one GPU. Dimensions are elements per head.
struct AttentionHeads {
  std::int64_t query = 0;
  std::int64_t key_value = 0;  // 1: all query heads share one key (MQA, MLA in decode); `query`: MHA
  std::int64_t qk = 0;         // of a query and a key
  std::int64_t v = 0;          // of a value
  bool value_in_key = false;   // values are a part of the cached keys: MLA's latent
};

// Multi-head latent attention of DeepSeek-V2/V3: in prefill, keys and values are expanded per head (128 + 64 rotary,
// 128); in decode, queries are moved into the latent space and all heads attend to the cached 512 + 64 elements.
AttentionHeads mla_prefill_heads(std::int64_t heads);
AttentionHeads mla_decode_heads(std::int64_t heads);
// Multi-head (key_value = query) and grouped-query attention, in prefill and decode.
AttentionHeads grouped_query_heads(std::int64_t query, std::int64_t key_value, std::int64_t dimension);

struct AttentionShape {
  AttentionHeads heads;
  std::int64_t requests = 0;
  std::int64_t tokens = 0;  // of each request: to prefill, or in its cache
  bool fp8_cache = false;   // else bf16
  // The same cache is read again and again with nothing between, as in a benchmark's loop; in a model other layers'
  // weights and caches come between.
  bool repeated = false;
};

// "mla_prefill" and "mla_decode".
std::span<const profile::KernelModel> attention_kernels();

// What MLA's tables say of `kernel` ("mla_prefill" or "mla_decode"), for attention that no table shows: the same rates,
// every one tagged `assumed`, and a wider interval.
profile::KernelParameters grouped_query_parameters(const profile::Profile& profile, std::string_view kernel);

// Both never decrease with the requests and the tokens; no requests or tokens cost the launch.
KernelCost prefill_attention_cost(const AttentionShape& shape, const profile::Profile& profile,
                                  const profile::KernelParameters& parameters);
KernelCost decode_attention_cost(const AttentionShape& shape, const profile::Profile& profile,
                                 const profile::KernelParameters& parameters);

}  // namespace moesim::lowering
