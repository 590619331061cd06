#include "workloads/generator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/random.h"
#include "workloads/presets.h"

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

JsonObject as_generator_object(const JsonNode& node) {
  return JsonObject(node, {"preset", "seed", "zipf_exponent", "zipf_shift", "cluster_experts", "cluster_spread",
                           "kept_first", "kept_middle", "kept_last"});
}

void read_parameters(const JsonObject& object, bool all, GeneratorParameters& parameters) {
  for (const Number& number : kNumbers)
    if (all || object.has(number.key))
      parameters.*number.member = object.required(number.key).number(number.lowest, number.highest);
  if (all || object.has("cluster_experts"))
    parameters.cluster_experts = static_cast<std::int32_t>(object.required("cluster_experts").integer(1, 65535));
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

double kept_probability(const GeneratorParameters& p, std::int32_t moe_layer, std::int32_t moe_layers) {
  const double depth = moe_layers > 1 ? static_cast<double>(moe_layer) / (moe_layers - 1) : 0;  // 0 ... 1
  return depth < 0.5 ? std::lerp(p.kept_first, p.kept_middle, std::min(1.0, depth / kRamp))
                     : std::lerp(p.kept_last, p.kept_middle, std::min(1.0, (1 - depth) / kRamp));
}

// Draws the experts of one token after the other.
class TokenSampler {
 public:
  TokenSampler(const Model& model, const std::vector<double>& weights)
      : model_(model),
        choice_(weights),
        used_(static_cast<std::size_t>(model.experts), -1),
        group_used_(static_cast<std::size_t>(model.groups), -1) {
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (const double w : weights) share_.push_back(1 + static_cast<std::uint64_t>(std::llround(w / sum * 0x1.0p40)));
    group_of_.resize(weights.size());
    for (std::size_t e = 0; e < group_of_.size(); ++e)
      group_of_[e] = static_cast<std::uint16_t>(e / (group_of_.size() / group_used_.size()));
  }

  // `previous` is the token before (empty for the first); appends top_k ids to `ids`.
  void draw(std::span<const std::uint16_t> previous, double kept, RandomStream& stream, std::uint16_t* ids) {
    ++token_;
    groups_open_ = model_.top_groups;
    std::int32_t count = 0;
    if (kept > 0)
      for (const std::uint16_t expert : previous)
        if (stream.uniform() < kept && take(expert)) ids[count++] = expert;
    // Refusals are rare unless the popular experts are used up: then the exact draw over the rest is faster.
    for (std::int32_t tries = 0; count < model_.top_k; ++tries) {
      const auto expert =
          static_cast<std::uint16_t>(tries < 8 * model_.top_k ? choice_.draw(stream) : draw_rest(stream));
      if (take(expert)) ids[count++] = expert;
    }
  }

 private:
  bool allowed(std::size_t expert) const {
    return used_[expert] != token_ && (groups_open_ > 0 || group_used_[group_of_[expert]] == token_);
  }

  bool take(std::uint16_t expert) {
    if (!allowed(expert)) return false;
    used_[expert] = token_;
    std::int64_t& group = group_used_[group_of_[expert]];
    if (group != token_) --groups_open_;
    group = token_;
    return true;
  }

  std::size_t draw_rest(RandomStream& stream) const {
    std::uint64_t total = 0;
    for (std::size_t e = 0; e < share_.size(); ++e) total += allowed(e) ? share_[e] : 0;
    std::uint64_t at = stream.below(total);
    for (std::size_t e = 0;; ++e) {
      if (!allowed(e)) continue;
      if (at < share_[e]) return e;
      at -= share_[e];
    }
  }

  const Model& model_;
  base::WeightedChoice choice_;
  std::vector<std::uint64_t> share_;      // [experts] > 0
  std::vector<std::uint16_t> group_of_;   // [experts]
  std::vector<std::int64_t> used_;        // [experts] the last token that took it
  std::vector<std::int64_t> group_used_;  // [groups]
  std::int64_t token_ = -1;
  std::int32_t groups_open_ = 0;  // groups that the token may still enter
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
  parameters.seed = static_cast<std::uint64_t>(object.required("seed").integer(0, std::int64_t{1} << 53));
  return parameters;
}

base::Json to_json(const GeneratorParameters& parameters) {
  base::Json json = {{"seed", parameters.seed}, {"cluster_experts", parameters.cluster_experts}};
  for (const Number& number : kNumbers) json[number.key] = parameters.*number.member;
  return json;
}

std::vector<std::string> generator_presets() { return preset_names(PresetKind::Routing); }

std::string_view generator_preset_text(std::string_view name) { return preset_text(PresetKind::Routing, name); }

std::vector<std::uint16_t> generate_layer(const GeneratorParameters& parameters, const Model& model,
                                          std::int32_t moe_layer, std::int64_t tokens) {
  MOESIM_CHECK(moe_layer >= 0 && moe_layer < model.moe_layers() && tokens >= 0, "a layer of the model");
  TokenSampler sampler(model, popularity(parameters, model.experts, moe_layer));
  RandomStream stream(parameters.seed, "tokens", static_cast<std::uint64_t>(moe_layer));
  const double kept = kept_probability(parameters, moe_layer, model.moe_layers());
  const auto k = static_cast<std::size_t>(model.top_k);
  std::vector<std::uint16_t> ids(static_cast<std::size_t>(tokens) * k);
  std::span<const std::uint16_t> previous;
  for (std::size_t at = 0; at < ids.size(); at += k) {
    sampler.draw(previous, kept, stream, ids.data() + at);
    previous = std::span(ids).subspan(at, k);
  }
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
