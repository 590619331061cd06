// The bytes of decode attention: every request reads its cache once. A kernel of ours that reads and reduces, so the
// memory side of decode attention without its arithmetic.
#include <cstdint>

#include "kernels/harness/measure.cuh"
#include "kernels/harness/sweep.h"

namespace moesim::kernels {
namespace {

constexpr std::size_t kBytesPerToken = 576 * 2;  // the latent cache of MLA, bf16

// Block (x: part of the request, y: request) reads its part of the cache.
__global__ void read_cache(const uint4* cache, std::size_t vectors_per_request, unsigned* sink) {
  const uint4* own = cache + blockIdx.y * vectors_per_request;
  unsigned bits = 0;
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < vectors_per_request;
       i += std::size_t{gridDim.x} * blockDim.x) {
    const uint4 x = own[i];
    bits ^= x.x ^ x.y ^ x.z ^ x.w;
  }
  if (bits == 0x12345678u) *sink = bits;
}

}  // namespace

void measure_attention(Session& session, bool quick) {
  Buffer<unsigned> sink(1);
  const std::size_t most = std::size_t{1} << (quick ? 28 : 31);
  Buffer<uint4> cache(most / 16);
  fill_random(cache.get(), cache.bytes(), 9, session.stream());
  for (const std::int64_t requests : geometric(1, 128, quick ? 16 : 4)) {
    for (const std::int64_t tokens : geometric(1024, quick ? 8192 : 65536, 8)) {
      const std::size_t per_request = static_cast<std::size_t>(tokens) * kBytesPerToken;
      if (per_request * static_cast<std::size_t>(requests) > most) continue;
      const auto parts = static_cast<unsigned>(std::max<std::int64_t>(1, session.sms() * 2 / requests));
      Point point;
      point.benchmark = "decode_attention_bytes";
      point.implementation = "moesim SM kernel, reads the latent cache of MLA";
      point.parameters = {{"requests", static_cast<double>(requests)}, {"tokens", static_cast<double>(tokens)}};
      point.bytes = static_cast<double>(per_request) * static_cast<double>(requests);
      point.cold_l2 = true;
      session.measure(point, [&](cudaStream_t s) {
        read_cache<<<dim3(parts, static_cast<unsigned>(requests)), 512, 0, s>>>(cache.get(), per_request / 16,
                                                                                sink.get());
      });
    }
  }
}

}  // namespace moesim::kernels
