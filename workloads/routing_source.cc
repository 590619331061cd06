#include "workloads/routing_source.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "workloads/balanced.h"
#include "workloads/generator.h"
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

}  // namespace

struct RoutingSource::State {
  JsonNode node;
  Model model;
  std::optional<Trace> recording;
  std::optional<GeneratorParameters> generator;
};

RoutingSource::RoutingSource(const JsonNode& node, const Model& model, std::vector<std::string>& warnings)
    : state_(std::make_unique<State>(State{node, model, {}, {}})) {
  const JsonObject object(node, {"preset", "generate", "trace", "layers", "pass"});
  const int forms = int{object.has("preset")} + int{object.has("generate")} + int{object.has("trace")};
  if (forms != 1) node.fail("routing needs one of \"preset\", \"generate\" and \"trace\"");
  for (const char* key : {"layers", "pass"})
    if (object.has(key) && !object.has("trace")) object.required(key).fail("only a \"trace\" has this");
  if (const auto preset = object.optional("preset")) {
    if (preset->string() != "balanced")
      preset->fail("unknown routing preset", "\"balanced\", or {\"generate\": {\"preset\": ..., \"seed\": 1}}");
  } else if (const auto generate = object.optional("generate")) {
    state_->generator = read_generator(*generate, model, warnings);
  } else {
    state_->recording = read_recording(object, model, warnings);
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
    if (trace.tokens < tokens)
      state_->node.member("trace").fail(
          "the trace has " + std::to_string(trace.tokens) + " tokens, " + std::to_string(tokens) + " are needed (" +
              std::to_string(tokens_per_rank) + " on each of " + std::to_string(ranks) + " GPUs)",
          trace.tokens < ranks ? "a longer trace or fewer GPUs"
                               : "tokens_per_gpu of at most " + std::to_string(trace.tokens / ranks));
    const auto ids = trace.layer(moe_layer).slice(0, tokens).experts;
    return one_layer(model, {ids.begin(), ids.end()}, trace.source + " layer " + std::to_string(moe_layer));
  }
  if (state_->generator) {
    const GeneratorParameters& parameters = *state_->generator;
    return one_layer(
        model, generate_layer(parameters, model, moe_layer, tokens),
        "generated " + parameters.name + " " + to_json(parameters).dump() + " layer " + std::to_string(moe_layer));
  }
  return one_layer(model, balanced_routing({model.experts, model.top_k, ranks, tokens_per_rank}), "balanced");
}

Trace RoutingSource::tokens(std::int32_t moe_layer, std::int64_t first, std::int64_t count) const {
  const Model& model = state_->model;
  MOESIM_CHECK(moe_layer >= 0 && moe_layer < model.moe_layers(), "an MoE layer of the model");
  MOESIM_CHECK(first >= 0 && count > 0, "tokens to route");
  std::vector<std::uint16_t> ids;
  std::string source = "balanced";
  if (state_->recording) {
    const Trace& trace = *state_->recording;
    const std::int64_t from = std::min(first, trace.tokens), left = trace.tokens - from;
    const auto part = trace.layer(moe_layer).slice(from, std::min(count, left)).experts;
    ids.assign(part.begin(), part.end());
    source = trace.source;
  } else if (state_->generator) {
    ids = generate_layer(*state_->generator, model, moe_layer, first + count);
    ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(first * model.top_k));
    source = "generated " + state_->generator->name;
  } else {
    ids = balanced_routing({model.experts, model.top_k, 1, count});
  }
  return one_layer(model, std::move(ids),
                   source + " layer " + std::to_string(moe_layer) + " from token " + std::to_string(first));
}

Trace read_routing(const JsonNode& node, const RoutingRequest& request, std::vector<std::string>& warnings) {
  MOESIM_CHECK(request.model != nullptr, "a request names its model");
  return RoutingSource(node, *request.model, warnings).layer(request.moe_layer, request.tokens_per_rank, request.ranks);
}

}  // namespace moesim::workloads
