// How a model is spread over GPUs, and who does what with whom.
//
// gpus = tp * attention_dp * pp = ep * moe_tp * pp. The layers are cut into pp stages of gpus / pp ranks each; inside a
// stage the same ranks are dealt twice:
//   attention   attention_dp copies, each cut over tp ranks; a copy has its own sequences
//   experts     ep parts of the slots (experts and redundant copies), each expert cut over moe_tp ranks
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/rank_map.h"
#include "workloads/model.h"

namespace moesim::workloads {

// Which coordinates of neighbouring ranks differ, so which groups share a node. With S = gpus / pp and the local rank l
// = 0 ... S - 1 in a stage:
//                  rank              attention                experts
//   TpInnermost    stage * S + l     tp = l mod tp            moe_tp = l mod moe_tp
//   EpInnermost    stage * S + l     tp = l mod tp            ep = l mod ep (TensorRT-LLM's order)
//   DpInnermost    stage * S + l     dp = l mod attention_dp  ep = l mod ep
//   PpInnermost    l * pp + stage    tp = l mod tp            moe_tp = l mod moe_tp
// and the other coordinate is the quotient.
enum class MappingOrder : std::uint8_t { TpInnermost, EpInnermost, DpInnermost, PpInnermost };
std::string_view to_string(MappingOrder order);  // "tp_innermost", ...

struct ParallelPlan {
  std::int32_t gpus = 1;
  std::int32_t tp = 1;            // of attention, dense layers, shared experts, embedding and head
  std::int32_t attention_dp = 1;  // copies of attention, each with its own sequences
  std::int32_t pp = 1;
  std::int32_t ep = 1;
  std::int32_t moe_tp = 1;     // ranks that share each expert
  std::int32_t redundant = 0;  // slots beyond one for each expert, over all of ep
  MappingOrder mapping = MappingOrder::TpInnermost;

  std::int32_t stage_gpus() const { return gpus / pp; }
  std::int32_t slots(const Model& model) const { return model.experts + redundant; }
  std::int32_t slots_per_rank(const Model& model) const { return slots(model) / ep; }

  bool operator==(const ParallelPlan&) const = default;
};

// Why a plan cannot be: the field to blame ("tp", "ep", ...), what is wrong, what would do.
struct PlanProblem {
  std::string field;
  std::string problem;
  std::string expected;
};
// Empty for a possible plan. Dense models (no experts) have ep, moe_tp = 1 and no redundant slots.
std::vector<PlanProblem> plan_problems(const ParallelPlan& plan, const Model& model);
// What a reader of a possible plan should know: caches that are kept more than once, layers that stages share unevenly.
std::vector<std::string> plan_notes(const ParallelPlan& plan, const Model& model);

// A scenario's "plan" section, for a cluster of `gpus`:
//   {"tp": 4, "attention_dp": 2, "pp": 1, "ep": 8, "moe_tp": 1, "redundant": 32, "mapping": "tp_innermost"}
//   "gpus": N takes the first N GPUs of the cluster, for an instance of the model that leaves the others idle
// Absent fields: tp, pp and moe_tp are 1, attention_dp and ep use all GPUs, redundant is the least number that fills
// the ranks evenly. Throws InputError with the first of plan_problems.
ParallelPlan read_plan(const base::JsonNode* node, const Model& model, std::int32_t gpus);
base::Json to_json(const ParallelPlan& plan);     // read_plan of it gives the plan back
std::string to_string(const ParallelPlan& plan);  // "TP4 x DP2, EP8": factors of 1 are left out

// The coordinates of a rank.
struct PlanRank {
  std::int32_t stage = 0, tp = 0, dp = 0, ep = 0, moe_tp = 0;
};
PlanRank plan_rank(const ParallelPlan& plan, std::int32_t rank);
// The rank with these coordinates.
std::int32_t attention_rank(const ParallelPlan& plan, std::int32_t stage, std::int32_t dp, std::int32_t tp);
std::int32_t expert_rank(const ParallelPlan& plan, std::int32_t stage, std::int32_t ep, std::int32_t moe_tp);

// Ranks that differ from `rank` in one coordinate alone, itself included, in the order of that coordinate.
std::vector<std::int32_t> tp_group(const ParallelPlan& plan, std::int32_t rank);      // of one copy of attention
std::vector<std::int32_t> dp_group(const ParallelPlan& plan, std::int32_t rank);      // same part of every copy
std::vector<std::int32_t> ep_group(const ParallelPlan& plan, std::int32_t rank);      // exchange tokens
std::vector<std::int32_t> moe_tp_group(const ParallelPlan& plan, std::int32_t rank);  // share experts
std::vector<std::int32_t> stage_group(const ParallelPlan& plan, std::int32_t stage);  // ascending

// Layers of a stage: contiguous; the first (layers mod pp) stages have one more. The input embedding is in the first
// stage, the head in the last.
struct StageLayers {
  std::int32_t first = 0;
  std::int32_t count = 0;
};
StageLayers stage_layers(const ParallelPlan& plan, const Model& model, std::int32_t stage);
std::int32_t stage_moe_layers(const ParallelPlan& plan, const Model& model, std::int32_t stage);

// Where the members of a group sit.
struct GroupSpread {
  std::int32_t members = 0;
  std::int32_t nodes = 0;              // that it touches
  std::int32_t domains = 0;            // NVLink domains that it touches
  std::int32_t most_in_a_domain = 0;   // members in the domain that has most
  std::int32_t least_in_a_domain = 0;  // in the one of those touched that has least
};
GroupSpread group_spread(const std::vector<std::int32_t>& group, const base::RankMap& map);
// The map of a group alone: member i of it is rank i.
base::RankMap group_map(const std::vector<std::int32_t>& group, const base::RankMap& map);

}  // namespace moesim::workloads
