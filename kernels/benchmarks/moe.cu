// The small kernels around the experts, ours: gate with top-k, permute (dispatch packing), unpermute with weighted sum.
#include <cmath>
#include <cstdint>
#include <numeric>

#include <cuda_bf16.h>

#include "kernels/device/moe_functions.h"
#include "kernels/harness/measure.cuh"
#include "kernels/harness/sweep.h"

namespace moesim::kernels {
namespace {

constexpr int kExperts = 256, kTopK = 8, kHidden = 7168;

// One warp per token: its lanes hold the scores in shared memory, lane 0 chooses.
__global__ void gate(const float* scores, std::int64_t tokens, std::int32_t* chosen, float* weights) {
  __shared__ float row[4][kExperts];
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t token = blockIdx.x * std::int64_t{4} + warp;
  if (token < tokens)
    for (int i = lane; i < kExperts; i += 32) row[warp][i] = scores[token * kExperts + i];
  __syncwarp();
  if (token < tokens && lane == 0)
    gate_top_k(row[warp], kExperts, kTopK, chosen + token * kTopK, weights + token * kTopK);
}

// Each choice of a token takes the next row of its expert.
__global__ void permute(const __nv_bfloat16* tokens, const std::int32_t* chosen, const std::int64_t* first_row,
                        std::int32_t* counts, std::int64_t* rows, __nv_bfloat16* packed) {
  __shared__ std::int64_t row;
  const std::int64_t choice = blockIdx.x;
  if (threadIdx.x == 0) {
    const std::int32_t expert = chosen[choice];
    row = packed_row(first_row, expert, atomicAdd(&counts[expert], 1));
    rows[choice] = row;
  }
  __syncthreads();
  const auto* from = reinterpret_cast<const uint4*>(tokens + choice / kTopK * kHidden);
  auto* to = reinterpret_cast<uint4*>(packed + row * kHidden);
  for (int i = static_cast<int>(threadIdx.x); i < kHidden / 8; i += static_cast<int>(blockDim.x)) to[i] = from[i];
}

__global__ void unpermute(const __nv_bfloat16* packed, const std::int64_t* rows, const float* weights,
                          __nv_bfloat16* tokens) {
  const std::int64_t token = blockIdx.x;
  for (int i = static_cast<int>(threadIdx.x); i < kHidden; i += static_cast<int>(blockDim.x)) {
    const auto element = [&](int k) { return __bfloat162float(packed[rows[token * kTopK + k] * kHidden + i]); };
    tokens[token * kHidden + i] = __float2bfloat16(weighted_sum(element, weights + token * kTopK, kTopK));
  }
}

// Whether the gate's choices are those of the same functions on the host.
bool same_choices(const float* scores, const std::int32_t* chosen, const float* weights) {
  std::int32_t choices[kTopK];
  float shares[kTopK];
  gate_top_k(scores, kExperts, kTopK, choices, shares);
  for (int k = 0; k < kTopK; ++k)
    if (choices[k] != chosen[k] || !(std::abs(shares[k] - weights[k]) <= 1e-4f)) return false;
  return true;
}

// Whether a token came back to bf16 rounding: permute, then unpermute with weights that add up to one.
bool same_token(const __nv_bfloat16* before, const __nv_bfloat16* after) {
  std::vector<__nv_bfloat16> x(kHidden), y(kHidden);
  MOESIM_CUDA(cudaMemcpy(x.data(), before, kHidden * 2, cudaMemcpyDeviceToHost));
  MOESIM_CUDA(cudaMemcpy(y.data(), after, kHidden * 2, cudaMemcpyDeviceToHost));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float expected = __bfloat162float(x[i]);
    if (!(std::abs(__bfloat162float(y[i]) - expected) <= 0.01f * std::abs(expected) + 1e-30f)) return false;
  }
  return true;
}

}  // namespace

void measure_moe(Session& session, bool quick) {
  const std::int64_t most = quick ? 1024 : 8192;
  Buffer<float> scores(static_cast<std::size_t>(most * kExperts)), weights(static_cast<std::size_t>(most * kTopK));
  Buffer<std::int32_t> chosen(static_cast<std::size_t>(most * kTopK)), counts(kExperts);
  Buffer<std::int64_t> rows(static_cast<std::size_t>(most * kTopK)), first(kExperts);
  Buffer<__nv_bfloat16> tokens(static_cast<std::size_t>(most * kHidden)), out(static_cast<std::size_t>(most * kHidden)),
      packed(static_cast<std::size_t>(most * kTopK * kHidden));
  fill_random(scores.get(), scores.bytes(), 5, session.stream());
  fill_random(tokens.get(), tokens.bytes(), 6, session.stream());
  MOESIM_CUDA(cudaStreamSynchronize(session.stream()));
  const std::vector<float> all_scores = scores.host();
  for (const std::int64_t count : geometric(1, most, quick ? 16 : 4)) {
    const auto grid = static_cast<unsigned>((count + 3) / 4);
    // Where each expert's rows begin, for a routing that is the gate's own.
    gate<<<grid, 128, 0, session.stream()>>>(scores.get(), count, chosen.get(), weights.get());
    MOESIM_CUDA(cudaStreamSynchronize(session.stream()));
    std::vector<std::int32_t> ids = chosen.host();
    std::vector<std::int64_t> begin(kExperts, 0);
    for (std::int64_t i = 0; i < count * kTopK; ++i)
      for (int e = ids[static_cast<std::size_t>(i)] + 1; e < kExperts; ++e) ++begin[static_cast<std::size_t>(e)];
    MOESIM_CUDA(cudaMemcpy(first.get(), begin.data(), first.bytes(), cudaMemcpyHostToDevice));
    const auto run_permute = [&](cudaStream_t s) {
      MOESIM_CUDA(cudaMemsetAsync(counts.get(), 0, counts.bytes(), s));
      permute<<<static_cast<unsigned>(count * kTopK), 256, 0, s>>>(tokens.get(), chosen.get(), first.get(),
                                                                   counts.get(), rows.get(), packed.get());
    };
    const auto run_unpermute = [&](cudaStream_t s) {
      unpermute<<<static_cast<unsigned>(count), 256, 0, s>>>(packed.get(), rows.get(), weights.get(), out.get());
    };
    MOESIM_CUDA(cudaMemsetAsync(out.get(), 0xff, out.bytes(), session.stream()));  // not a number
    run_permute(session.stream());
    run_unpermute(session.stream());
    MOESIM_CUDA(cudaGetLastError());
    MOESIM_CUDA(cudaStreamSynchronize(session.stream()));
    const std::vector<float> shares = weights.host();
    for (const std::int64_t token : {std::int64_t{0}, count - 1}) {
      const auto at = static_cast<std::size_t>(token);
      session.verify(
          same_choices(all_scores.data() + at * kExperts, ids.data() + at * kTopK, shares.data() + at * kTopK),
          "gate_top_k");
      session.verify(same_token(tokens.get() + token * kHidden, out.get() + token * kHidden), "permute and unpermute");
    }

    Point point;
    point.parameters = {{"tokens", static_cast<double>(count)}, {"experts", kExperts}, {"top_k", kTopK}};
    point.implementation = "moesim, one warp per token";
    point.benchmark = "gate_top_k";
    point.bytes = static_cast<double>(count) * kExperts * 4;
    session.measure(
        point, [&](cudaStream_t s) { gate<<<grid, 128, 0, s>>>(scores.get(), count, chosen.get(), weights.get()); });
    point.parameters["hidden"] = kHidden;
    point.cold_l2 = true;
    point.benchmark = "permute";
    point.implementation = "moesim, one block per choice";
    point.bytes = static_cast<double>(count) * kTopK * 2 * kHidden * 2;
    session.measure(point, run_permute);
    point.benchmark = "unpermute";
    point.implementation = "moesim, one block per token";
    point.bytes = static_cast<double>(count) * (kTopK + 1) * kHidden * 2;
    session.measure(point, run_unpermute);
  }
}

}  // namespace moesim::kernels
