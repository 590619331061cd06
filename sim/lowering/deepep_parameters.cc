// The declarations of the parameters of deepep.h.
#include <array>

#include "sim/lowering/deepep.h"

namespace moesim::lowering {
namespace {

using profile::ParameterSpec;
using profile::Scope;

constexpr std::array kLlDispatch{
    ParameterSpec{"a", "us", 8, 1, 40, 0.5, Scope::System, "launch of the kernel until its first message is out"},
    ParameterSpec{"expert", "us", 0.015, 0.001, 0.1, 0.5, Scope::Family, "start-up per expert: its counter"},
    ParameterSpec{"hidden_cost", "us", 0.35, 0.02, 3, 0.5, Scope::Family, "copy of one token, per 1024 values"},
    ParameterSpec{"share", "1", 0.72, 0.3, 0.98, 0.2, Scope::Family, "share of the NVLink rate, local copies counted"},
    ParameterSpec{"crowd", "1", 0.1, 0.01, 1, 0.5, Scope::Shared, "exponent of the share of SMs that are used"},
    ParameterSpec{"wave", "us", 2, 0.05, 10, 0.5, Scope::Family, "each further wave of tokens: quantise and send"},
    ParameterSpec{"network", "us", 5, 0.5, 40, 0.7, Scope::Shared, "more start-up over several nodes: RDMA flights"},
    ParameterSpec{"nic", "1", 0.94, 0.6, 0.99, 0.05, Scope::Shared, "share of the NIC's rate"},
};
constexpr std::array kLlCombine{
    ParameterSpec{"a", "us", 8, 1, 40, 0.5, Scope::System, "launch of the kernel until its first message is out"},
    ParameterSpec{"expert", "us", 0.015, 0.001, 0.1, 0.5, Scope::Family, "start-up per expert: its counter"},
    ParameterSpec{"hidden_cost", "us", 0.5, 0.02, 3, 0.5, Scope::Family, "copy of one token, per 1024 values"},
    ParameterSpec{"share", "1", 0.9, 0.3, 0.98, 0.05, Scope::Shared, "share of the NVLink rate, local copies counted"},
    ParameterSpec{"rate", "GB/s", 500, 100, 3000, 0.7, Scope::Family, "what all thread blocks send, on any link"},
    ParameterSpec{"crowd", "1", 0.1, 0.01, 1, 0.5, Scope::Shared, "exponent of the share of SMs that are used"},
    ParameterSpec{"wave", "us", 1, 0.05, 10, 0.5, Scope::Family, "each further wave of tokens: add up and write"},
    ParameterSpec{"l2", "1", 0.2, 0.02, 1, 0.7, Scope::Shared, "share of the L2 cache that holds results"},
    ParameterSpec{"network", "us", 12, 0.5, 40, 0.7, Scope::Shared, "more start-up over several nodes: RDMA flights"},
    ParameterSpec{"nic", "1", 0.94, 0.6, 0.99, 0.05, Scope::Shared, "share of the NIC's rate"},
};
constexpr std::array kNormalDispatch{
    ParameterSpec{"a", "us", 25, 3, 80, 0.5, Scope::System, "launch, notification and barriers"},
    ParameterSpec{"hidden_cost", "us", 0.3, 0.02, 10, 0.7, Scope::Family, "copy of one token, per 1024 values"},
    ParameterSpec{"rate", "GB/s", 20, 5, 80, 0.4, Scope::Shared, "what one SM copies"},
    ParameterSpec{"copy", "us", 0.19, 0.005, 1, 0.5, Scope::Shared, "each copy of a token, besides its bytes"},
    ParameterSpec{"scan", "GB/s", 5.7, 1, 30, 0.4, Scope::Shared, "tokens that one SM walks through"},
    ParameterSpec{"share", "1", 0.68, 0.3, 0.95, 0.15, Scope::Shared, "share of the NVLink rate"},
    ParameterSpec{"cold", "GB/s", 2500, 300, 20000, 0.5, Scope::Family, "first touch of the ring buffers"},
    ParameterSpec{"network", "us", 30, 2, 200, 0.7, Scope::Shared, "more start-up over several nodes"},
    ParameterSpec{"hops", "1", 1.6, 1, 3, 0.2, Scope::Shared, "work per copy over several nodes, over that within one"},
    ParameterSpec{"nic", "1", 0.93, 0.6, 0.99, 0.05, Scope::Shared, "share of the NIC's rate"},
};
constexpr std::array kNormalCombine{
    ParameterSpec{"a", "us", 25, 3, 80, 0.5, Scope::System, "launch, notification and barriers"},
    ParameterSpec{"hidden_cost", "us", 3, 0.02, 10, 0.7, Scope::Family, "copy of one token, per 1024 values"},
    ParameterSpec{"rate", "GB/s", 22, 5, 80, 0.4, Scope::Family, "what one SM copies"},
    ParameterSpec{"copy", "us", 0.05, 0.005, 1, 0.7, Scope::Family, "each copy of a token, besides its bytes"},
    ParameterSpec{"scan", "GB/s", 5.7, 1, 30, 0.4, Scope::Shared, "tokens that one SM adds up and writes"},
    ParameterSpec{"share", "1", 0.7, 0.3, 0.95, 0.15, Scope::Shared, "share of the NVLink rate"},
    ParameterSpec{"cold", "GB/s", 2500, 300, 20000, 0.5, Scope::Family, "first touch of the ring buffers"},
    ParameterSpec{"network", "us", 35, 2, 200, 0.7, Scope::Shared, "more start-up over several nodes"},
    ParameterSpec{"hops", "1", 2, 1, 3, 0.2, Scope::Shared, "work per copy over several nodes, over that within one"},
    ParameterSpec{"nic", "1", 0.93, 0.6, 0.99, 0.05, Scope::Shared, "share of the NIC's rate"},
};

constexpr std::string_view kLowLatency =
    "Start-up (launch, a counter per expert, the copy of one token), then every choice of a token as its own message: "
    "bytes over a share of the NVLink rate, less where few experts keep few SMs busy, and the waves in which the "
    "tokens "
    "are dealt to the thread blocks; NICs and the links of hot receivers bind in the engine.";
constexpr std::string_view kLowLatencyCombine =
    "Start-up as in dispatch; bytes over a share of the NVLink rate or, where that is slower, what the thread blocks "
    "send; then waves of tokens are added up, from HBM what has left the L2 cache.";
constexpr std::string_view kNormal =
    "Start-up, then one copy of a token per rank reached, at the rate of the SM budget, of the side that walks every "
    "token, or of the links; the first chunk of each channel on top, and the first touch of the ring buffers.";

const std::array<profile::KernelModel, 4> kModels{{
    {"deepep_ll_dispatch", kLowLatency, kLlDispatch},
    {"deepep_ll_combine", kLowLatencyCombine, kLlCombine},
    {"deepep_normal_dispatch", kNormal, kNormalDispatch},
    {"deepep_normal_combine", kNormal, kNormalCombine},
}};

}  // namespace

std::span<const profile::KernelModel> deepep_kernels() { return kModels; }
std::string_view deepep_ll_kernel(bool combine) { return kModels[combine ? 1 : 0].name; }
std::string_view deepep_normal_kernel(bool combine) { return kModels[combine ? 3 : 2].name; }

}  // namespace moesim::lowering
