#include "sim/lowering/gemm.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "sim/lowering/expert_compute.h"

namespace moesim::lowering {
namespace {

using profile::ParameterSpec;
using profile::Scope;
using workloads::Dtype;

constexpr std::string_view kLaunch = "launch to end of an empty kernel";
constexpr std::string_view kTensor = "share of the datasheet's tensor rate that full tiles reach";
constexpr std::string_view kMemory = "share of the datasheet's HBM rate that streamed operands reach";
constexpr std::string_view kFetch = "operand bytes per second that one SM fetches";
constexpr std::string_view kSerial = "latency of a tile's loop over k, per element";
constexpr std::string_view kTile = "prologue and epilogue of a tile";
constexpr std::string_view kSharp = "how well compute and memory overlap: 1 not at all";
constexpr std::string_view kSplit = "reduction of split-K: its launch";
constexpr std::string_view kQuantise = "quantising the activations, per 10^6 elements of A";

constexpr std::array kBf16{
    ParameterSpec{"t0", "us", 2.0, 0.5, 20, 0.5, Scope::Family, kLaunch},
    ParameterSpec{"F", "1", 0.80, 0.4, 0.98, 0.1, Scope::Family, kTensor},
    ParameterSpec{"bw", "1", 0.83, 0.4, 0.98, 0.1, Scope::Family, kMemory},
    ParameterSpec{"r", "GB/s", 300, 30, 3000, 0.7, Scope::Family, kFetch},
    ParameterSpec{"lambda", "ns", 0.6, 0.05, 10, 0.7, Scope::Family, kSerial},
    ParameterSpec{"tau", "us", 0.5, 0.02, 20, 1.0, Scope::Family, kTile},
    ParameterSpec{"cs", "us", 2.1, 0.2, 20, 0.5, Scope::Family, kSplit},
    ParameterSpec{"p", "1", 2.5, 1, 8, 0.3, Scope::Shared, kSharp},
};
constexpr std::array kFp8{
    ParameterSpec{"t0", "us", 10, 0.5, 50, 0.5, Scope::Family, kLaunch},
    ParameterSpec{"F", "1", 0.77, 0.4, 0.98, 0.1, Scope::Family, kTensor},
    ParameterSpec{"bw", "1", 0.82, 0.4, 0.98, 0.1, Scope::Family, kMemory},
    ParameterSpec{"r", "GB/s", 300, 30, 3000, 0.7, Scope::Family, kFetch},
    ParameterSpec{"lambda", "ns", 0.5, 0.05, 10, 0.7, Scope::Family, kSerial},
    ParameterSpec{"tau", "us", 0.3, 0.02, 20, 1.0, Scope::Family, kTile},
    ParameterSpec{"cs", "us", 2.5, 0.2, 20, 0.5, Scope::Family, kSplit},
    ParameterSpec{"qz", "us", 1.5, 0.05, 20, 0.7, Scope::Family, kQuantise},
    ParameterSpec{"p", "1", 2.5, 1, 8, 0.3, Scope::Shared, kSharp},
};
constexpr std::array kFp8Block{
    ParameterSpec{"t0", "us", 3.5, 0.5, 50, 0.5, Scope::Family, kLaunch},
    ParameterSpec{"F", "1", 0.80, 0.4, 0.98, 0.1, Scope::Family, kTensor},
    ParameterSpec{"bw", "1", 0.85, 0.4, 0.98, 0.1, Scope::Family, kMemory},
    ParameterSpec{"r", "GB/s", 200, 30, 3000, 0.7, Scope::Family, kFetch},
    ParameterSpec{"lambda", "ns", 0.7, 0.05, 10, 0.7, Scope::Family, kSerial},
    ParameterSpec{"tau", "us", 1.5, 0.02, 20, 1.0, Scope::Family, kTile},
    ParameterSpec{"qz", "us", 1.0, 0.05, 20, 0.7, Scope::Family, kQuantise},
    ParameterSpec{"p", "1", 1.7, 1, 8, 0.3, Scope::Shared, kSharp},
};
constexpr std::array kNvfp4{
    ParameterSpec{"t0", "us", 5.0, 0.5, 50, 0.5, Scope::Family, kLaunch},
    ParameterSpec{"F", "1", 0.78, 0.4, 0.98, 0.1, Scope::Family, kTensor},
    ParameterSpec{"bw", "1", 0.84, 0.4, 0.98, 0.1, Scope::Family, kMemory},
    ParameterSpec{"r", "GB/s", 200, 30, 3000, 0.7, Scope::Family, kFetch},
    ParameterSpec{"lambda", "ns", 1.5, 0.05, 10, 0.7, Scope::Family, kSerial},
    ParameterSpec{"tau", "us", 1.2, 0.02, 20, 1.0, Scope::Family, kTile},
    ParameterSpec{"qz", "us", 0.7, 0.05, 20, 0.7, Scope::Family, kQuantise},
    ParameterSpec{"p", "1", 1.9, 1, 8, 0.3, Scope::Shared, kSharp},
};

constexpr std::string_view kMechanism =
    "Waves of output tiles over the SMs, the fastest of several tile shapes and split-K factors. A tile is bound by "
    "the "
    "tensor cores, by fetching its operands through L2, or by the serial latency of its loop over k; the waves overlap "
    "with streaming the operands from HBM.";

const std::array<profile::KernelModel, 4> kModels{{
    {"gemm_bf16", kMechanism, kBf16},
    {"gemm_fp8", kMechanism, kFp8},
    {"gemm_fp8_block", kMechanism, kFp8Block},
    {"gemm_nvfp4", kMechanism, kNvfp4},
}};

struct Tile {
  double m, n;
};
constexpr std::array<Tile, 6> kTiles{{{64, 64}, {64, 128}, {128, 64}, {128, 128}, {128, 256}, {256, 128}}};
constexpr std::array<double, 5> kSplits{1, 2, 4, 8, 16};

}  // namespace

std::span<const profile::KernelModel> gemm_kernels() { return kModels; }

std::string_view gemm_kernel(Dtype dtype) { return kModels[static_cast<std::size_t>(dtype)].name; }

KernelCost gemm_cost(const GemmShape& shape, const profile::Profile& profile,
                     const profile::KernelParameters& parameters) {
  MOESIM_CHECK(shape.m >= 0 && shape.n >= 0 && shape.k >= 0, "a negative size of a matrix product");
  const bool has_split = shape.dtype == Dtype::Bf16 || shape.dtype == Dtype::Fp8;
  const bool quantises = shape.dtype != Dtype::Bf16;
  const auto m = static_cast<double>(shape.m), n = static_cast<double>(shape.n), k = static_cast<double>(shape.k);
  const double bytes = workloads::bits_per_weight(shape.dtype) / 8;
  const double sms = profile.sms.value;
  const double hbm_rate = profile.hbm_bandwidth.value.value() * parameters.at("bw");
  const double sm_rate = tensor_rate(profile, shape.dtype).value() * parameters.at("F") / sms;
  const double fetch = parameters.at("r") * 1e9, serial = parameters.at("lambda") * 1e-9;
  const double tile_time = parameters.at("tau") * 1e-6, p = parameters.at("p");
  const double split_launch = has_split ? parameters.at("cs") * 1e-6 : 0;

  KernelCost cost;
  cost.launch = base::Duration(parameters.at("t0") * 1e-6);
  cost.total = cost.launch;
  if (shape.m == 0 || shape.n == 0 || shape.k == 0) return cost;
  const double hbm = ((m + n) * k * bytes + 2 * m * n) / hbm_rate;
  cost.memory = base::Duration(hbm);

  double best = std::numeric_limits<double>::infinity();
  for (const Tile& tile : kTiles) {
    const double tiles = std::ceil(m / tile.m) * std::ceil(n / tile.n);
    for (const double split : kSplits) {
      if (split > 1 && (!has_split || split > k)) break;
      const double depth = k / split;
      const double multiply = 2 * tile.m * tile.n * depth / sm_rate;
      const double operands = (std::min(m, tile.m) + std::min(n, tile.n)) * depth * bytes / fetch;
      const double loop = serial * depth;
      const auto fourth = [](double x) { return x * x * x * x; };
      const double unit = std::sqrt(std::sqrt(fourth(multiply) + fourth(operands) + fourth(loop))) + tile_time;
      const double waves = std::ceil(tiles * split / sms) * unit;
      const double reduction = split > 1 ? split_launch + 4 * m * n * split / hbm_rate : 0;
      if (std::max(waves, hbm) + reduction >= best) continue;
      const double time = smooth_max(waves, hbm, p) + reduction;
      if (time >= best) continue;
      best = time;
      cost.tensor = base::Duration(waves);
    }
  }
  const double quantise = quantises ? parameters.at("qz") * 1e-12 * m * k : 0;
  cost.total = cost.launch + base::Duration(quantise + best);
  return cost;
}

}  // namespace moesim::lowering
