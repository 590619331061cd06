#include "sim/steady_state.h"

#include <algorithm>
#include <cmath>

namespace moesim::sim {
namespace {

constexpr double kChunk = 8192;  // prompt tokens of one step

}  // namespace

PromptMix prompt_mix(const RequestShape& request, std::int64_t batch, double tokens_per_step) {
  const double mean =
      tokens_per_step * static_cast<double>(batch * request.input_tokens) / static_cast<double>(request.output_tokens);
  const double chunk = std::max(mean, std::min(kChunk, static_cast<double>(request.input_tokens)));
  return {mean / chunk, std::max<std::int64_t>(1, std::llround(chunk))};
}

base::Duration time_to_first_token(const RequestShape& request, const PromptMix& mix, base::Duration plain,
                                   base::Duration mixed) {
  const double chunks = std::ceil(static_cast<double>(request.input_tokens) / static_cast<double>(mix.prefill_tokens));
  return mix.mean(plain, mixed) * 0.5 + mixed * chunks;
}

}  // namespace moesim::sim
