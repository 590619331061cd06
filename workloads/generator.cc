#include "workloads/generator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/random.h"
#include "workloads/presets.h"
#include "workloads/token_sampler.h"

namespace moesim::workloads {
namespace {

using base::JsonNode;
using base::JsonObject;
using base::RandomStream;

struct Number {
  const char* key;
  double GeneratorParameters::*member;
  double lowest, highest;
};
constexpr std::array<Number, 6> kNumbers = {{{"zipf_exponent", &GeneratorParameters::zipf_exponent, 0, 10},
                                             {"zipf_shift", &GeneratorParameters::zipf_shift, 1e-3, 1e6},
                                             {"cluster_spread", &GeneratorParameters::cluster_spread, 0, 10},
                                             {"kept_first", &GeneratorParameters::kept_first, 0, 1},
                                             {"kept_middle", &GeneratorParameters::kept_middle, 0, 1},
                                             {"kept_last", &GeneratorParameters::kept_last, 0, 1}}};
// Those that may be left out.
constexpr std::array<Number, 7> kExtras = {{{"topic_spread", &GeneratorParameters::topic_spread, 0, 10},
                                            {"topic_last", &GeneratorParameters::topic_last, 0, 1},
                                            {"prompt_tokens", &GeneratorParameters::prompt_tokens, 0, 1e9},
                                            {"passage_spread", &GeneratorParameters::passage_spread, 0, 10},
                                            {"passage_tokens", &GeneratorParameters::passage_tokens, 1, 1e6},
                                            {"drift_iterations", &GeneratorParameters::drift_iterations, 0, 1e9},
                                            {"drift_spread", &GeneratorParameters::drift_spread, 0, 10}}};

JsonObject as_generator_object(const JsonNode& node) {
  return JsonObject(
      node, {"preset", "seed", "zipf_exponent", "zipf_shift", "cluster_experts", "cluster_spread", "kept_first",
             "kept_middle", "kept_last", "topics", "topic_spread", "topic_last", "prompt_tokens", "passage_spread",
             "passage_tokens", "iteration_tokens", "drift_iterations", "drift_spread"});
}

void read_parameters(const JsonObject& object, bool all, GeneratorParameters& p) {
  for (const Number& number : kNumbers)
    if (all || object.has(number.key))
      p.*number.member = object.required(number.key).number(number.lowest, number.highest);
  for (const Number& number : kExtras)
    if (object.has(number.key)) p.*number.member = object.required(number.key).number(number.lowest, number.highest);
  if (all || object.has("cluster_experts"))
    p.cluster_experts = static_cast<std::int32_t>(object.required("cluster_experts").integer(1, 65535));
  if (const auto topics = object.optional("topics")) p.topics = static_cast<std::int32_t>(topics->integer(0, 4096));
  if (const auto tokens = object.optional("iteration_tokens"))
    p.iteration_tokens = tokens->integer(0, std::int64_t{1} << 40);
}

void check_parameters(const JsonNode& node, const GeneratorParameters& p) {
  if (p.topic_spread > 0 && p.topics == 0) node.fail("topic_spread without topics", "topics of at least 1");
  if (p.drift_spread > 0 && (p.iteration_tokens == 0 || p.drift_iterations <= 0))
    node.fail("drift_spread without iterations", "iteration_tokens and drift_iterations above 0");
}

std::vector<double> popularity(const GeneratorParameters& p, std::int32_t experts, std::int32_t moe_layer) {
  RandomStream stream(p.seed, "popularity", static_cast<std::uint64_t>(moe_layer));
  std::vector<std::int32_t> order(static_cast<std::size_t>(experts));
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[stream.below(i)]);
  std::vector<double> weights(order.size());
  double factor = 1;
  for (std::size_t e = 0; e < weights.size(); ++e) {
    if (e % static_cast<std::size_t>(p.cluster_experts) == 0) factor = std::exp(p.cluster_spread * stream.normal());
    weights[e] = factor * std::pow(order[e] + p.zipf_shift, -p.zipf_exponent);
  }
  return weights;
}

// Measured sharing is flat in between: within an eighth of the depth from the first layer (6 of 48 layers of
// Qwen3-30B-A3B) it has reached what it is mid-depth.
constexpr double kRamp = 1.0 / 8;

double depth_of(std::int32_t moe_layer, std::int32_t moe_layers) {  // 0 ... 1
  return moe_layers > 1 ? static_cast<double>(moe_layer) / (moe_layers - 1) : 0;
}

double by_depth(double depth, double first, double middle, double last) {
  return depth < 0.5 ? std::lerp(first, middle, std::min(1.0, depth / kRamp))
                     : std::lerp(last, middle, std::min(1.0, (1 - depth) / kRamp));
}

// Which prompt and passage the next token is of: alike in all layers.
class Conversation {
 public:
  explicit Conversation(const GeneratorParameters& p) : p_(p), stream_(p.seed, "conversation") {}

  struct Place {
    std::size_t topic = 0;
    bool first = false;  // of its prompt
    bool turns = false;  // begins a passage
  };
  Place next() {
    Place place;
    place.first = ends(p_.prompt_tokens);
    if (place.first && p_.topics > 0) topic_ = stream_.below(static_cast<std::uint64_t>(p_.topics));
    place.topic = topic_;
    if (p_.passage_spread > 0) place.turns = ends(p_.passage_tokens) || place.first;
    started_ = true;
    return place;
  }

 private:
  // A run of geometric length with this mean ends after each token with the same probability: no logarithm is needed.
  bool ends(double mean) { return !started_ || (mean > 0 && stream_.uniform() * mean < 1); }

  const GeneratorParameters& p_;
  base::RandomStream stream_;
  bool started_ = false;
  std::size_t topic_ = 0;
};

// The weights of a layer's experts: by topic, as they drift, and of the present passage.
class LayerWeights {
 public:
  LayerWeights(const GeneratorParameters& p, std::int32_t experts, std::int32_t moe_layer, double depth)
      : p_(p),
        base_(popularity(p, experts, moe_layer)),
        drift_(base_.size(), 0),
        depth_share_(by_depth(depth, 0, 1, p.topic_last)),
        drift_stream_(p.seed, "drift", static_cast<std::uint64_t>(moe_layer)),
        passage_stream_(p.seed, "passages", static_cast<std::uint64_t>(moe_layer)) {
    RandomStream stream(p.seed, "topics", static_cast<std::uint64_t>(moe_layer));
    for (std::int32_t topic = 0; topic < p.topics; ++topic)
      topics_.push_back(factors(stream, p.topic_spread * depth_share_));
    if (topics_.empty()) topics_.emplace_back(base_.size(), 1.0);
    if (drifts())
      for (double& d : drift_) d = drift_stream_.normal();
    rebuild();
  }

  void next_iteration() {
    if (!drifts()) return;
    const double left = std::exp(-1 / p_.drift_iterations), fresh = std::sqrt(1 - left * left);
    for (double& d : drift_) d = left * d + fresh * drift_stream_.normal();
    rebuild();
  }

  const ExpertWeights& at(const Conversation::Place& place) {
    if (place.turns) {
      std::vector<double> weights = factors(passage_stream_, p_.passage_spread * depth_share_);
      for (std::size_t e = 0; e < weights.size(); ++e) weights[e] *= weight(topics_[place.topic], e);
      passage_.emplace(weights);
    }
    return passage_ ? *passage_ : weights_[place.topic];
  }

 private:
  bool drifts() const { return p_.drift_spread > 0; }

  std::vector<double> factors(RandomStream& stream, double spread) const {
    std::vector<double> drawn(base_.size());
    for (double& factor : drawn) factor = std::exp(spread * stream.normal());
    return drawn;
  }

  double weight(const std::vector<double>& topic, std::size_t e) const {
    return base_[e] * topic[e] * (drifts() ? std::exp(p_.drift_spread * drift_[e]) : 1);
  }

  void rebuild() {
    weights_.clear();
    std::vector<double> weights(base_.size());
    for (const std::vector<double>& topic : topics_) {
      for (std::size_t e = 0; e < weights.size(); ++e) weights[e] = weight(topic, e);
      weights_.emplace_back(weights);
    }
  }

  const GeneratorParameters& p_;
  std::vector<double> base_;                 // [experts]
  std::vector<std::vector<double>> topics_;  // [topics][experts]
  std::vector<double> drift_;                // [experts] standard normal
  double depth_share_;                       // of the spreads of topics and passages
  RandomStream drift_stream_, passage_stream_;
  std::vector<ExpertWeights> weights_;    // [topics]
  std::optional<ExpertWeights> passage_;  // of the present one
};

}  // namespace

GeneratorParameters read_generator(const JsonNode& node, const Model& model, std::vector<std::string>& warnings) {
  const JsonObject object = as_generator_object(node);
  GeneratorParameters parameters;
  parameters.name = "custom";
  if (const auto preset = object.optional("preset")) {
    const base::JsonDocument document = load_preset(PresetKind::Routing, *preset);
    const JsonObject file(JsonNode(document),
                          {"about", "experts", "top_k", "tokens", "parameters", "meaning", "targets"});
    read_parameters(as_generator_object(file.required("parameters")), true, parameters);
    parameters.name = preset->string();
    const auto experts = file.required("experts").integer(1, 65535), top_k = file.required("top_k").integer(1, 65535);
    if (experts != model.experts || top_k != model.top_k)
      warnings.push_back(preset->pointer() + ": routing preset \"" + parameters.name + "\" was calibrated for top-" +
                         std::to_string(top_k) + " of " + std::to_string(experts) + " experts, the model has top-" +
                         std::to_string(model.top_k) + " of " + std::to_string(model.experts));
  }
  read_parameters(object, !object.has("preset"), parameters);
  check_parameters(node, parameters);
  parameters.seed = static_cast<std::uint64_t>(object.required("seed").integer(0, std::int64_t{1} << 53));
  return parameters;
}

base::Json to_json(const GeneratorParameters& p) {
  base::Json json = {{"seed", p.seed}, {"cluster_experts", p.cluster_experts}};
  for (const Number& number : kNumbers) json[number.key] = p.*number.member;
  const GeneratorParameters none;
  for (const Number& number : kExtras)
    if (p.*number.member != none.*number.member) json[number.key] = p.*number.member;
  if (p.topics != none.topics) json["topics"] = p.topics;
  if (p.iteration_tokens != none.iteration_tokens) json["iteration_tokens"] = p.iteration_tokens;
  return json;
}

std::vector<std::string> generator_presets() { return preset_names(PresetKind::Routing); }

std::string_view generator_preset_text(std::string_view name) { return preset_text(PresetKind::Routing, name); }

std::vector<std::uint16_t> generate_layer(const GeneratorParameters& parameters, const Model& model,
                                          std::int32_t moe_layer, std::int64_t tokens) {
  MOESIM_CHECK(moe_layer >= 0 && moe_layer < model.moe_layers() && tokens >= 0, "a layer of the model");
  const double depth = depth_of(moe_layer, model.moe_layers());
  LayerWeights weights(parameters, model.experts, moe_layer, depth);
  Conversation conversation(parameters);
  TokenSampler sampler(model);
  RandomStream stream(parameters.seed, "tokens", static_cast<std::uint64_t>(moe_layer));
  const double kept = by_depth(depth, parameters.kept_first, parameters.kept_middle, parameters.kept_last);
  const auto k = static_cast<std::size_t>(model.top_k);
  std::vector<std::uint16_t> ids(static_cast<std::size_t>(tokens) * k);
  const auto ids_of = [&ids, k](std::int64_t begin, std::int64_t end) {
    return std::span(ids).subspan(static_cast<std::size_t>(begin) * k, static_cast<std::size_t>(end - begin) * k);
  };
  // Tokens with the same weights are drawn in one go: those since `begin`.
  const ExpertWeights* same = &weights.at({});
  std::span<const std::uint16_t> previous;
  std::int64_t begin = 0;
  for (std::int64_t t = 0; t < tokens; ++t) {
    const bool iteration = t > 0 && parameters.iteration_tokens > 0 && t % parameters.iteration_tokens == 0;
    const Conversation::Place place = conversation.next();
    if (!iteration && !place.first && !place.turns) continue;
    sampler.draw(*same, previous, kept, stream, ids_of(begin, t));
    if (iteration) weights.next_iteration();
    same = &weights.at(place);
    previous = place.first ? std::span<std::uint16_t>() : ids_of(t - 1, t);
    begin = t;
  }
  sampler.draw(*same, previous, kept, stream, ids_of(begin, tokens));
  return ids;
}

Trace generate_trace(const GeneratorParameters& parameters, const Model& model, std::int64_t tokens) {
  Trace trace;
  trace.tokens = tokens;
  trace.layers = model.moe_layers();
  trace.top_k = model.top_k;
  trace.experts = model.experts;
  trace.source = "generated " + parameters.name + " " + to_json(parameters).dump();
  trace.passes = {0, tokens};
  trace.ids.reserve(static_cast<std::size_t>(tokens * trace.layers * trace.top_k));
  for (std::int32_t layer = 0; layer < trace.layers; ++layer) {
    const auto ids = generate_layer(parameters, model, layer, tokens);
    trace.ids.insert(trace.ids.end(), ids.begin(), ids.end());
  }
  return trace;
}

}  // namespace moesim::workloads
