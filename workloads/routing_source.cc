#include "workloads/routing_source.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/random.h"
#include "workloads/balanced.h"
#include "workloads/counted_routing.h"
#include "workloads/expert_counts.h"
#include "workloads/generator.h"
#include "workloads/power_law.h"
#include "workloads/token_sampler.h"
#include "workloads/trace_file.h"
#include "workloads/trace_statistics.h"

namespace moesim::workloads {
namespace {

using base::JsonNode;
using base::JsonObject;

std::string beside(const std::string& scenario, const std::string& path) {
  return (std::filesystem::path(scenario).parent_path() / path).lexically_normal().string();
}

Trace choose_pass(const JsonNode& node, const Trace& trace) {
  if (node.is_string()) {
    node.one_of({"largest"});
    return one_pass(trace, largest_pass(trace));
  }
  const auto last = static_cast<std::int64_t>(trace.num_passes()) - 1;
  return one_pass(trace, static_cast<std::size_t>(node.integer(0, last)));
}

void check_model(const JsonNode& node, const Trace& trace, const Model& model, bool layers_given) {
  const std::string of_model = "; the model " + model.name + " has ";
  if (trace.layers != model.moe_layers())
    node.fail("the trace has " + std::to_string(trace.layers) + " MoE layers" + of_model +
              std::to_string(model.moe_layers()) +
              (layers_given ? "" : " (say how many with \"layers\" if they were inferred wrongly)"));
  if (trace.top_k != model.top_k)
    node.fail("the trace has top-" + std::to_string(trace.top_k) + of_model + "top-" + std::to_string(model.top_k));
  if (experts_seen(trace) > model.experts) {
    for (std::size_t i = 0; i < trace.ids.size(); ++i) {
      if (trace.ids[i] < model.experts) continue;
      const auto row = static_cast<std::int64_t>(i) / trace.top_k;
      node.fail("the trace has expert id " + std::to_string(trace.ids[i]) + " (token " +
                std::to_string(row % trace.tokens) + ", layer " + std::to_string(row / trace.tokens) + ")" + of_model +
                std::to_string(model.experts) + " experts");
    }
  }
}

Trace read_recording(const JsonObject& object, const Model& model, std::vector<std::string>& warnings) {
  const JsonNode file = object.required("trace");
  TraceOptions options;
  options.layers = object.get("layers", 0, [](const JsonNode& n) { return n.integer(1, 10000); });
  Trace trace = read_trace_file(beside(file.document().file, file.string()), options);
  check_model(file, trace, model, object.has("layers"));
  if (trace.padding_dropped > 0)
    warnings.push_back(file.pointer() + ": " + std::to_string(trace.padding_dropped) +
                       " padding tokens (-1 in all layers) left out of " + file.string());
  if (const auto pass = object.optional("pass")) return choose_pass(*pass, trace);
  return trace;
}

Trace one_layer(const Model& model, std::vector<std::uint16_t> ids, std::string source) {
  Trace trace;
  trace.tokens = static_cast<std::int64_t>(ids.size()) / model.top_k;
  trace.layers = 1;
  trace.top_k = model.top_k;
  trace.experts = model.experts;
  trace.source = std::move(source);
  trace.passes = {0, trace.tokens};
  trace.ids = std::move(ids);
  return trace;
}

std::uint64_t read_seed(const JsonNode& node) {
  return static_cast<std::uint64_t>(node.integer(0, std::int64_t{1} << 53));
}

ExpertCounts read_counts(const JsonObject& object, const Model& model) {
  const JsonNode file = object.required("counts");
  ExpertCounts counts = read_expert_counts(beside(file.document().file, file.string()));
  const std::string of_model = "; the model " + model.name + " has ";
  if (counts.layers != model.moe_layers())
    file.fail("counts of " + std::to_string(counts.layers) + " MoE layers" + of_model +
              std::to_string(model.moe_layers()));
  if (counts.experts != model.experts)
    file.fail("counts of " + std::to_string(counts.experts) + " experts" + of_model + std::to_string(model.experts));
  return counts;
}

struct BenchmarkLaw {
  double exponent = 0;
  std::uint64_t seed = 0;
};

BenchmarkLaw read_power_law(const JsonNode& node, const Model& model, std::vector<std::string>& warnings) {
  const JsonObject object(node, {"exponent", "seed"});
  const JsonNode exponent = object.required("exponent");
  const BenchmarkLaw law{exponent.number(0.01, 10), read_seed(object.required("seed"))};
  if (law.exponent == 1) exponent.fail("the law has no exponent of exactly 1", "1.01");
  if (model.top_groups < model.groups)
    warnings.push_back(node.pointer() + ": tokens choose experts of any groups, as in the benchmarks; the model " +
                       model.name + " limits them to " + std::to_string(model.top_groups) + " of " +
                       std::to_string(model.groups));
  return law;
}

std::string text_of(const BenchmarkLaw& law) {
  return "power law " + base::format_number(law.exponent, 4) + " seed " + std::to_string(law.seed);
}

std::vector<std::uint16_t> power_law_tokens(const BenchmarkLaw& law, const Model& model, std::int32_t moe_layer,
                                            std::int64_t tokens) {
  base::RandomStream stream(law.seed, "power law", static_cast<std::uint64_t>(moe_layer));
  const auto selections = draw_power_law({law.exponent, tokens, model.top_k, model.experts}, stream);
  return deal_selections(selections, tokens, model.top_k, stream);
}

std::vector<std::uint16_t> counted_tokens(const ExpertCounts& counts, std::uint64_t seed, const Model& model,
                                          std::int32_t moe_layer, std::int64_t tokens) {
  const ExpertWeights weights(weights_of_counts(counts.layer(moe_layer), model, counts.source));
  base::RandomStream stream(seed, "tokens of counts", static_cast<std::uint64_t>(moe_layer));
  TokenSampler sampler(model);
  std::vector<std::uint16_t> ids(static_cast<std::size_t>(tokens * model.top_k));
  sampler.draw(weights, {}, 0, stream, ids);
  return ids;
}

// The recording's tokens, then those of passes drawn with replacement until there are `tokens`.
std::vector<std::uint16_t> resampled(const Trace& trace, std::int32_t moe_layer, std::int64_t tokens,
                                     std::uint64_t seed) {
  const LayerRouting layer = trace.layer(moe_layer);
  std::vector<std::uint16_t> ids(layer.experts.begin(), layer.experts.end());
  base::RandomStream draws(seed, "passes of a recording");  // the same for every layer
  for (std::int64_t missing = tokens - trace.tokens; missing > 0;) {
    const auto pass = static_cast<std::size_t>(draws.below(trace.num_passes()));
    const std::int64_t count = std::min(missing, trace.passes[pass + 1] - trace.passes[pass]);
    const auto own = layer.slice(trace.passes[pass], count).experts;
    ids.insert(ids.end(), own.begin(), own.end());
    missing -= count;
  }
  return ids;
}

std::string of_layer(std::int32_t moe_layer) { return ", MoE layer " + std::to_string(moe_layer) + " (from 0)"; }

}  // namespace

struct RoutingSource::State {
  JsonNode node;
  Model model;
  std::optional<Trace> recording;
  std::optional<std::uint64_t> extend;  // the seed with which passes of the recording are drawn
  std::optional<GeneratorParameters> generator;
  std::optional<ExpertCounts> counts;
  std::uint64_t counts_seed = 0;
  std::optional<BenchmarkLaw> power_law;

  // What is drawn: the first `tokens` of a layer, and what to call it.
  std::vector<std::uint16_t> draw(std::int32_t moe_layer, std::int64_t tokens) const {
    if (counts) return counted_tokens(*counts, counts_seed, model, moe_layer, tokens);
    if (power_law) return power_law_tokens(*power_law, model, moe_layer, tokens);
    return generate_layer(*generator, model, moe_layer, tokens);
  }
  std::string drawn_from() const {
    if (counts) return "drawn from counts " + counts->source + " seed " + std::to_string(counts_seed);
    if (power_law) return "drawn from a " + text_of(*power_law);
    return "generated " + generator->name + " " + to_json(*generator).dump();
  }
  bool draws() const { return counts || power_law || generator; }
};

RoutingSource::RoutingSource(const JsonNode& node, const Model& model, std::vector<std::string>& warnings)
    : state_(std::make_unique<State>(State{node, model, {}, {}, {}, {}, 0, {}})) {
  const JsonObject object(node,
                          {"preset", "generate", "trace", "layers", "pass", "extend", "counts", "seed", "power_law"});
  int forms = 0;
  for (const char* key : {"preset", "generate", "trace", "counts", "power_law"}) forms += object.has(key) ? 1 : 0;
  if (forms != 1) node.fail("routing needs one of \"preset\", \"generate\", \"trace\", \"counts\" and \"power_law\"");
  for (const char* key : {"layers", "pass", "extend"})
    if (object.has(key) && !object.has("trace")) object.required(key).fail("only a \"trace\" has this");
  if (object.has("seed") && !object.has("counts") && !object.has("extend"))
    object.required("seed").fail("only \"counts\" and what is extended have this here");
  if (const auto preset = object.optional("preset")) {
    if (preset->string() != "balanced")
      preset->fail("unknown routing preset", "\"balanced\", or {\"generate\": {\"preset\": ..., \"seed\": 1}}");
  } else if (const auto generate = object.optional("generate")) {
    state_->generator = read_generator(*generate, model, warnings);
  } else if (object.has("counts")) {
    state_->counts = read_counts(object, model);
    state_->counts_seed = read_seed(object.required("seed"));
  } else if (const auto law = object.optional("power_law")) {
    state_->power_law = read_power_law(*law, model, warnings);
  } else {
    state_->recording = read_recording(object, model, warnings);
    if (const auto extend = object.optional("extend")) {
      extend->one_of({"resample"});
      state_->extend = object.get("seed", std::uint64_t{1}, read_seed);
    }
  }
}

RoutingSource::~RoutingSource() = default;
RoutingSource::RoutingSource(RoutingSource&&) noexcept = default;

Trace RoutingSource::layer(std::int32_t moe_layer, std::int64_t tokens_per_rank, std::int32_t ranks) const {
  const Model& model = state_->model;
  MOESIM_CHECK(moe_layer >= 0 && moe_layer < model.moe_layers(), "an MoE layer of the model");
  MOESIM_CHECK(tokens_per_rank > 0 && ranks > 0, "tokens and ranks to route");
  const std::int64_t tokens = tokens_per_rank * ranks;
  if (state_->recording) {
    const Trace& trace = *state_->recording;
    const std::string source = trace.source + of_layer(moe_layer);
    if (trace.tokens < tokens && state_->extend)
      return one_layer(model, resampled(trace, moe_layer, tokens, *state_->extend),
                       source + ", passes drawn anew after the first " + std::to_string(trace.tokens) +
                           " tokens, seed " + std::to_string(*state_->extend));
    if (trace.tokens < tokens)
      state_->node.member("trace").fail(
          "the trace has " + std::to_string(trace.tokens) + " tokens, " + std::to_string(tokens) + " are needed (" +
              std::to_string(tokens_per_rank) + " on each of " + std::to_string(ranks) + " GPUs)",
          trace.tokens < ranks
              ? "a longer trace or fewer GPUs"
              : "tokens_per_gpu of at most " + std::to_string(trace.tokens / ranks) + ", or \"extend\": \"resample\"");
    const auto ids = trace.layer(moe_layer).slice(0, tokens).experts;
    return one_layer(model, {ids.begin(), ids.end()}, source);
  }
  if (state_->draws())
    return one_layer(model, state_->draw(moe_layer, tokens), state_->drawn_from() + of_layer(moe_layer));
  return one_layer(model, balanced_routing({model.experts, model.top_k, ranks, tokens_per_rank}), "balanced");
}

std::string RoutingSource::source() const {
  if (state_->recording) return state_->recording->source;
  return state_->draws() ? state_->drawn_from() : "balanced";
}

bool RoutingSource::drawn() const { return state_->draws() || state_->extend; }

Trace RoutingSource::tokens(std::int32_t moe_layer, std::int64_t first, std::int64_t count) const {
  const Model& model = state_->model;
  MOESIM_CHECK(moe_layer >= 0 && moe_layer < model.moe_layers(), "an MoE layer of the model");
  MOESIM_CHECK(first >= 0 && count > 0, "tokens to route");
  std::vector<std::uint16_t> ids;
  if (state_->recording) {
    const Trace& trace = *state_->recording;
    const std::int64_t from = std::min(first, trace.tokens), left = trace.tokens - from;
    const auto part = trace.layer(moe_layer).slice(from, std::min(count, left)).experts;
    ids.assign(part.begin(), part.end());
  } else if (state_->draws()) {
    ids = state_->draw(moe_layer, first + count);
    ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(first * model.top_k));
  } else {
    ids = balanced_routing({model.experts, model.top_k, 1, count});
  }
  return one_layer(model, std::move(ids), source() + of_layer(moe_layer) + " from token " + std::to_string(first));
}

Trace read_routing(const JsonNode& node, const RoutingRequest& request, std::vector<std::string>& warnings) {
  MOESIM_CHECK(request.model != nullptr, "a request names its model");
  return RoutingSource(node, *request.model, warnings).layer(request.moe_layer, request.tokens_per_rank, request.ranks);
}

}  // namespace moesim::workloads
