// The declarations of the parameters of gemm.h.
#include <array>

#include "sim/lowering/gemm.h"

namespace moesim::lowering {
namespace {

using profile::ParameterSpec;
using profile::Scope;
using workloads::Dtype;

constexpr ParameterSpec launch(double start) {
  return {"t0", "us", start, 0.5, 50, 0.5, Scope::Family, "launch to end of an empty kernel, quantiser included"};
}
constexpr ParameterSpec tensor(double start, double upper, Scope scope) {
  return {"F",   "1",  start, 0.4,
          upper, 0.15, scope, "share of the datasheet's tensor rate sustained at 1 W per TFLOP/s"};
}
// A chip's power grows with the clock and twice with the voltage that the clock needs, so that its clock at a power
// limit goes with the third root.
constexpr ParameterSpec kPower{
    "power", "1", 0.33,          0.02,
    0.6,     0.3, Scope::Shared, "exponent of watts per TFLOP/s in the sustained tensor rate: the power limit's clock"};
constexpr ParameterSpec memory(double start) {
  return {"bw", "1", start, 0.4, 0.98, 0.08, Scope::Family, "share of the datasheet's HBM rate of streamed operands"};
}
constexpr ParameterSpec fetch(double start, Scope scope) {
  return {"r", "B/kFLOP", start, 4, 100, 0.5, scope, "operands that an SM fetches through L2, per bf16 operation"};
}
constexpr ParameterSpec serial(double start) {
  return {"lambda", "cycle", start, 0.05, 20, 0.7, Scope::Family, "least time of a tile's loop per element of k"};
}
constexpr ParameterSpec store(double start, Scope scope) {
  return {"store", "B/kFLOP", start, 0.5, 50, 0.5, scope, "results that an SM stores, per bf16 operation"};
}
constexpr ParameterSpec kPromote{
    "promote", "1", 0.85,          0.4,
    0.98,      0.2, Scope::Family, "share of the tensor rate at which a tile multiplies: partial sums are scaled"};
constexpr ParameterSpec kSplit{"cs", "us", 2.3, 0.2, 20, 0.4, Scope::Family, "reduction of split-K: its launch"};
constexpr ParameterSpec overlap(double start) {
  return {"p", "1", start, 1, 8, 0.3, Scope::Shared, "how well tiles and stream overlap: 1 not at all"};
}
constexpr ParameterSpec kCacheRate{"l2", "B/cycle", 20, 4, 100, 0.3, Scope::Shared, "operands still in L2, per SM"};
constexpr ParameterSpec kKeep{"keep", "1", 0.6, 0.1, 2, 0.3, Scope::Shared, "share of L2 that holds operands"};
constexpr ParameterSpec quantise(double start) {
  return {"qb", "B", start, 1, 20, 0.4, Scope::Family, "memory traffic of quantising one element of A"};
}
constexpr ParameterSpec kQuantiseInCache{
    "qf", "1", 0.7, 0.1, 1, 0.3, Scope::Shared, "share of the quantiser's time left where A is in L2"};
constexpr ParameterSpec kQuantiseKeep{"ql", "1", 0.4,           0.05,
                                      3,    0.3, Scope::Shared, "share of L2 that holds A for the quantiser"};

constexpr std::array kBf16{
    launch(3.0), tensor(0.9, 0.98, Scope::Shared), kPower, memory(0.82), fetch(16, Scope::Shared),
    serial(2.0), store(4.5, Scope::Shared),        kSplit, overlap(3.0), kCacheRate,
    kKeep};
constexpr std::array kFp8{launch(12),
                          tensor(1.1, 1.6, Scope::Shared),
                          kPower,
                          memory(0.82),
                          fetch(16, Scope::Family),
                          serial(1.3),
                          store(4.5, Scope::Family),
                          kSplit,
                          overlap(2.7),
                          kCacheRate,
                          kKeep,
                          quantise(8),
                          kQuantiseInCache,
                          kQuantiseKeep};
constexpr std::array kFp8Block{launch(5),
                               tensor(1.1, 1.6, Scope::Family),
                               kPower,
                               kPromote,
                               memory(0.88),
                               fetch(16, Scope::Family),
                               serial(1.6),
                               store(4.5, Scope::Family),
                               overlap(1.8),
                               kCacheRate,
                               kKeep,
                               quantise(5),
                               kQuantiseInCache,
                               kQuantiseKeep};
constexpr std::array kNvfp4{launch(6),
                            tensor(1.1, 1.6, Scope::Family),
                            kPower,
                            memory(0.78),
                            fetch(16, Scope::Family),
                            serial(3.0),
                            store(4.5, Scope::Family),
                            overlap(2.5),
                            kCacheRate,
                            kKeep,
                            quantise(5.5),
                            kQuantiseInCache,
                            kQuantiseKeep};

constexpr std::string_view kMechanism =
    "Waves of output tiles over the SMs, the fastest of the tile shapes and split-K factors that the tensor cores' "
    "instruction offers. A tile is bound by the tensor cores at the datasheet's rate, by fetching its operands through "
    "L2, or by its loop over k, and then stored; an SM's paths grow with its tensor rate. All SMs together sustain "
    "less "
    "than the datasheet's rate, for useful work: the power limit. The waves overlap with streaming the operands from "
    "HBM. What outgrows L2 is read again for each strip of tiles; what a repeated product finds in L2 is not read from "
    "HBM. Number formats below bf16 quantise the activations first.";

const std::array<profile::KernelModel, 4> kModels{{
    {"gemm_bf16", kMechanism, kBf16},
    {"gemm_fp8", kMechanism, kFp8},
    {"gemm_fp8_block", kMechanism, kFp8Block},
    {"gemm_nvfp4", kMechanism, kNvfp4},
}};

}  // namespace

std::span<const profile::KernelModel> gemm_kernels() { return kModels; }

std::string_view gemm_kernel(Dtype dtype) { return kModels[static_cast<std::size_t>(dtype)].name; }

}  // namespace moesim::lowering
