// The "placement" section of a scenario: how many slots, and how the experts are dealt to them.
//
//   {"slots": 288}                                              contiguous: slot s holds expert s mod experts
//   {"strategy": "random", "redundant": 32, "seed": 1}
//   {"strategy": "eplb", "redundant": 32}                       balances the experts' loads, see eplb.h
//       "policy": "hierarchical" or "global"; default: hierarchical where the model's groups can be dealt to the NVLink
//       domains evenly, as DeepSeek does
//   {"strategy": "topology", "redundant": 32, "seed": 1}        least time at what binds, see placement_search.h
//
// "slots" counts all slots, "redundant" those beyond one for each expert; default: as many as fill the ranks evenly.
// The last two strategies learn from tokens, each layer by itself:
//   "observe"         "following" (default): the tokens that come after the step's in its routing, so that the
//                     placement is judged on others; "same": the step's own, the best that can be; or a routing section
//   "observe_tokens"  how many, at most; default: as many as the step has, but no more than 32,768
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/rank_map.h"
#include "workloads/model.h"
#include "workloads/placement.h"
#include "workloads/placement_counters.h"
#include "workloads/routing_source.h"

namespace moesim::workloads {

enum class PlacementStrategy : std::uint8_t { Contiguous, Random, Eplb, Topology };
std::string_view to_string(PlacementStrategy strategy);  // "contiguous", "random", "eplb", "topology"

// What the step that a placement serves looks like.
struct PlacedStep {
  const RoutingSource* routing = nullptr;
  std::int32_t moe_layer = 0;
  std::int64_t tokens_per_rank = 0;
  const PlacementCosts* costs = nullptr;  // for "topology"
};

class PlacementSource {
 public:
  // `node` may be null (the default placement); its document must outlive the source. More ranks than slots, fewer
  // slots than experts, and keys that a strategy has no use for are InputErrors; slots that the ranks do not divide are
  // dealt as evenly as contiguity allows, with a warning, or refused by the strategies that learn.
  PlacementSource(const base::JsonNode* node, const Model& model, const base::RankMap& map,
                  std::vector<std::string>& warnings);
  ~PlacementSource();
  PlacementSource(PlacementSource&&) noexcept;

  // Alike for every layer: needs no step.
  bool learns() const;
  Placement layer(const PlacedStep& step) const;
  PlacementStrategy strategy() const;
  // "eplb over all GPUs, 288 slots for 256 experts, learned from the tokens after the step's".
  std::string describe() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moesim::workloads
