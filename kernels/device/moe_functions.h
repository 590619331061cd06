// The arithmetic of the MoE kernels, for the device and, compiled for the host, for its tests.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define MOESIM_HOST_DEVICE __host__ __device__ inline
#else
#define MOESIM_HOST_DEVICE inline
#endif

namespace moesim::kernels {

inline constexpr int kMostTopK = 16;

// The top_k largest of `count` scores in order, ties to the lower index; weights are the softmax over those chosen.
// `chosen` and `weights` hold top_k <= kMostTopK values.
MOESIM_HOST_DEVICE void gate_top_k(const float* scores, int count, int top_k, std::int32_t* chosen, float* weights) {
  for (int k = 0; k < top_k; ++k) {
    int best = -1;
    for (int i = 0; i < count; ++i) {
      bool taken = false;
      for (int j = 0; j < k; ++j) taken = taken || chosen[j] == i;
      if (!taken && (best < 0 || scores[i] > scores[best])) best = i;
    }
    chosen[k] = best;
  }
  float sum = 0;
  for (int k = 0; k < top_k; ++k) {
    const float shifted = scores[chosen[k]] - scores[chosen[0]];  // <= 0: no overflow
#if defined(__CUDA_ARCH__)
    weights[k] = __expf(shifted);
#else
    weights[k] = __builtin_expf(shifted);
#endif
    sum += weights[k];
  }
  for (int k = 0; k < top_k; ++k) weights[k] /= sum;
}

// Position of the n-th arrival at an expert in a packed buffer: its expert's first row and how many came before.
MOESIM_HOST_DEVICE std::int64_t packed_row(const std::int64_t* first_row, std::int32_t expert, std::int32_t before) {
  return first_row[expert] + before;
}

// One element of the combined token: sum over its choices of weight * row.
template <class Load>
MOESIM_HOST_DEVICE float weighted_sum(const Load& element, const float* weights, int top_k) {
  float sum = 0;
  for (int k = 0; k < top_k; ++k) sum += weights[k] * element(k);
  return sum;
}

}  // namespace moesim::kernels
