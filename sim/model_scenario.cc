#include "sim/model_scenario.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/parallel.h"
#include "base/random.h"
#include "sim/lowering/placement_costs.h"
#include "workloads/placement_section.h"
#include "workloads/routing_source.h"

namespace moesim::sim {
namespace {

using base::JsonNode;
using base::JsonObject;

constexpr std::int64_t kMaxTokens = 1 << 20;
constexpr std::int64_t kLargestSeed = std::int64_t{1} << 53;
constexpr std::int32_t kMaxMicroBatches = 64;
constexpr std::int32_t kMaxDrafts = 16;

// Part b of a number dealt over n: the first ones get what is left over.
std::int64_t part(std::int64_t whole, std::int32_t n, std::int32_t b) { return whole / n + (b < whole % n ? 1 : 0); }

struct Lengths {
  double mean = 0;
  std::size_t distribution = 0;  // fixed, uniform, exponential
  std::uint64_t seed = 1;
};

Lengths read_lengths(const JsonNode& node) {
  Lengths lengths;
  if (!node.is_object()) {
    lengths.mean = node.number(0, 1 << 24);
    return lengths;
  }
  const JsonObject object(node, {"mean", "distribution", "seed"});
  lengths.mean = object.required("mean").number(0, 1 << 24);
  if (const auto kind = object.optional("distribution"))
    lengths.distribution = kind->one_of({"fixed", "uniform", "exponential"});
  lengths.seed = object.get("seed", std::uint64_t{1}, [](const JsonNode& n) { return n.integer(0, kLargestSeed); });
  return lengths;
}

void draw_lengths(const Lengths& lengths, ModelScenario& scenario) {
  scenario.kv_mean = lengths.mean;
  for (std::int32_t copy = 0; copy < scenario.plan.attention_dp; ++copy) {
    double sum = lengths.mean * static_cast<double>(scenario.batch);
    if (lengths.distribution > 0) {
      base::RandomStream stream(lengths.seed, "kv_tokens", static_cast<std::uint64_t>(copy));
      sum = 0;
      for (std::int64_t s = 0; s < scenario.batch; ++s)
        sum += lengths.mean * (lengths.distribution == 1 ? 2 * stream.uniform() : -std::log1p(-stream.uniform()));
    }
    scenario.kv_of_copy.push_back(scenario.batch > 0 ? sum / static_cast<double>(scenario.batch) : 0);
  }
}

// What the kernel keeps for its buffers (assumed): low latency has a slot for every token of every expert, twice; the
// other kernels a fixed workspace.
base::Bytes communication_memory(const std::string& kernel, const workloads::Model& model, const ModelScenario& s) {
  if (s.plan.gpus == 1 || kernel == "ideal") return base::Bytes(0);
  if (kernel == "deepep_low_latency") {
    const double tokens = static_cast<double>(part(s.pass(0, 0).tokens(), s.plan.tp, 0));
    return base::Bytes(2 * 2 * tokens * (model.experts + s.plan.redundant) * (2.0 * model.dispatch_width() + 16));
  }
  return base::Bytes(kernel.starts_with("deepep") ? 2e9 : 0.5e9);
}

// The placement section with as many slots as the plan has.
std::shared_ptr<base::JsonDocument> placement_document(const JsonObject& root, const ModelScenario& scenario) {
  const auto given = root.optional("placement");
  auto document = std::make_shared<base::JsonDocument>(root.node().document());
  base::Json section = given ? given->json() : base::Json::object();
  if (section.is_object() && !section.contains("slots") && !section.contains("redundant") &&
      scenario.plan.redundant > 0)
    section["redundant"] = scenario.plan.redundant;
  document->root = std::make_shared<base::Json>(base::Json{{"placement", section}});
  return document;
}

// The tokens of micro-batch b out of those of all micro-batches of every rank.
std::vector<std::uint16_t> tokens_of_batch(const workloads::LayerRouting& all, std::int32_t ranks,
                                           std::int64_t per_rank, std::int64_t first, std::int64_t count) {
  std::vector<std::uint16_t> ids;
  ids.reserve(static_cast<std::size_t>(ranks * count * all.top_k));
  for (std::int32_t rank = 0; rank < ranks; ++rank) {
    const auto own = all.slice(rank * per_rank + first, count).experts;
    ids.insert(ids.end(), own.begin(), own.end());
  }
  return ids;
}

}  // namespace

std::int64_t ModelScenario::prompts() const {
  return prefill_tokens > 0 ? (prefill_tokens + prompt_tokens - 1) / prompt_tokens : 0;
}

double ModelScenario::accepted_tokens() const {
  double sum = 1, power = 1;
  for (std::int32_t d = 0; d < draft_tokens; ++d) sum += power *= acceptance;
  return sum;
}

lowering::PassTokens ModelScenario::pass(std::int32_t copy, std::int32_t b) const {
  lowering::PassTokens tokens;
  tokens.sequences = part(batch, micro_batches, b);
  tokens.tokens_per_sequence = 1 + draft_tokens;
  tokens.cached = kv_of_copy[static_cast<std::size_t>(copy)];
  tokens.prefill_tokens = part(prefill_tokens, micro_batches, b);
  tokens.prompt_tokens = prompt_tokens;
  tokens.fp8_cache = memory.cache_element < 2;
  return tokens;
}

ModelScenario read_model_step(const JsonObject& root, const workloads::Model& model, std::int32_t gpus,
                              std::string& phase) {
  ModelScenario scenario;
  const auto plan = root.optional("plan");
  scenario.plan = workloads::read_plan(plan ? &*plan : nullptr, model, gpus);
  scenario.redundant_given = plan && plan->json().contains("redundant");
  const JsonObject step(root.required("step"),
                        {"scope", "phase", "batch", "kv_tokens", "prefill_tokens", "prompt_tokens", "micro_batches",
                         "overlap", "launch", "speculative", "start_jitter"});
  phase = "decode";
  if (const auto node = step.optional("phase")) {
    node->one_of({"decode", "prefill"});
    phase = node->string();
  }
  const bool decode = phase == "decode";
  if (const auto node = step.optional("batch"); node && node->is_string())
    node->one_of({"largest"}), scenario.batch = -1;
  else if (node)
    scenario.batch = node->integer(0, kMaxTokens);
  else if (decode)
    step.required("batch");
  scenario.prefill_tokens =
      step.get("prefill_tokens", std::int64_t{0}, [](const JsonNode& n) { return n.integer(0, kMaxTokens); });
  if (!decode) step.required("prefill_tokens");
  if (scenario.batch == 0 && scenario.prefill_tokens == 0)
    root.required("step").fail("no tokens", "a batch that decodes, or prefill_tokens");
  scenario.prompt_tokens = step.get("prompt_tokens", std::max<std::int64_t>(1, scenario.prefill_tokens),
                                    [](const JsonNode& n) { return n.integer(1, kMaxTokens); });
  if (scenario.batch != 0) {
    const Lengths lengths = read_lengths(step.required("kv_tokens"));
    scenario.kv_mean = lengths.mean;
  } else if (const auto node = step.optional("kv_tokens")) {
    node->fail("without a batch that decodes", "a batch, or no kv_tokens");
  }
  if (const auto node = step.optional("prompt_tokens"); node && scenario.prefill_tokens == 0)
    node->fail("without prefill_tokens", "prefill_tokens, or no prompt_tokens");
  if (const auto node = step.optional("overlap"))
    scenario.overlap = static_cast<step::Overlap>(node->one_of({"none", "shared_expert", "two_batch"}));
  const bool two = scenario.overlap == step::Overlap::TwoBatch;
  scenario.micro_batches =
      step.get("micro_batches", two ? 2 : 1, [](const JsonNode& n) { return n.integer(1, kMaxMicroBatches); });
  if (two && scenario.micro_batches != 2) step.required("micro_batches").fail("with overlap \"two_batch\"", "2");
  if (const auto node = step.optional("launch"))
    scenario.launch = static_cast<step::Launch>(node->one_of({"graph", "eager"}));
  if (const auto node = step.optional("speculative")) {
    const JsonObject speculative(*node, {"draft_tokens", "acceptance"});
    if (model.experts == 0) node->fail("drafts by a MoE layer, of a model without experts", "no such member");
    scenario.draft_tokens = static_cast<std::int32_t>(speculative.required("draft_tokens").integer(1, kMaxDrafts));
    scenario.acceptance = speculative.required("acceptance").number(0, 1);
  }
  return scenario;
}

void check_memory(const JsonObject& root, const workloads::Model& model, const profile::Profile& profile,
                  const std::string& kernel, ModelScenario& scenario) {
  const auto section = root.optional("memory");
  const auto step = root.required("step");
  scenario.memory = workloads::read_memory(section ? &*section : nullptr, profile.hbm_capacity.value);
  workloads::MemoryRequest& memory = scenario.memory;
  const std::int64_t at_once = scenario.prefill_tokens > 0 ? scenario.prompt_tokens : 0;
  memory.sequence_tokens = std::max<std::int64_t>(std::llround(scenario.kv_mean), at_once);
  memory.prefill_tokens = std::max(memory.prefill_tokens, scenario.prefill_tokens);
  memory.decode_tokens = std::max<double>(memory.decode_tokens, 1 + scenario.draft_tokens);
  const bool largest = scenario.batch < 0;
  if (largest) {
    if (profile.ideal) step.member("batch").fail("profile \"ideal\" has no memory", "a number of sequences");
    scenario.batch = 1;
  }
  scenario.kv_of_copy.assign(static_cast<std::size_t>(scenario.plan.attention_dp), scenario.kv_mean);
  // All pipeline stages are busy: each holds the caches of as many micro-batches.
  const std::int64_t per_stage = scenario.plan.pp;
  const std::int64_t prompts = scenario.prompts();
  const auto fit_of = [&](std::int64_t batch) {  // the kernel's buffers grow with the batch
    scenario.batch = batch;
    memory.communication = communication_memory(kernel, model, scenario);
    return workloads::memory_fit(model, scenario.plan, memory, (batch + prompts) * per_stage);
  };
  const std::int64_t batch = scenario.batch;
  if (!profile.ideal) {
    workloads::MemoryFit fit = fit_of(batch);
    std::int64_t most = -1, above = std::max<std::int64_t>(0, fit_of(1).largest / per_stage - prompts) + 1;
    while (above - most > 1) {
      const std::int64_t middle = most + (above - most) / 2;
      (fit_of(middle).fits() ? most : above) = middle;
    }
    if (largest && most < 1) step.member("batch").fail(describe(fit, memory), "a plan or GPUs that hold the model");
    fit = fit_of(largest ? most : batch);
    if (most >= 0) fit.largest = (most + prompts) * per_stage;
    scenario.fit = fit;
    if (!fit.fits()) {
      const JsonNode blamed = step.json().contains("batch") ? step.member("batch") : step.member("prefill_tokens");
      blamed.fail(std::to_string((batch + prompts) * per_stage) +
                      " sequences in each copy of attention do not fit: " + describe(fit, memory),
                  "fewer of them, another plan, or more GPUs");
    }
  }
  if (scenario.batch > 0) {
    scenario.kv_of_copy.clear();
    draw_lengths(read_lengths(step.member("kv_tokens")), scenario);
  }
  const std::int64_t least = std::max(scenario.batch, scenario.prefill_tokens);
  if (least < scenario.micro_batches)
    step.fail(
        std::to_string(scenario.micro_batches) + " micro-batches of " + std::to_string(least) + " sequences or tokens",
        "at least one in each");
}

topology::Cluster stage_cluster(const topology::Cluster& cluster, const workloads::ParallelPlan& plan,
                                std::int32_t stage) {
  topology::Cluster part = cluster;
  if (plan.pp == 1) return part;
  part.gpus.clear();
  for (const std::int32_t rank : workloads::stage_group(plan, stage))
    part.gpus.push_back(cluster.gpus[static_cast<std::size_t>(rank)]);
  return part;
}

std::string make_model_routing(const RoutingInputs& in, ModelScenario& scenario, std::vector<std::string>& warnings) {
  const workloads::Model& model = *in.model;
  const workloads::ParallelPlan& plan = scenario.plan;
  const topology::Cluster cluster = stage_cluster(*in.cluster, plan, 0);
  const std::vector<std::int32_t> group =
      scenario.dealt ? workloads::stage_group(plan, 0) : workloads::ep_group(plan, 0);
  const base::RankMap map = workloads::group_map(group, in.cluster->rank_map());
  const std::int32_t holders = map.ranks();                                   // of experts
  const std::int32_t senders = scenario.dealt ? holders : plan.attention_dp;  // of tokens
  const std::int32_t cut = scenario.dealt ? plan.tp : 1;  // a copy's tokens are dealt to so many of them

  const auto document = placement_document(*in.root, scenario);
  const JsonNode placement_root(*document);
  const JsonNode placement_node = placement_root.member("placement");
  const workloads::PlacementSource placement(&placement_node, model, map, warnings);
  const workloads::RoutingSource routing(in.root->required("routing"), model, warnings);
  const auto needs = in.kernel != nullptr ? in.kernel->needs() : lowering::TokenNeeds{};
  const auto domains = lowering::nvlink_domains(cluster);
  const workloads::PlacementCosts costs =
      lowering::placement_costs(cluster, model, *in.profile, in.bytes_both_ways, needs.nodes);

  std::vector<std::int64_t> count, first{0};  // [micro-batches] tokens of a rank
  for (std::int32_t b = 0; b < scenario.micro_batches; ++b) {
    count.push_back((scenario.pass(0, b).tokens() + cut - 1) / cut);
    first.push_back(first.back() + count.back());
  }
  const std::int64_t per_rank = first.back();
  const std::int32_t moe_layers = model.moe_layers();
  scenario.routing.assign(static_cast<std::size_t>(moe_layers) + static_cast<std::size_t>(scenario.draft_tokens), {});
  base::parallel_for(scenario.routing.size(), in.threads, [&](std::size_t i) {
    const bool draft = static_cast<std::int32_t>(i) >= moe_layers;
    const std::int32_t layer = std::min(static_cast<std::int32_t>(i), moe_layers - 1);
    const workloads::Trace trace = routing.layer(layer, per_rank, senders);
    for (std::int32_t b = 0; b < scenario.micro_batches; ++b) {
      const auto batch = static_cast<std::size_t>(b);
      step::StepRouting& out = scenario.routing[i].emplace_back();
      out.placement = placement.layer({&routing, layer, per_rank, &costs});
      lowering::PassTokens pass = scenario.pass(0, b);
      if (draft) pass.tokens_per_sequence = 1, pass.prefill_tokens = 0;
      const std::int64_t tokens = (pass.tokens() + cut - 1) / cut;
      std::vector<std::uint16_t> ids;
      workloads::LayerRouting own = trace.layer(0);
      if (tokens < per_rank) {  // else these are all
        ids = tokens_of_batch(own, senders, per_rank, first[batch], tokens);
        own.experts = ids;
      }
      const auto own_tokens = static_cast<std::int32_t>(tokens);
      if (!scenario.dealt) {
        // The ranks that hold experts have all tokens: only what a slot computes counts.
        out.slot_tokens = workloads::slot_tokens(own, out.placement);
        continue;
      }
      out.traffic = workloads::layer_traffic(own, out.placement, own_tokens);
      if (in.kernel->name() != "ideal")
        out.tokens = lowering::moe_tokens(own, out.placement, out.traffic, own_tokens, domains, needs);
    }
  });
  if (!scenario.routing.empty() && !scenario.routing.front().empty()) {
    const std::int32_t slots = scenario.routing.front().front().placement.num_slots();
    if (slots != plan.slots(model)) {
      if (scenario.redundant_given)
        in.root->required("plan")
            .member("redundant")
            .fail("placement has " + std::to_string(slots) + " slots for " + std::to_string(model.experts) + " experts",
                  std::to_string(slots - model.experts));
      scenario.plan.redundant = slots - model.experts;
    }
  }
  if (placement.strategy() != workloads::PlacementStrategy::Contiguous)
    scenario.notes.push_back("placement " + placement.describe());
  scenario.routing_drawn = routing.drawn();
  return routing.source();
}

void fill_serving(const ModelScenario& scenario, const std::string& phase, results::Result& result) {
  results::Serving& serving = *result.serving;
  const workloads::ParallelPlan& plan = scenario.plan;
  serving.plan = workloads::to_string(plan);
  serving.batch = scenario.batch;
  // As many micro-batches as stages are under way at once.
  const double copies = static_cast<double>(plan.attention_dp) * plan.pp;
  serving.sequences = std::llround(static_cast<double>(scenario.batch) * copies);
  serving.prefill_tokens = scenario.prefill_tokens;
  serving.tokens_per_step = scenario.accepted_tokens();
  const double seconds = result.total.value(), gpus = plan.gpus;
  result.tokens_per_gpu = std::llround(static_cast<double>(scenario.pass(0, 0).tokens()) * scenario.micro_batches *
                                       plan.attention_dp / (gpus / plan.pp));
  if (seconds > 0) {
    if (scenario.batch > 0) {
      serving.tpot = base::Duration(seconds / serving.tokens_per_step);
      serving.tokens_per_s_per_user = 1 / serving.tpot.value();
      serving.output_tokens_per_s_per_gpu =
          static_cast<double>(serving.sequences) * serving.tokens_per_s_per_user / gpus;
    }
    serving.prefill_tokens_per_s_per_gpu = static_cast<double>(scenario.prefill_tokens) * copies / seconds / gpus;
    result.tokens_per_s_per_gpu =
        phase == "decode" ? serving.output_tokens_per_s_per_gpu : serving.prefill_tokens_per_s_per_gpu;
  }
  if (scenario.fit) {
    const workloads::GpuMemory& use = scenario.fit->use;
    serving.memory = {use.weights(),
                      use.caches,
                      use.activations,
                      use.communication,
                      use.other,
                      scenario.fit->usable,
                      scenario.fit->largest / plan.pp - (scenario.batch > 0 ? scenario.prompts() : 0)};
  }
}

std::string scope_of(const ModelScenario& scenario, const workloads::Model& model, const std::string& phase) {
  std::string text = phase + " step of " + model.name;
  if (scenario.batch > 0)
    text += ", " + std::to_string(scenario.batch) + " sequences per copy of attention with " +
            std::to_string(std::llround(scenario.kv_mean)) + " tokens in the cache";
  if (scenario.prefill_tokens > 0)
    text += ", " + std::to_string(scenario.prefill_tokens) + " tokens of prompts of " +
            std::to_string(scenario.prompt_tokens) + " per copy of attention";
  return text;
}

}  // namespace moesim::sim
