// The "routing" section of a scenario: a recorded trace, balanced, generated, or drawn from counts.
#pragma once

#include <cstdint>
#include <memory>
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
//   {"preset": "balanced"}                                    deterministic, see workloads/balanced.h
//   {"generate": {"preset": "deepseek-v3-decode", "seed": 1, <overridden parameters>}}
//   {"counts": "counts.npy" | "counts.json", "seed": 1}
//       expert counts (workloads/expert_counts.h): tokens are drawn so that each expert gets its share of the
//       selections
//   {"power_law": {"exponent": 1.2, "seed": 1}}
//       the selections that benchmarks of expert kernels draw for the whole batch (workloads/power_law.h), dealt to
//       tokens at random
//   {"trace": "file.npy" | "file.npz" | "file.jsonl", "layers": 48, "pass": "largest",
//    "extend": "resample", "seed": 1}
//       a path relative to the scenario's folder; "layers" as in workloads/trace_file.h; "pass" takes the tokens of one
//       forward pass (its number, or "largest"), else all passes follow each other; where a step needs more tokens,
//       "extend" draws further passes of the recording with replacement, each whole and the same one in all layers, so
//       that tokens keep the neighbours that they had (the last is cut)
// Reads a trace file once; each layer can then be had for any number of ranks and tokens. Throws InputError for a trace
// whose layers, top_k or expert ids are not the model's.
class RoutingSource {
 public:
  // The document of `node` must outlive it.
  RoutingSource(const base::JsonNode& node, const Model& model, std::vector<std::string>& warnings);
  ~RoutingSource();
  RoutingSource(RoutingSource&&) noexcept;

  // A one-layer trace of tokens_per_rank * ranks tokens: of a recording its first ones. A recording with fewer is an
  // InputError that names the largest tokens_per_gpu that would do, unless it is extended. `source` holds the content
  // hash or all parameters.
  Trace layer(std::int32_t moe_layer, std::int64_t tokens_per_rank, std::int32_t ranks) const;
  // Tokens [first, first + count) of one layer, or as many of them as a recording has (perhaps none); every balanced
  // token is like the others.
  Trace tokens(std::int32_t moe_layer, std::int64_t first, std::int64_t count) const;
  // Where the routing of all layers is from, as in `source` of a layer.
  std::string source() const;
  // Whether a seed decides on it, wholly or in part.
  bool drawn() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The same for one layer.
Trace read_routing(const base::JsonNode& node, const RoutingRequest& request, std::vector<std::string>& warnings);

}  // namespace moesim::workloads
