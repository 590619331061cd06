// The "routing" section of a scenario: a recorded trace, balanced, or generated.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "workloads/model.h"
#include "workloads/trace.h"

namespace moesim::workloads {

// What a step needs of it.
struct RoutingRequest {
  const Model* model = nullptr;
  std::int32_t moe_layer = 0;  // which MoE layer (0-based among MoE layers)
  std::int64_t tokens_per_rank = 0;
  std::int32_t ranks = 0;
};

// Forms:
//   {"preset": "balanced"}                                    deterministic, every expert alike, no self-traffic
//   {"generate": {"preset": "deepseek-v3-decode", "seed": 1, <overridden parameters>}}
//   {"trace": "file.npy" | "file.jsonl", "layers": 48}        a path relative to the scenario's folder
// Returns a one-layer trace with exactly tokens_per_rank * ranks tokens. A trace with fewer tokens is an InputError that
// names the largest tokens_per_gpu that would do.
Trace read_routing(const base::JsonNode& node, const RoutingRequest& request, std::vector<std::string>& warnings);

}  // namespace moesim::workloads
