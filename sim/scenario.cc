#include "sim/scenario.h"

#include <cmath>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/parallel.h"
#include "base/random.h"
#include "base/version.h"
#include "sim/engine/engine.h"
#include "sim/lowering/communication.h"
#include "sim/lowering/expert_compute.h"
#include "sim/lowering/placement_costs.h"
#include "sim/scenario_files.h"
#include "sim/step/layers.h"
#include "sim/step/moe_layer.h"
#include "workloads/placement_counters.h"
#include "workloads/placement_section.h"
#include "workloads/routing_source.h"

namespace moesim::sim {
namespace {

using base::JsonNode;
using base::JsonObject;

constexpr std::int64_t kMaxTokensPerGpu = 1 << 20;
constexpr std::int64_t kLargestSeed = std::int64_t{1} << 53;
constexpr const char* kAllReduce = "all_reduce";  // no dispatch: every GPU has all tokens

// Its errors carry no place: name this one.
template <class Function>
auto at(const JsonNode& node, Function function) {
  try {
    return function();
  } catch (const base::InputError& error) {
    if (!error.place().empty()) throw;
    node.fail(error.what());
  }
}

std::optional<std::string> member_text(const JsonNode& node, const std::string& key) {
  if (!node.json().is_object() || !node.json().contains(key) || !node.member(key).is_string()) return std::nullopt;
  return node.member(key).string();
}

std::int32_t read_layer(const JsonNode& node, const workloads::Model& model) {
  const auto layer = static_cast<std::int32_t>(node.integer(0, model.layers - 1));
  if (model.moe_index(layer) < 0) {
    const auto& moe_at = model.moe_at;
    const std::int32_t first = moe_at.empty() ? model.dense_layers : moe_at.front();
    const std::int32_t last = moe_at.empty() ? model.layers - 1 : moe_at.back();
    node.fail("a dense layer of " + model.name + ", which has no experts",
              "a layer from " + std::to_string(first) + " to " + std::to_string(last) +
                  (moe_at.empty() ? "" : " that has, see `moesim model show`"));
  }
  return layer;
}

// A layer, a list of them in rising order, or "all".
std::vector<std::int32_t> read_layers(const JsonNode& node, const workloads::Model& model) {
  std::vector<std::int32_t> layers;
  if (node.is_string()) {
    node.one_of({"all"});
    for (std::int32_t layer = 0; layer < model.layers; ++layer)
      if (model.moe_index(layer) >= 0) layers.push_back(layer);
  } else if (node.is_array()) {
    for (std::size_t i = 0; i < node.size(); ++i) {
      layers.push_back(read_layer(node.at(i), model));
      if (i > 0 && layers[i] <= layers[i - 1])
        node.at(i).fail("not above the layer before it", "layers in rising order");
    }
  } else {
    layers.push_back(read_layer(node, model));
  }
  if (layers.empty()) node.fail("no layer", "at least one");
  return layers;
}

std::string scope_of(const Scenario& scenario) {
  const auto& layers = scenario.layers;
  const std::string first = std::to_string(layers.front().layer), last = std::to_string(layers.back().layer);
  const bool dense = layers.back().layer - layers.front().layer + 1 == static_cast<std::int32_t>(layers.size());
  return (layers.size() == 1 ? "one MoE layer of " : std::to_string(layers.size()) + " MoE layers of ") +
         scenario.model.name +
         (layers.size() == 1 ? " (layer " + first
          : dense            ? " (layers " + first + " to " + last
                             : " (layers " + first + ", ..., " + last) +
         "), " + scenario.phase + ", " + std::to_string(scenario.tokens_per_gpu) + " tokens per GPU";
}

// Where the layers' experts are and what their tokens send, from one routing. How the load of the busiest GPU compares
// to the default placement's goes into the scenario's assumptions.
void make_traffic(const JsonObject& root, int threads, Scenario& scenario) {
  const base::RankMap map = scenario.cluster.rank_map();
  const std::int32_t ranks = map.ranks();
  const auto tokens = static_cast<std::int32_t>(scenario.tokens_per_gpu);
  const auto placement_node = root.optional("placement");
  const workloads::PlacementSource placement(placement_node ? &*placement_node : nullptr, scenario.model, map,
                                             scenario.warnings);
  const workloads::RoutingSource routing(root.required("routing"), scenario.model, scenario.warnings);
  const auto domains = lowering::nvlink_domains(scenario.cluster);
  const auto kernel = lowering::make_communication_kernel(scenario.kernel);
  const workloads::PlacementCosts costs =
      lowering::placement_costs(scenario.cluster, scenario.model, scenario.profile,
                                scenario.dispatch_bytes + scenario.combine_bytes, kernel->needs().nodes);
  const bool plain = placement.strategy() == workloads::PlacementStrategy::Contiguous;
  std::vector<workloads::PlacementEffect> effect(plain ? 0 : scenario.layers.size());
  base::parallel_for(scenario.layers.size(), threads, [&](std::size_t i) {
    ScenarioLayer& layer = scenario.layers[i];
    const std::int32_t moe_layer = scenario.model.moe_index(layer.layer);
    const workloads::Trace trace = routing.layer(moe_layer, scenario.tokens_per_gpu, ranks);
    layer.placement = placement.layer({&routing, moe_layer, scenario.tokens_per_gpu, &costs});
    if (!plain)
      effect[i] =
          workloads::placement_effect(trace.layer(0), workloads::default_placement(scenario.model.experts, ranks),
                                      layer.placement, map, costs.once_per_domain);
    layer.traffic = workloads::layer_traffic(trace.layer(0), layer.placement, tokens);
    if (scenario.kernel != "ideal")
      layer.moe_tokens =
          lowering::moe_tokens(trace.layer(0), layer.placement, layer.traffic, tokens, domains, kernel->needs());
    if (scenario.layers.size() == 1) scenario.routing_source = trace.source;
  });
  if (scenario.layers.size() > 1) scenario.routing_source = routing.source();
  scenario.routing_drawn = routing.drawn();
  if (!plain) scenario.placement_effect = "placement " + placement.describe() + "; " + workloads::describe(effect);
}

void read_jitter(const JsonNode& step, Scenario& scenario) {
  if (!step.json().contains("start_jitter")) return;
  const JsonObject jitter(step.member("start_jitter"), {"mean", "seed"});
  const double mean = jitter.required("mean").duration().value();
  const auto seed = static_cast<std::uint64_t>(
      jitter.get("seed", std::int64_t{1}, [](const JsonNode& n) { return n.integer(0, kLargestSeed); }));
  base::RandomStream stream(seed, "start_jitter");
  if (mean > 0)
    for (std::size_t gpu = 0; gpu < scenario.cluster.gpus.size(); ++gpu)
      scenario.start_delay.emplace_back(-mean * std::log1p(-stream.uniform()));
}

void read_step(const JsonNode& node, Scenario& scenario) {
  // First, so that a misspelt scope is not told of by the members of another.
  if (node.is_object() && node.json().contains("scope")) node.member("scope").one_of({"moe_layer", "model"});
  const JsonObject step(node, {"scope", "layer", "phase", "tokens_per_gpu", "start_jitter"});
  step.required("scope");
  for (const std::int32_t layer : read_layers(step.required("layer"), scenario.model))
    scenario.layers.push_back({layer, {}, {}, {}});
  scenario.phase = "decode";
  if (const auto phase = step.optional("phase")) {
    phase->one_of({"decode", "prefill"});
    scenario.phase = phase->string();
  }
  scenario.tokens_per_gpu = step.required("tokens_per_gpu").integer(1, kMaxTokensPerGpu);
  read_jitter(node, scenario);
}

// `whole`: of scope "model", or null. `cluster`: whose ranks exchange tokens.
void read_communication(const JsonNode& node, const topology::Cluster& cluster, ModelScenario* whole,
                        Scenario& scenario) {
  const JsonObject communication(node, {"kernel", "dispatch", "combine", "sms", "hook"});
  const JsonNode kernel = communication.required("kernel");
  scenario.kernel = kernel.string();
  const bool one_copy = whole != nullptr && whole->plan.attention_dp == 1;
  if (one_copy && scenario.kernel == "auto") scenario.kernel = kAllReduce;
  const bool cut = whole != nullptr && whole->plan.moe_tp > 1 && !one_copy;
  if (cut && scenario.kernel == "auto") scenario.kernel = "allgather_reducescatter";
  scenario.kernel_options.sms = communication.get("sms", 0.0, [&](const JsonNode& n) {
    return static_cast<double>(n.integer(2, static_cast<std::int64_t>(scenario.profile.sms.value)));
  });
  scenario.kernel_options.hook = communication.get("hook", true, [](const JsonNode& n) { return n.boolean(); });
  if (scenario.kernel == "auto") {
    const bool prompts = scenario.phase == "prefill" || (whole != nullptr && whole->prefill_tokens > 0);
    const auto choice = lowering::choose_communication_kernel(cluster, scenario.profile, prompts);
    scenario.kernel = choice.name;
    scenario.kernel_choice = choice.reason;
  }
  if (whole != nullptr && scenario.kernel == kAllReduce) {
    if (!one_copy)
      kernel.fail("every GPU has all tokens only with one copy of attention", "plan.attention_dp 1, or \"auto\"");
    whole->dealt = false;
  } else if (cut && scenario.kernel == "allgather_reducescatter") {
    whole->dealt = false;
  } else {
    const std::vector<std::string> all = lowering::communication_kernels();
    if (std::find(all.begin(), all.end(), scenario.kernel) == all.end())
      kernel.fail("unknown communication kernel \"" + scenario.kernel + "\"" +
                  base::suggestion(scenario.kernel, lowering::communication_kernels(cluster, scenario.profile)));
    at(kernel, [&] {
      lowering::make_communication_kernel(scenario.kernel)->check(cluster, scenario.profile);
      return 0;
    });
    if (whole != nullptr && whole->plan.moe_tp > 1)
      kernel.fail("experts that are cut over ranks (moe_tp " + std::to_string(whole->plan.moe_tp) +
                      ") get all tokens of all copies of attention",
                  "\"allgather_reducescatter\", or plan.moe_tp 1");
  }
  const auto bytes = [&](const char* key, const char* otherwise) {
    if (const auto given = communication.optional(key)) return workloads::read_bytes_per_token(*given, scenario.model);
    const auto document = base::parse_json(otherwise, "default");
    return workloads::read_bytes_per_token(JsonNode(document), scenario.model);
  };
  scenario.dispatch_bytes = bytes("dispatch", "\"fp8\"");
  scenario.combine_bytes = bytes("combine", "\"bf16\"");
}

void read_experts(const JsonObject& root, Scenario& scenario) {
  const auto node = root.optional("experts");
  std::string name = "auto";
  if (node) name = JsonObject(*node, {"kernel"}).required("kernel").string();
  const auto choose = [&] {
    return lowering::choose_expert_kernel(name, scenario.model, scenario.profile, scenario.kernel);
  };
  // What experts cannot be follows from the communication kernel where that brings them.
  const bool brought =
      name == "auto" && scenario.kernel != kAllReduce && lowering::make_communication_kernel(scenario.kernel)->fused();
  if (brought)
    scenario.expert_kernel = at(root.required("communication").member("kernel"), choose);
  else
    scenario.expert_kernel = node ? at(node->member("kernel"), choose) : choose();
}

void read_engine(const JsonObject& root, Scenario& scenario) {
  scenario.engine = engine::default_engine();
  const auto node = root.optional("engine");
  if (!node) return;
  const JsonObject section(*node, {"name", "tolerance"});
  if (const auto name = section.optional("name")) {
    scenario.engine = name->string();
    at(*name, [&] { return engine::make_engine(scenario.engine); });
  }
  scenario.tolerance = section.get("tolerance", 0.0, [](const JsonNode& n) { return n.number(0, 0.1); });
  if (scenario.tolerance > 0 && scenario.engine != "fluid")
    scenario.warnings.push_back("engine.tolerance has no effect: engine \"" + scenario.engine + "\" does not batch");
}

void read_whole_model(const JsonObject& root, int threads, Scenario& scenario) {
  const auto gpus = static_cast<std::int32_t>(scenario.cluster.gpus.size());
  if (scenario.model.attention.empty())
    root.required("model").fail("nothing is said about the attention of " + scenario.model.name,
                                "\"attention\": a list as `moesim model show` prints it");
  auto whole = std::make_shared<ModelScenario>(read_model_step(root, scenario.model, gpus, scenario.phase));
  scenario.cluster.gpus.resize(static_cast<std::size_t>(whole->plan.gpus));
  read_jitter(root.required("step"), scenario);
  const topology::Cluster stage = stage_cluster(scenario.cluster, whole->plan, 0);
  const bool sparse = scenario.model.experts > 0;
  if (sparse) {
    read_communication(root.required("communication"), stage, whole.get(), scenario);
    read_experts(root, scenario);
  }
  read_engine(root, scenario);
  check_memory(root, scenario.model, scenario.profile, scenario.kernel, *whole);
  if (sparse) {
    const auto kernel = whole->dealt ? lowering::make_communication_kernel(scenario.kernel) : nullptr;
    const RoutingInputs inputs{&root,           &scenario.cluster,
                               &scenario.model, &scenario.profile,
                               kernel.get(),    scenario.dispatch_bytes + scenario.combine_bytes,
                               threads};
    scenario.routing_source = make_model_routing(inputs, *whole, scenario.warnings);
    scenario.routing_drawn = whole->routing_drawn;
  }
  scenario.whole = std::move(whole);
}

// Of the sections that only experts need.
void warn_of_sparse_inputs(const JsonObject& root, Scenario& scenario) {
  const auto warn = [&](const std::string& text) { scenario.warnings.push_back(text); };
  const JsonNode communication = root.required("communication");
  const bool dispatches = scenario.whole == nullptr || scenario.whole->dealt;
  for (const char* key : {"dispatch", "combine"}) {
    if (!communication.json().contains(key)) continue;
    if (scenario.cluster.gpus.size() == 1)
      warn(std::string("communication.") + key + " has no effect: one GPU sends nothing");
    else if (!dispatches)
      warn(std::string("communication.") + key + " has no effect: every GPU has all tokens");
  }
  for (const auto& [key, kernel] : {std::pair("sms", "deepep_normal"), std::pair("hook", "deepep_low_latency")}) {
    if (scenario.kernel != kernel && communication.json().contains(key))
      warn(std::string("communication.") + key + " has no effect: it is of " + kernel + ", not of " + scenario.kernel);
  }
  const JsonNode routing = root.required("routing");
  if (member_text(routing, "preset") == "balanced" && root.has("placement"))
    warn("placement changes little: balanced routing loads every expert alike");
  if (!routing.json().contains("generate")) return;
  const auto generator = member_text(routing.member("generate"), "preset");
  for (const std::string phase : {"decode", "prefill"}) {
    if (generator && generator->ends_with("-" + phase) && scenario.phase != phase)
      warn("step.phase is " + scenario.phase + ", but the routing statistics \"" + *generator + "\" are of " + phase);
  }
}

void warn_of_inputs_without_effect(const JsonObject& root, Scenario& scenario) {
  const auto warn = [&](const std::string& text) { scenario.warnings.push_back(text); };
  const JsonNode model = root.required("model");
  for (const char* key : {"weights", "expert_ffn"}) {
    if (scenario.profile.ideal && model.json().contains("preset") && model.json().contains(key))
      warn(std::string("model.") + key + " has no effect: with profile \"ideal\" experts take no time");
  }
  if (scenario.model.experts > 0) return warn_of_sparse_inputs(root, scenario);
  for (const char* key : {"routing", "placement", "communication", "experts"})
    if (root.has(key)) warn(std::string(key) + " has no effect: " + scenario.model.name + " has no experts");
}

}  // namespace

Scenario read_scenario(const base::JsonDocument& document, int threads) {
  const JsonNode node(document);
  if (member_text(node, "schema") == "moesim.result/1" && node.json().contains("scenario")) {
    base::JsonDocument inner{document.file, std::make_shared<base::Json>(node.member("scenario").json()), {}};
    return read_scenario(inner, threads);
  }
  refuse_other_files(node);
  const JsonObject root(node, {"schema", "name", "cluster", "model", "routing", "placement", "profile", "step", "plan",
                               "memory", "communication", "experts", "engine"});
  root.required("schema").one_of({"moesim.scenario/1"});
  check_paths(node);
  if (member_text(node, "cluster")) return read_scenario(with_cluster_file(document), threads);
  Scenario scenario;
  scenario.name = root.get("name", std::filesystem::path(document.file).stem().string(),
                           [](const JsonNode& n) { return n.string(); });
  scenario.cluster = topology::read_cluster(root.required("cluster"));
  const bool whole = member_text(root.required("step"), "scope") == "model";
  scenario.model =
      whole ? workloads::read_any_model(root.required("model")) : workloads::read_model(root.required("model"));
  const auto profile = root.optional("profile");
  scenario.profile = at(root.required("cluster"),
                        [&] { return profile::read_profile(profile ? &*profile : nullptr, scenario.cluster.gpu); });
  if (!scenario.profile.ideal)
    at(root.required("model"), [&] { return lowering::tensor_rate(scenario.profile, scenario.model.weights); });
  if (whole) {
    read_whole_model(root, threads, scenario);
  } else {
    for (const char* key : {"plan", "memory"})
      if (const auto section = root.optional(key))
        section->fail("is of step.scope \"model\"", "no such section with scope \"moe_layer\"");
    read_step(root.required("step"), scenario);
    read_communication(root.required("communication"), scenario.cluster, nullptr, scenario);
    read_experts(root, scenario);
    read_engine(root, scenario);
    make_traffic(root, threads, scenario);
  }
  warn_of_inputs_without_effect(root, scenario);

  base::Json text = *document.root;
  text["name"] = scenario.name;
  make_paths_absolute(text, document.file);
  scenario.text = text.dump();
  shorten_paths(text);
  scenario.hash = base::content_hash(text.dump());
  return scenario;
}

Scenario load_scenario(const std::string& path, const std::vector<std::string>& sets, int threads) {
  base::JsonDocument document = base::load_json(path);
  if (member_text(JsonNode(document), "schema") == "moesim.result/1" && document.root->contains("scenario"))
    *document.root = base::Json((*document.root)["scenario"]);
  apply_sets(document, sets);
  return read_scenario(document, threads);
}

namespace {

results::Result run_layers(const Scenario& scenario, int threads) {
  const auto kernel = lowering::make_communication_kernel(scenario.kernel, scenario.kernel_options);
  const auto engine = engine::make_engine(scenario.engine, {scenario.tolerance, false});
  const topology::Router router(scenario.cluster);
  std::vector<results::Result> of_layer(scenario.layers.size());
  // SimGrid runs in a child process: one must not be forked while other threads may hold locks.
  const int at_a_time = scenario.engine == "simgrid" ? 1 : threads;
  base::parallel_for(of_layer.size(), at_a_time, [&](std::size_t i) {
    const ScenarioLayer& in = scenario.layers[i];
    const step::MoeLayer layer{
        &scenario.cluster,
        &scenario.model,
        &scenario.profile,
        &in.traffic,
        kernel.get(),
        scenario.tokens_per_gpu,
        scenario.dispatch_bytes,
        scenario.combine_bytes,
        &in.placement,
        &in.moe_tokens,
        scenario.expert_kernel,
        scenario.phase,
        i == 0 ? scenario.start_delay : std::vector<base::Duration>(scenario.start_delay.size())};
    of_layer[i] = step::simulate_moe_layer(layer, router, {engine.get(), scenario.tolerance, i == 0});
  });
  std::vector<std::int32_t> numbers;
  for (const ScenarioLayer& layer : scenario.layers) numbers.push_back(layer.layer);
  results::Result result = of_layer.size() == 1 ? std::move(of_layer.front()) : step::join_layers(numbers, of_layer);
  result.scope = scope_of(scenario);
  result.not_modelled = {of_layer.size() > 1
                             ? "MoE layers only, one after another: attention, gate and dense layers are not in it"
                             : "one layer only: attention, gate and the other layers are not in it",
                         "memory not checked"};
  return result;
}

results::Result run_whole_model(const Scenario& scenario) {
  const ModelScenario& whole = *scenario.whole;
  const bool dispatches = scenario.model.experts > 0 && whole.dealt;
  const auto kernel =
      dispatches ? lowering::make_communication_kernel(scenario.kernel, scenario.kernel_options) : nullptr;
  const auto engine = engine::make_engine(scenario.engine, {scenario.tolerance, false});
  const topology::Router router(scenario.cluster);
  step::ModelStep step;
  step.cluster = &scenario.cluster;
  step.model = &scenario.model;
  step.profile = &scenario.profile;
  step.plan = whole.plan;
  step.kernel = kernel.get();
  step.expert_kernel = scenario.expert_kernel;
  step.phase = scenario.phase;
  step.dispatch_bytes = scenario.dispatch_bytes;
  step.combine_bytes = scenario.combine_bytes;
  step.overlap = whole.overlap;
  step.launch = whole.launch;
  for (std::int32_t copy = 0; copy < whole.plan.attention_dp; ++copy) {
    auto& batches = step.tokens.emplace_back();
    for (std::int32_t b = 0; b < whole.micro_batches; ++b) batches.push_back(whole.pass(copy, b));
  }
  step.routing = &whole.routing;
  step.drafts = whole.draft_tokens;
  step.start_delay = scenario.start_delay;
  results::Result result = step::simulate_model_step(step, router, {engine.get(), scenario.tolerance, false});
  fill_serving(whole, scenario.phase, result);
  result.scope = scope_of(whole, scenario.model, scenario.phase);
  if (scenario.profile.ideal)
    result.not_modelled.emplace_back("memory not checked");
  else
    result.not_modelled.emplace_back(
        "what a server adds: scheduling, sampling on the host, queues (docs/end-to-end.md: measured serving beside "
        "this)");
  if (whole.plan.pp > 1)
    result.assumptions.emplace_back(
        "pipeline stages take alike long: as many batches as stages are under way, each in another stage");
  if (whole.draft_tokens > 0)
    result.assumptions.push_back("drafts: " + std::to_string(whole.draft_tokens) +
                                 " a step, each accepted with probability " + base::format_number(whole.acceptance) +
                                 " if those before it were, as the scenario says; each is one more MoE layer and the "
                                 "head, on one token per sequence");
  result.assumptions.insert(result.assumptions.end(), whole.notes.begin(), whole.notes.end());
  return result;
}

}  // namespace

results::Result run(const Scenario& scenario, int threads) {
  results::Result result = scenario.whole ? run_whole_model(scenario) : run_layers(scenario, threads);
  result.name = scenario.name;
  if (!scenario.kernel_choice.empty()) {
    result.assumptions.insert(result.assumptions.begin(), "communication kernel chosen: \"" + scenario.kernel + "\" (" +
                                                              scenario.kernel_choice + ")");
  }
  if (scenario.routing_drawn)
    result.assumptions.emplace_back(
        "the routing is one draw: how the load of the busiest GPU differs from draw to draw is not in the intervals "
        "(--seed takes another)");
  if (!scenario.placement_effect.empty()) result.assumptions.push_back(scenario.placement_effect);
  result.warnings = scenario.warnings;
  result.provenance.version = base::version();
  result.provenance.scenario_hash = scenario.hash;
  result.provenance.profile = scenario.profile.name;
  result.provenance.profile_hash = scenario.profile.hash;
  result.provenance.routing = scenario.routing_source;
  result.scenario = scenario.text;
  return result;
}

}  // namespace moesim::sim
