#include "workloads/placement_section.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "workloads/eplb.h"
#include "workloads/placement_search.h"
#include "workloads/trace_statistics.h"

namespace moesim::workloads {
namespace {

using base::JsonNode;
using base::JsonObject;

constexpr std::array<std::string_view, 4> kStrategies{"contiguous", "random", "eplb", "topology"};
constexpr std::int64_t kMaxSlots = 1 << 24;
constexpr std::int64_t kLargestSeed = std::int64_t{1} << 53;
constexpr std::int64_t kObservedAtMost = 1 << 15;

enum class Observed : std::uint8_t { Following, Same, Other };

std::string text(std::int64_t number) { return std::to_string(number); }

std::int32_t read_slots(const JsonObject& object, std::int32_t experts, std::int32_t ranks,
                        std::vector<std::string>& warnings) {
  if (object.has("slots") && object.has("redundant"))
    object.required("redundant").fail("beside \"slots\"", "one of the two");
  const auto given = object.has("slots") ? object.optional("slots") : object.optional("redundant");
  if (!given) return (experts + ranks - 1) / ranks * ranks;
  const bool extra = object.has("redundant");
  const auto slots =
      static_cast<std::int32_t>(extra ? experts + given->integer(0, kMaxSlots) : given->integer(1, kMaxSlots));
  if (slots < experts) given->fail("fewer slots than the " + text(experts) + " experts", "a slot for every expert");
  if (slots < ranks) given->fail("more ranks (" + text(ranks) + ") than slots", "a slot for every rank");
  const std::string slots_on_ranks = text(slots) + " slots on " + text(ranks) + " ranks";
  if (slots % ranks != 0)
    warnings.push_back(given->pointer() + ": " + slots_on_ranks + ": the first " + text(slots % ranks) +
                       " ranks hold " + text(slots / ranks + 1) + ", the others " + text(slots / ranks));
  if ((slots + ranks - 1) / ranks > experts)
    warnings.push_back(given->pointer() + ": with " + slots_on_ranks + " a rank holds the same expert more than once");
  return slots;
}

}  // namespace

std::string_view to_string(PlacementStrategy strategy) { return kStrategies[static_cast<std::size_t>(strategy)]; }

struct PlacementSource::State {
  Model model;
  base::RankMap map;
  std::optional<JsonNode> node;
  PlacementStrategy strategy = PlacementStrategy::Contiguous;
  std::int32_t slots = 0;
  std::uint64_t seed = 1;
  std::int32_t nodes = 1;  // for EPLB; 1: global
  Observed observed = Observed::Following;
  std::optional<RoutingSource> other;
  std::int64_t observe_tokens = 0;  // 0: as many as the step has

  void read_policy(const JsonObject& object);
  void read_observed(const JsonObject& object, std::vector<std::string>& warnings);
  Trace observe(const PlacedStep& step) const;
};

void PlacementSource::State::read_policy(const JsonObject& object) {
  const std::int32_t domains = equal_domains(map);
  const bool dealt = domains > 1 && model.groups % domains == 0;
  nodes = dealt ? domains : 1;
  const auto policy = object.optional("policy");
  if (!policy) return;
  if (policy->one_of({"hierarchical", "global"}) == 1) {
    nodes = 1;
  } else if (!dealt) {
    policy->fail(domains > 1 ? text(domains) + " NVLink domains cannot share the " + text(model.groups) +
                                   " expert groups of " + model.name + " evenly"
                             : "there are not several equal NVLink domains to deal the experts' groups to",
                 "\"global\"");
  }
}

void PlacementSource::State::read_observed(const JsonObject& object, std::vector<std::string>& warnings) {
  observe_tokens =
      object.get("observe_tokens", std::int64_t{0}, [](const JsonNode& n) { return n.integer(1, 1 << 24); });
  const auto observe = object.optional("observe");
  if (!observe) return;
  if (observe->is_string()) {
    observed = observe->one_of({"following", "same"}) == 0 ? Observed::Following : Observed::Same;
  } else {
    observed = Observed::Other;
    other.emplace(*observe, model, warnings);
  }
}

Trace PlacementSource::State::observe(const PlacedStep& step) const {
  const std::int32_t ranks = map.ranks();
  const std::int64_t own = step.tokens_per_rank * ranks;
  const std::int64_t wanted = observe_tokens > 0 ? observe_tokens : std::min(own, kObservedAtMost);
  if (observed == Observed::Other) return other->tokens(step.moe_layer, 0, wanted);
  Trace trace = step.routing->tokens(step.moe_layer, observed == Observed::Same ? 0 : own, wanted);
  if (trace.tokens == 0)
    node->fail("the routing has no tokens beyond the step's " + text(own) + " to learn a placement from",
               "fewer tokens_per_gpu, a longer trace, \"observe\": {a routing section}, or \"same\" for the best case");
  return trace;
}

PlacementSource::PlacementSource(const JsonNode* node, const Model& model, const base::RankMap& map,
                                 std::vector<std::string>& warnings)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.model = model;
  s.map = map;
  const std::int32_t ranks = map.ranks();
  if (node == nullptr) {
    s.slots = (model.experts + ranks - 1) / ranks * ranks;
    return;
  }
  s.node = *node;
  const JsonObject object(*node, {"strategy", "slots", "redundant", "seed", "policy", "observe", "observe_tokens"});
  if (const auto strategy = object.optional("strategy"))
    s.strategy = static_cast<PlacementStrategy>(
        strategy->one_of({kStrategies[0], kStrategies[1], kStrategies[2], kStrategies[3]}));
  const auto only = [&](const char* key, std::initializer_list<PlacementStrategy> with) {
    if (!object.has(key) || std::find(with.begin(), with.end(), s.strategy) != with.end()) return;
    std::string names;
    for (const PlacementStrategy other : with)
      names += (names.empty() ? "\"" : " or \"") + std::string(to_string(other)) + "\"";
    object.required(key).fail("strategy \"" + std::string(to_string(s.strategy)) + "\" has no use for it",
                              "\"strategy\": " + names);
  };
  using enum PlacementStrategy;
  only("seed", {Random, Topology});
  only("policy", {Eplb});
  only("observe", {Eplb, Topology});
  only("observe_tokens", {Eplb, Topology});
  s.slots = read_slots(object, model.experts, ranks, warnings);
  if (learns() && s.slots % ranks != 0)
    object.required(object.has("slots") ? "slots" : "redundant")
        .fail(text(s.slots) + " slots on " + text(ranks) + " ranks, of which \"" + std::string(to_string(s.strategy)) +
                  "\" needs equally many on each",
              text((s.slots + ranks - 1) / ranks * ranks - (object.has("slots") ? 0 : model.experts)));
  s.seed = object.get("seed", std::uint64_t{1}, [](const JsonNode& n) { return n.integer(0, kLargestSeed); });
  s.read_policy(object);
  s.read_observed(object, warnings);
}

PlacementSource::~PlacementSource() = default;
PlacementSource::PlacementSource(PlacementSource&&) noexcept = default;

PlacementStrategy PlacementSource::strategy() const { return state_->strategy; }

bool PlacementSource::learns() const {
  return state_->strategy == PlacementStrategy::Eplb || state_->strategy == PlacementStrategy::Topology;
}

Placement PlacementSource::layer(const PlacedStep& step) const {
  const State& s = *state_;
  const std::int32_t experts = s.model.experts, ranks = s.map.ranks();
  if (s.strategy == PlacementStrategy::Contiguous) return contiguous_placement(experts, ranks, s.slots);
  if (s.strategy == PlacementStrategy::Random) return random_placement(experts, ranks, s.slots, s.seed);
  MOESIM_CHECK(step.routing != nullptr && step.tokens_per_rank > 0, "a step to learn a placement for");
  const Trace seen = s.observe(step);
  if (s.strategy == PlacementStrategy::Topology) {
    MOESIM_CHECK(step.costs != nullptr, "costs of what a placement uses");
    PlacementCosts costs = *step.costs;
    costs.any_source = s.observed != Observed::Same || seen.tokens != step.tokens_per_rank * ranks;
    return search_placement(seen.layer(0), experts, s.map, costs, {s.slots, s.model.groups, s.seed});
  }
  const std::vector<std::int64_t> counts = expert_loads(seen.layer(0), experts);
  const std::vector<double> loads(counts.begin(), counts.end());
  return eplb_placement(loads, {s.slots, ranks, s.nodes > 1 ? s.model.groups : 1, s.nodes});
}

std::string PlacementSource::describe() const {
  const State& s = *state_;
  std::string result(to_string(s.strategy));
  if (s.strategy == PlacementStrategy::Eplb)
    result += s.nodes > 1 ? ", hierarchical over " + text(s.nodes) + " NVLink domains" : ", global";
  result += ", " + text(s.slots) + " slots for " + text(s.model.experts) + " experts";
  if (learns())
    result +=
        std::string(", learned from ") + (s.observed == Observed::Same ? "the step's own tokens, as no scheduler could"
                                          : s.observed == Observed::Following ? "the tokens that follow the step's"
                                                                              : "another routing");
  return result;
}

}  // namespace moesim::workloads
