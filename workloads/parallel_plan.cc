#include "workloads/parallel_plan.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace moesim::workloads {
namespace {

constexpr std::array<std::string_view, 4> kMappings{"tp_innermost", "ep_innermost", "dp_innermost", "pp_innermost"};
constexpr std::int64_t kMaxGpus = 1 << 20;

struct Degree {
  const char* key;
  std::int32_t ParallelPlan::*member;
};
constexpr std::array<Degree, 5> kDegrees{{{"tp", &ParallelPlan::tp},
                                          {"attention_dp", &ParallelPlan::attention_dp},
                                          {"pp", &ParallelPlan::pp},
                                          {"ep", &ParallelPlan::ep},
                                          {"moe_tp", &ParallelPlan::moe_tp}}};

std::string text(std::int64_t number) { return std::to_string(number); }

bool divides(std::int32_t a, std::int32_t b) { return a > 0 && b % a == 0; }

// "2 x 3 x 4"
std::int64_t product(std::initializer_list<std::int32_t> factors) {
  std::int64_t result = 1;
  for (const std::int32_t factor : factors) result *= factor;
  return result;
}

bool dp_innermost(const ParallelPlan& plan) { return plan.mapping == MappingOrder::DpInnermost; }
bool ep_innermost(const ParallelPlan& plan) {
  return plan.mapping == MappingOrder::EpInnermost || plan.mapping == MappingOrder::DpInnermost;
}

std::int32_t global_rank(const ParallelPlan& plan, std::int32_t stage, std::int32_t local) {
  return plan.mapping == MappingOrder::PpInnermost ? local * plan.pp + stage : stage * plan.stage_gpus() + local;
}

void attention_problems(const ParallelPlan& plan, const Model& model, std::vector<PlanProblem>& problems) {
  for (const Attention& attention : model.attention) {
    const std::string of = " of its " + std::string(to_string(attention.kind)) + " layers";
    if (attention.heads > 0 && !divides(plan.tp, attention.heads)) {
      problems.push_back({"tp",
                          text(plan.tp) + " ranks cannot share the " + text(attention.heads) + " attention heads" + of,
                          "a divisor of " + text(attention.heads)});
      return;
    }
    const std::int32_t kv = attention.kv_heads;
    if (kv > 0 && !divides(plan.tp, kv) && !divides(kv, plan.tp)) {
      problems.push_back(
          {"tp",
           text(plan.tp) + " ranks can neither share nor evenly replicate the " + text(kv) + " key-value heads" + of,
           "a divisor or a multiple of " + text(kv)});
      return;
    }
  }
}

void expert_problems(const ParallelPlan& plan, const Model& model, std::vector<PlanProblem>& problems) {
  if (model.experts == 0) {
    for (const Degree& degree : {kDegrees[3], kDegrees[4]})
      if (plan.*degree.member != 1) problems.push_back({degree.key, model.name + " has no experts", "1"});
    if (plan.redundant != 0) problems.push_back({"redundant", model.name + " has no experts", "0"});
    return;
  }
  if (!divides(plan.ep, plan.slots(model))) {
    const std::int32_t more = plan.ep - plan.slots(model) % plan.ep;
    problems.push_back(
        {plan.redundant > 0 ? "redundant" : "ep",
         text(model.experts) + " experts and " + text(plan.redundant) + " redundant slots are " +
             text(plan.slots(model)) + ", which EP" + text(plan.ep) + " does not divide",
         text(plan.redundant + more) + " redundant slots, or an ep that divides " + text(plan.slots(model))});
  } else if (plan.slots_per_rank(model) > model.experts) {
    problems.push_back({"redundant",
                        text(plan.slots_per_rank(model)) + " slots per rank for " + text(model.experts) +
                            " experts: a rank would hold an expert twice",
                        "at most " + text(std::int64_t{plan.ep - 1} * model.experts)});
  }
  if (!divides(plan.moe_tp, model.expert_ffn))
    problems.push_back({"moe_tp",
                        text(plan.moe_tp) + " ranks cannot share an expert's " + text(model.expert_ffn) + " columns",
                        "a divisor of " + text(model.expert_ffn)});
}

}  // namespace

std::string_view to_string(MappingOrder order) { return kMappings[static_cast<std::size_t>(order)]; }

std::vector<PlanProblem> plan_problems(const ParallelPlan& plan, const Model& model) {
  std::vector<PlanProblem> problems;
  for (const Degree& degree : kDegrees) {
    if (plan.*degree.member < 1) problems.push_back({degree.key, text(plan.*degree.member) + " parts", "1 or more"});
  }
  if (plan.gpus < 1) problems.push_back({"gpus", text(plan.gpus) + " GPUs", "1 or more"});
  if (plan.redundant < 0) problems.push_back({"redundant", text(plan.redundant) + " redundant slots", "0 or more"});
  if (!problems.empty()) return problems;
  const std::string gpus = ", not the " + text(plan.gpus) + " GPUs";
  const std::string pp = " x pp " + text(plan.pp) + " = ";
  if (const auto used = product({plan.tp, plan.attention_dp, plan.pp}); used != plan.gpus)
    problems.push_back({"attention_dp",
                        "tp " + text(plan.tp) + " x attention_dp " + text(plan.attention_dp) + pp + text(used) + gpus,
                        "a product of " + text(plan.gpus)});
  if (const auto used = product({plan.ep, plan.moe_tp, plan.pp}); model.experts > 0 && used != plan.gpus)
    problems.push_back({"ep", "ep " + text(plan.ep) + " x moe_tp " + text(plan.moe_tp) + pp + text(used) + gpus,
                        "a product of " + text(plan.gpus)});
  if (plan.pp > model.layers)
    problems.push_back({"pp", text(plan.pp) + " stages for the " + text(model.layers) + " layers of " + model.name,
                        "at most " + text(model.layers)});
  attention_problems(plan, model, problems);
  expert_problems(plan, model, problems);
  return problems;
}

std::vector<std::string> plan_notes(const ParallelPlan& plan, const Model& model) {
  std::set<std::string> caches;
  for (const Attention& attention : model.attention) {
    if (plan.tp == 1) break;
    if (attention.kind == AttentionKind::Mla)
      caches.insert("the latent cache of MLA is kept by each of the " + text(plan.tp) + " tensor-parallel ranks");
    if (attention.kind == AttentionKind::Compressed)
      caches.insert("the one compressed key-value vector is kept by each of the " + text(plan.tp) +
                    " tensor-parallel ranks");
    if (attention.kind == AttentionKind::Gqa && attention.kv_heads < plan.tp)
      caches.insert("each of the " + text(attention.kv_heads) + " key-value heads is kept by " +
                    text(plan.tp / attention.kv_heads) + " of the " + text(plan.tp) + " tensor-parallel ranks");
  }
  std::vector<std::string> notes(caches.begin(), caches.end());
  if (model.layers % plan.pp != 0)
    notes.push_back("of the " + text(plan.pp) + " pipeline stages, the first " + text(model.layers % plan.pp) +
                    " have " + text(model.layers / plan.pp + 1) + " layers, the others " +
                    text(model.layers / plan.pp));
  return notes;
}

ParallelPlan read_plan(const base::JsonNode* node, const Model& model, std::int32_t gpus) {
  MOESIM_CHECK(gpus > 0, "a plan needs GPUs");
  const auto empty = base::parse_json("{}", "default plan");
  const base::JsonObject object(node != nullptr ? *node : base::JsonNode(empty),
                                {"gpus", "tp", "attention_dp", "pp", "ep", "moe_tp", "redundant", "mapping"});
  ParallelPlan plan;
  gpus = object.get("gpus", gpus, [&](const base::JsonNode& n) { return n.integer(1, gpus); });
  plan.gpus = gpus;
  for (const Degree& degree : kDegrees)
    plan.*degree.member = object.get(degree.key, 1, [](const base::JsonNode& n) { return n.integer(1, kMaxGpus); });
  const auto rest = [&](std::int32_t other, const char* name) {
    if (product({other, plan.pp}) > gpus || gpus % (other * plan.pp) != 0) {
      const char* blamed = object.has(name) ? name : "pp";
      object.required(blamed).fail(std::string(name) + " " + text(other) + " x pp " + text(plan.pp) +
                                       " does not divide the " + text(gpus) + " GPUs",
                                   "a product that divides them");
    }
    return gpus / (other * plan.pp);
  };
  if (!object.has("attention_dp")) plan.attention_dp = rest(plan.tp, "tp");
  if (!object.has("ep") && model.experts > 0) plan.ep = rest(plan.moe_tp, "moe_tp");
  plan.redundant = object.get("redundant", (plan.ep - model.experts % plan.ep) % plan.ep,
                              [](const base::JsonNode& n) { return n.integer(0, kMaxGpus); });
  if (const auto mapping = object.optional("mapping"))
    plan.mapping = static_cast<MappingOrder>(mapping->one_of({kMappings[0], kMappings[1], kMappings[2], kMappings[3]}));
  const auto problems = plan_problems(plan, model);
  if (!problems.empty()) {
    const PlanProblem& first = problems.front();
    if (object.has(first.field)) object.required(first.field).fail(first.problem, first.expected);
    object.node().fail(first.problem, first.expected);
  }
  return plan;
}

base::Json to_json(const ParallelPlan& plan) {
  base::Json json{{"gpus", plan.gpus}};
  for (const Degree& degree : kDegrees) json[degree.key] = plan.*degree.member;
  json["redundant"] = plan.redundant;
  json["mapping"] = to_string(plan.mapping);
  return json;
}

std::string to_string(const ParallelPlan& plan) {
  const auto part = [](std::initializer_list<std::pair<const char*, std::int32_t>> factors) {
    std::string result;
    for (const auto& [name, count] : factors)
      if (count > 1) result += (result.empty() ? "" : " x ") + std::string(name) + text(count);
    return result;
  };
  if (plan.gpus == 1) return "one GPU";
  std::string result = part({{"TP", plan.tp}, {"DP", plan.attention_dp}});
  for (const std::string& more : {part({{"EP", plan.ep}, {"expert-TP", plan.moe_tp}}), part({{"PP", plan.pp}})})
    if (!more.empty()) result += (result.empty() ? "" : ", ") + more;
  return result + (plan.mapping == MappingOrder::TpInnermost ? "" : " (" + std::string(to_string(plan.mapping)) + ")");
}

PlanRank plan_rank(const ParallelPlan& plan, std::int32_t rank) {
  MOESIM_CHECK(rank >= 0 && rank < plan.gpus, "a rank of the plan");
  const bool pp_first = plan.mapping == MappingOrder::PpInnermost;
  const std::int32_t local = pp_first ? rank / plan.pp : rank % plan.stage_gpus();
  PlanRank place;
  place.stage = pp_first ? rank % plan.pp : rank / plan.stage_gpus();
  place.tp = dp_innermost(plan) ? local / plan.attention_dp : local % plan.tp;
  place.dp = dp_innermost(plan) ? local % plan.attention_dp : local / plan.tp;
  place.ep = ep_innermost(plan) ? local % plan.ep : local / plan.moe_tp;
  place.moe_tp = ep_innermost(plan) ? local / plan.ep : local % plan.moe_tp;
  return place;
}

std::int32_t attention_rank(const ParallelPlan& plan, std::int32_t stage, std::int32_t dp, std::int32_t tp) {
  return global_rank(plan, stage, dp_innermost(plan) ? tp * plan.attention_dp + dp : dp * plan.tp + tp);
}

std::int32_t expert_rank(const ParallelPlan& plan, std::int32_t stage, std::int32_t ep, std::int32_t moe_tp) {
  return global_rank(plan, stage, ep_innermost(plan) ? moe_tp * plan.ep + ep : ep * plan.moe_tp + moe_tp);
}

std::vector<std::int32_t> tp_group(const ParallelPlan& plan, std::int32_t rank) {
  const PlanRank own = plan_rank(plan, rank);
  std::vector<std::int32_t> group;
  for (std::int32_t tp = 0; tp < plan.tp; ++tp) group.push_back(attention_rank(plan, own.stage, own.dp, tp));
  return group;
}

std::vector<std::int32_t> dp_group(const ParallelPlan& plan, std::int32_t rank) {
  const PlanRank own = plan_rank(plan, rank);
  std::vector<std::int32_t> group;
  for (std::int32_t dp = 0; dp < plan.attention_dp; ++dp) group.push_back(attention_rank(plan, own.stage, dp, own.tp));
  return group;
}

std::vector<std::int32_t> ep_group(const ParallelPlan& plan, std::int32_t rank) {
  const PlanRank own = plan_rank(plan, rank);
  std::vector<std::int32_t> group;
  for (std::int32_t ep = 0; ep < plan.ep; ++ep) group.push_back(expert_rank(plan, own.stage, ep, own.moe_tp));
  return group;
}

std::vector<std::int32_t> moe_tp_group(const ParallelPlan& plan, std::int32_t rank) {
  const PlanRank own = plan_rank(plan, rank);
  std::vector<std::int32_t> group;
  for (std::int32_t tp = 0; tp < plan.moe_tp; ++tp) group.push_back(expert_rank(plan, own.stage, own.ep, tp));
  return group;
}

std::vector<std::int32_t> stage_group(const ParallelPlan& plan, std::int32_t stage) {
  std::vector<std::int32_t> group;
  for (std::int32_t local = 0; local < plan.stage_gpus(); ++local) group.push_back(global_rank(plan, stage, local));
  return group;
}

StageLayers stage_layers(const ParallelPlan& plan, const Model& model, std::int32_t stage) {
  MOESIM_CHECK(stage >= 0 && stage < plan.pp, "a stage of the plan");
  const std::int32_t each = model.layers / plan.pp, more = model.layers % plan.pp;
  return {stage * each + std::min(stage, more), each + (stage < more ? 1 : 0)};
}

std::int32_t stage_moe_layers(const ParallelPlan& plan, const Model& model, std::int32_t stage) {
  const StageLayers layers = stage_layers(plan, model, stage);
  std::int32_t count = 0;
  for (std::int32_t layer = layers.first; layer < layers.first + layers.count; ++layer)
    count += model.moe_index(layer) >= 0 ? 1 : 0;
  return count;
}

GroupSpread group_spread(const std::vector<std::int32_t>& group, const base::RankMap& map) {
  std::set<std::int32_t> nodes;
  std::map<std::int32_t, std::int32_t> domains;
  for (const std::int32_t rank : group) {
    nodes.insert(map.node[static_cast<std::size_t>(rank)]);
    ++domains[map.domain[static_cast<std::size_t>(rank)]];
  }
  GroupSpread spread;
  spread.members = static_cast<std::int32_t>(group.size());
  spread.nodes = static_cast<std::int32_t>(nodes.size());
  spread.domains = static_cast<std::int32_t>(domains.size());
  for (const auto& [domain, members] : domains) {
    spread.most_in_a_domain = std::max(spread.most_in_a_domain, members);
    spread.least_in_a_domain = spread.least_in_a_domain == 0 ? members : std::min(spread.least_in_a_domain, members);
  }
  return spread;
}

base::RankMap group_map(const std::vector<std::int32_t>& group, const base::RankMap& map) {
  base::RankMap result;
  for (const std::int32_t rank : group) {
    result.node.push_back(map.node[static_cast<std::size_t>(rank)]);
    result.domain.push_back(map.domain[static_cast<std::size_t>(rank)]);
  }
  return result;
}

}  // namespace moesim::workloads
