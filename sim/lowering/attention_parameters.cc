// The declarations of the parameters of attention.h.
#include <array>

#include "sim/lowering/attention.h"

namespace moesim::lowering {
namespace {

using profile::ParameterSpec;
using profile::Scope;

constexpr ParameterSpec launch(double start) {
  return {"t0", "us", start, 2, 40, 0.4, Scope::Family, "launch to end of a kernel without work"};
}
constexpr ParameterSpec tensor(double start) {
  return {"F", "1", start, 0.3, 0.95, 0.15, Scope::Family, "share of the datasheet's bf16 rate that blocks reach"};
}
constexpr ParameterSpec fp8_multiply(double start) {
  return {"q8", "1", start, 1, 2, 0.4, Scope::Family, "how much faster blocks multiply with an fp8 cache"};
}
constexpr ParameterSpec memory(double start, double sigma, Scope scope) {
  return {"bw", "1", start, 0.4, 0.98, sigma, scope, "share of the datasheet's HBM rate of streamed operands"};
}
constexpr ParameterSpec overlap(double start, double sigma) {
  return {"p", "1", start, 1, 8, sigma, Scope::Shared, "how well blocks and stream overlap: 1 not at all"};
}

constexpr std::array kPrefill{
    launch(12),
    tensor(0.62),
    fp8_multiply(1.25),
    memory(0.8, 0.1, Scope::Family),
    ParameterSpec{"tc", "us", 1.6, 0.1, 20, 0.5, Scope::Family, "a block's start: queries loaded, output stored"},
    overlap(1.4, 0.3),
    ParameterSpec{"p2", "1", 2.0, 1, 12, 0.3, Scope::Shared, "how evenly blocks of unlike length fill the SMs"},
    ParameterSpec{"t8", "us", 3.5, 0.1, 20, 0.5, Scope::Family, "launch of the kernel that quantises to fp8"},
    ParameterSpec{"m8", "1", 1.2, 0.05, 5, 0.4, Scope::Family, "its traffic, in passes over q, k, v and output"},
};

constexpr std::array kDecode{
    launch(7),
    tensor(0.8),
    fp8_multiply(1.5),
    memory(0.86, 0.08, Scope::Shared),
    ParameterSpec{"latency", "us", 1.5, 0.2, 10, 0.4, Scope::Shared, "a load under load, of the bytes in flight"},
    ParameterSpec{"r", "B/cycle", 45, 4, 400, 0.5, Scope::Family, "cache, queries and outputs that one SM moves"},
    ParameterSpec{"tw", "us", 3.5, 0.05, 20, 0.4, Scope::Family, "a block's start and end"},
    ParameterSpec{"cr", "us", 0.8, 0.05, 20, 0.5, Scope::Family, "launch of the kernel that adds splits"},
    ParameterSpec{"cs", "ns", 90, 1, 500, 0.7, Scope::Family, "its loop, per split"},
    ParameterSpec{"qx", "B", 1400, 1, 30000, 0.7, Scope::Family, "traffic of preparing one query head"},
    ParameterSpec{"q8x", "B", 1900, 1, 30000, 0.5, Scope::Family, "traffic of quantising one query head to fp8"},
    overlap(4.5, 0.3),
    ParameterSpec{"l2", "B/cycle", 25, 4, 100, 0.3, Scope::Shared, "cache that is still in L2, per SM"},
    ParameterSpec{"keep", "1", 0.5, 0.1, 2, 0.2, Scope::Shared, "share of L2 that holds the cache"},
};

const std::array<profile::KernelModel, 2> kModels{{
    {"mla_prefill",
     "One thread block per request, head and 128 queries; blocks differ in length because attention is causal. The "
     "time is that of all blocks over the SMs or of the longest one, overlapped with streaming queries, keys, values "
     "and outputs from HBM.",
     kPrefill},
    {"mla_decode",
     "Thread blocks of 64 query heads (Blackwell: 16 for few heads) walk a share of one request's cache; the cache is "
     "split until the SMs are full, and the splits are added by another kernel. A block is bound by the tensor cores "
     "or by what one SM fetches, all together by streaming the cache from HBM, or from L2 where a repeated call finds "
     "it there. The stream has in flight what an SM's shared memory holds beside the queries and keys at work, which "
     "is little for "
     "128 keys in bf16. While the first block starts and the last one ends nothing is streamed.",
     kDecode},
}};

}  // namespace

std::span<const profile::KernelModel> attention_kernels() { return kModels; }

AttentionHeads mla_prefill_heads(std::int64_t heads) { return {heads, heads, 128 + 64, 128, false}; }
AttentionHeads mla_decode_heads(std::int64_t heads) { return {heads, 1, 512 + 64, 512, true}; }
AttentionHeads grouped_query_heads(std::int64_t query, std::int64_t key_value, std::int64_t dimension) {
  return {query, key_value, dimension, dimension, false};
}

}  // namespace moesim::lowering
