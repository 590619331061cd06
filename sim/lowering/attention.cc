#include "sim/lowering/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace moesim::lowering {
namespace {

constexpr double kBytes = 2;         // bf16: queries, keys, values, outputs
constexpr double kPartialBytes = 4;  // fp32: results of a split

// Prefill.
constexpr double kQueriesPerBlock = 128;
constexpr double kKeysPerStep = 128;

// Decode.
constexpr double kLargestStep = 0.75;  // share of the shared memory beside the queries that one step's keys may fill

double multiply_rate(const AttentionShape& shape, const profile::Profile& profile,
                     const profile::KernelParameters& parameters) {
  const double faster = shape.fp8_cache && profile.fp8 ? parameters.at("q8") : 1;
  return profile.bf16.value.value() * parameters.at("F") * faster / profile.sms.value;  // of one SM
}

bool nothing_to_do(const AttentionShape& shape) {
  const AttentionHeads& heads = shape.heads;
  MOESIM_CHECK(heads.query >= 0 && shape.requests >= 0 && shape.tokens >= 0, "a negative size of an attention");
  if (heads.query == 0 || shape.requests == 0 || shape.tokens == 0) return true;
  MOESIM_CHECK(heads.key_value > 0 && heads.query % heads.key_value == 0, "query heads share their keys evenly");
  return false;
}

// How a decode kernel cuts the work.
struct DecodeTile {
  double rows = 64;  // query heads multiplied at a time
  double keys = 64;  // of one step
  double sms = 1;    // that share the fetched keys
};

DecodeTile decode_tile(std::string_view family, double heads_per_key) {
  if (family != "blackwell") return {};
  if (heads_per_key <= 32) return {16, 128, 1};
  return {64, 128, heads_per_key > 64 ? 2.0 : 1.0};
}

// Of an SM, bytes: NVIDIA's CUDA programming guide, "technical specifications per compute capability".
double shared_memory(std::string_view family) {
  if (family == "hopper" || family == "blackwell") return 228 * 1024.0;
  if (family == "ampere") return 164 * 1024.0;
  return 100 * 1024.0;
}

double fourth(double x) { return x * x * x * x; }

// (x^4 + y^4)^(1/4)
double mostly_max(double x, double y) { return std::sqrt(std::sqrt(fourth(x) + fourth(y))); }

// Of log(true / predicted), beside the widths of MLA: head sizes and kernels differ (assumed).
constexpr double kUnmeasuredLogError = 0.3;

}  // namespace

profile::KernelParameters grouped_query_parameters(const profile::Profile& profile, std::string_view kernel) {
  const profile::KernelParameters measured = profile.kernel(kernel);
  profile::NamedParameters parameters = measured.all();
  for (auto& [name, parameter] : parameters) {
    parameter.source = profile::Source::Assumed;
    parameter.reference = "as of MLA (" + std::string(kernel) + "): grouped-query attention was not measured";
  }
  const double width = std::hypot(measured.log_error(), kUnmeasuredLogError);
  return {std::string(kernel), std::move(parameters), profile::Relation::OtherFamily, {{"", {width, width, width}}}};
}

KernelCost prefill_attention_cost(const AttentionShape& shape, const profile::Profile& profile,
                                  const profile::KernelParameters& parameters) {
  KernelCost cost;
  cost.launch = base::Duration(parameters.at("t0") * 1e-6);
  cost.total = cost.launch;
  if (nothing_to_do(shape)) return cost;
  const AttentionHeads& heads = shape.heads;
  const auto requests = static_cast<double>(shape.requests), tokens = static_cast<double>(shape.tokens);
  const auto query_heads = static_cast<double>(heads.query), key_heads = static_cast<double>(heads.key_value);
  const auto dimensions = static_cast<double>(heads.qk + heads.v);

  const double step = 2 * kQueriesPerBlock * kKeysPerStep * dimensions / multiply_rate(shape, profile, parameters);
  const double start = parameters.at("tc") * 1e-6;
  static_assert(kQueriesPerBlock == kKeysPerStep, "block i of a head has i steps");
  const double blocks = std::ceil(tokens / kQueriesPerBlock);
  const double all = requests * query_heads * (blocks * start + blocks * (blocks + 1) / 2 * step) / profile.sms.value;
  const double longest = start + blocks * step;

  const double bytes = (query_heads + key_heads) * requests * tokens * dimensions * kBytes;
  const double pass = bytes / profile.hbm_bandwidth.value.value();
  const double stream = pass / parameters.at("bw");
  const double quantise = shape.fp8_cache ? parameters.at("t8") * 1e-6 + parameters.at("m8") * pass : 0;
  const double work = smooth_max(smooth_max(all, longest, parameters.at("p2")), stream, parameters.at("p"));
  cost.tensor = base::Duration(requests * query_heads * blocks * (blocks + 1) / 2 * step / profile.sms.value);
  cost.memory = base::Duration(stream);
  cost.total = cost.launch + base::Duration(work + quantise);
  return cost;
}

KernelCost decode_attention_cost(const AttentionShape& shape, const profile::Profile& profile,
                                 const profile::KernelParameters& parameters) {
  KernelCost cost;
  cost.launch = base::Duration(parameters.at("t0") * 1e-6);
  cost.total = cost.launch;
  if (nothing_to_do(shape)) return cost;
  const AttentionHeads& heads = shape.heads;
  const auto requests = static_cast<double>(shape.requests), tokens = static_cast<double>(shape.tokens);
  const auto query_heads = static_cast<double>(heads.query), key_heads = static_cast<double>(heads.key_value);
  const double dimensions = static_cast<double>(heads.qk + heads.v), value = static_cast<double>(heads.v);
  const double sms = profile.sms.value, clock = profile.clock.value.value();
  const double hbm = profile.hbm_bandwidth.value.value() * parameters.at("bw");
  const double fetch = parameters.at("r") * clock;

  const double per_key = query_heads / key_heads;
  DecodeTile tile = decode_tile(profile.family, per_key);
  const double element = shape.fp8_cache ? 1 : kBytes;
  const double key_bytes = static_cast<double>(heads.value_in_key ? heads.qk : heads.qk + heads.v) * element;
  // Queries that would leave no room for keys are loaded in parts, or are in registers (assumed).
  const double shared = shared_memory(profile.family), queries = tile.rows * static_cast<double>(heads.qk) * element;
  const double room = shared - std::min(queries, shared / 2);
  while (tile.keys * key_bytes / tile.sms > kLargestStep * room) tile.keys /= 2;
  const double groups = requests * key_heads * std::ceil(per_key / tile.rows);
  const double steps = std::ceil(tokens / tile.keys);
  const double multiply = 2 * tile.rows * tile.keys * dimensions / multiply_rate(shape, profile, parameters);
  const double load = tile.keys * key_bytes / tile.sms / fetch;
  const double step = mostly_max(multiply, load);
  const double ends = parameters.at("tw") * 1e-6 + std::min(per_key, tile.rows) * dimensions * kBytes / fetch;

  const double in_flight = sms * (room - tile.keys * key_bytes / tile.sms);
  const double seconds_per_byte = mostly_max(1 / hbm, parameters.at("latency") * 1e-6 / in_flight);
  const double cache = requests * tokens * key_heads * key_bytes;
  const double hit = shape.repeated ? 1 / (1 + fourth(cache / (parameters.at("keep") * profile.l2.value.value()))) : 0;
  const double stream = cache * ((1 - hit) * seconds_per_byte + hit / (parameters.at("l2") * clock * sms)) +
                        requests * query_heads * dimensions * kBytes / hbm;
  const double prepare =
      requests * query_heads * (parameters.at("qx") + (shape.fp8_cache ? parameters.at("q8x") : 0)) / hbm;

  const double overlap = parameters.at("p");
  double best = std::numeric_limits<double>::infinity();
  const auto most_splits = static_cast<int>(std::max(1.0, std::floor(sms / groups)));
  for (int count = 1; count <= most_splits; ++count) {
    const double splits = count;
    const double waves = std::max(1.0, groups * splits / sms);  // more blocks than SMs are shared out evenly
    const double blocks = waves * std::ceil(steps / splits) * step + (waves - 1) * ends;
    const double partial = 2 * kPartialBytes * requests * query_heads * splits * value;
    const double reduce =
        splits > 1 ? parameters.at("cr") * 1e-6 + parameters.at("cs") * 1e-9 * splits + partial / hbm : 0;
    if (std::max(blocks, stream) + reduce >= best) continue;
    const double time = smooth_max(blocks, stream, overlap) + reduce;
    if (time >= best) continue;
    best = time;
    cost.tensor = base::Duration(waves * std::ceil(steps / splits) * multiply);
  }
  cost.memory = base::Duration(stream);
  cost.total = cost.launch + base::Duration(prepare + ends + best);
  return cost;
}

}  // namespace moesim::lowering
