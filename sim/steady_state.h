// Aggregated serving in a steady state: prompts and output tokens are computed by the same GPUs. Every step decodes one
// token of each running request (more where drafts are accepted) and has to carry, on average, the prompt tokens of
// the requests that come in meanwhile. Servers compute prompts whole, up to a chunk of 8192 tokens (the default of
// vLLM, SGLang and TensorRT-LLM), so that only some steps carry prompts. No queue is modelled: requests come in evenly.
#pragma once

#include <cstdint>

#include "base/units.h"

namespace moesim::sim {

struct RequestShape {
  std::int64_t input_tokens = 0, output_tokens = 0;  // > 0

  // In the cache of a request, on average over its output.
  std::int64_t kv_tokens() const { return input_tokens + output_tokens / 2; }
};

// Which part of the steps carries prompts, and how many tokens of them for each copy of attention.
struct PromptMix {
  double share = 0;
  std::int64_t prefill_tokens = 0;

  base::Duration mean(base::Duration plain, base::Duration mixed) const { return plain * (1 - share) + mixed * share; }
};
// `batch`: requests that decode in each copy of attention; `tokens_per_step`: of each.
PromptMix prompt_mix(const RequestShape& request, std::int64_t batch, double tokens_per_step = 1);

// A request waits for half a step on average, then for the steps that carry its prompt.
base::Duration time_to_first_token(const RequestShape& request, const PromptMix& mix, base::Duration plain,
                                   base::Duration mixed);

}  // namespace moesim::sim
