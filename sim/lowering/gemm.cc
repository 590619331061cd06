#include "sim/lowering/gemm.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "sim/lowering/expert_compute.h"
#include "sim/lowering/gemm_tiles.h"

namespace moesim::lowering {
namespace {

using workloads::Dtype;

constexpr std::array<double, 8> kSplits{1, 2, 3, 4, 6, 8, 12, 16};
constexpr double kSplitWaves = 4;         // split-K is for few tiles: it is not tried beyond so many waves
constexpr double kDepthStep = 64;         // elements of k per step of a tile's loop
constexpr double kStrip = 4;              // tiles of a strip that are walked together
constexpr double kQuantiserWidth = 512;   // elements that one thread block of a block-scaled quantiser takes at least
constexpr double kBytesOut = 2;           // bf16
constexpr double kBytesOfPartialSum = 4;  // fp32

// The share of accesses that miss a cache of this size when `bytes` are walked again and again.
double missing(double bytes, double cache) {
  const double x = bytes / cache;
  return x * x / (1 + x * x);
}

double fourth(double x) { return x * x * x * x; }

// (x^8 + y^8)^(1/8)
double nearly_max(double x, double y) {
  return std::sqrt(std::sqrt(std::sqrt(fourth(x) * fourth(x) + fourth(y) * fourth(y))));
}

// All in SI units; B/cycle have become bytes per second of one SM.
struct Rates {
  double sms = 0, l2_bytes = 0;
  double hbm = 0, cache = 0, sustained = 0;  // of the whole GPU
  double multiply = 0, fetch = 0, store = 0, serial = 0;
  double split_launch = 0, overlap = 0, keep = 0;
};

Rates rates_of(Dtype dtype, const profile::Profile& profile, const profile::KernelParameters& parameters) {
  Rates rates;
  const double clock = profile.clock.value.value();
  rates.sms = profile.sms.value;
  rates.l2_bytes = profile.l2.value.value();
  rates.hbm = profile.hbm_bandwidth.value.value() * parameters.at("bw");
  rates.cache = parameters.at("l2") * clock * rates.sms;
  const double peak = tensor_rate(profile, dtype).value();
  const double watts_per_tflops = profile.power.value.value() / (peak * 1e-12);
  const double share = parameters.at("F") * std::pow(watts_per_tflops, parameters.at("power"));
  rates.sustained = peak * share;
  rates.multiply = peak / rates.sms * (dtype == Dtype::Fp8Block ? parameters.at("promote") : 1);
  // Of the bf16 rate in every format: the SM's paths are built for it.
  const double thousand_flops = profile.bf16.value.value() / rates.sms * 1e-3;
  rates.fetch = parameters.at("r") * thousand_flops;
  rates.store = parameters.at("store") * thousand_flops;
  rates.serial = parameters.at("lambda") / clock;
  rates.split_launch = dtype == Dtype::Bf16 || dtype == Dtype::Fp8 ? parameters.at("cs") * 1e-6 : 0;
  rates.overlap = parameters.at("p");
  rates.keep = parameters.at("keep") * rates.l2_bytes;
  return rates;
}

// Quantising A, in seconds of kernel time beyond its launch.
double quantise_time(const GemmShape& shape, const profile::Profile& profile,
                     const profile::KernelParameters& parameters) {
  if (shape.dtype == Dtype::Bf16) return 0;
  const auto k = static_cast<double>(shape.k);
  const double elements = static_cast<double>(shape.m) * (shape.dtype == Dtype::Fp8 ? k : std::max(k, kQuantiserWidth));
  const double in_cache = parameters.at("qf");
  const double miss = missing(kBytesOut * elements, parameters.at("ql") * profile.l2.value.value());
  return parameters.at("qb") * elements / profile.hbm_bandwidth.value.value() * (in_cache + (1 - in_cache) * miss);
}

}  // namespace

KernelCost gemm_cost(const GemmShape& shape, const profile::Profile& profile,
                     const profile::KernelParameters& parameters) {
  MOESIM_CHECK(shape.m >= 0 && shape.n >= 0 && shape.k >= 0, "a negative size of a matrix product");
  const Rates rates = rates_of(shape.dtype, profile, parameters);
  KernelCost cost;
  cost.launch = base::Duration(parameters.at("t0") * 1e-6);
  cost.total = cost.launch;
  if (shape.m == 0 || shape.n == 0 || shape.k == 0) return cost;

  const auto m = static_cast<double>(shape.m), n = static_cast<double>(shape.n), k = static_cast<double>(shape.k);
  const double bytes = workloads::bits_per_weight(shape.dtype) / 8;
  const double a = m * k * bytes, b = n * k * bytes, c = m * n * kBytesOut;
  const double hit =
      shape.weights_in_turn > 0 ? 1 / (1 + fourth((shape.weights_in_turn * b + a + c) / rates.l2_bytes)) : 0;
  const double seconds_per_byte = (1 - hit) / rates.hbm + hit / rates.cache;
  const double sustained = 2 * m * n * k / rates.sustained;
  const double miss_a = missing(a, rates.keep), miss_b = missing(b, rates.keep);

  double best = std::numeric_limits<double>::infinity();
  for (const GemmTile& tile : gemm_tiles(profile.family, shape.dtype, m, n, rates.sms)) {
    const double down = std::ceil(m / (tile.rows * tile.sms)), across = std::ceil(n / tile.columns);
    const double strips = std::max(across / std::max(kStrip, rates.sms / down), 1.0);
    const double bands = std::max(down / std::max(kStrip, rates.sms / across), 1.0);
    const double traffic = std::min(b + a * (1 + (strips - 1) * miss_a), a + b * (1 + (bands - 1) * miss_b));
    const double stream = (traffic + c) * seconds_per_byte;
    if (std::max(stream, sustained) >= best) continue;
    const double slots = std::floor(rates.sms / tile.sms) * tile.sms;
    const double rows = std::min(m, tile.rows), columns = std::min(n, tile.columns);
    const double storing = rows * columns * kBytesOut / rates.store;
    for (const double split : kSplits) {
      const double tiles = down * across * tile.sms * split;
      if (split > 1 && (rates.split_launch == 0 || tiles > kSplitWaves * slots)) break;
      const double depth = std::ceil(k / split / kDepthStep) * kDepthStep;
      const double multiply = 2 * tile.rows * tile.columns * depth / rates.multiply;
      const double fetch = (rows + columns / tile.sms) * depth * bytes / rates.fetch;
      const double loop = rates.serial * depth;
      const double waves = std::ceil(tiles / slots);
      const double reduction = split > 1 ? rates.split_launch + kBytesOfPartialSum * m * n * split / rates.hbm : 0;
      const double least = waves * (std::max({multiply, fetch, loop}) + storing);
      if (std::max({least, sustained, stream}) + reduction >= best) continue;
      const double unit = std::sqrt(std::sqrt(fourth(multiply) + fourth(fetch) + fourth(loop))) + storing;
      const double time = smooth_max(nearly_max(waves * unit, sustained), stream, rates.overlap) + reduction;
      if (time >= best) continue;
      best = time;
      cost.tensor = base::Duration(std::max(waves * multiply, sustained));
      cost.memory = base::Duration(stream);
    }
  }
  cost.total = cost.launch + base::Duration(quantise_time(shape, profile, parameters) + best);
  return cost;
}

}  // namespace moesim::lowering
