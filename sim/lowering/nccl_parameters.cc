// The declarations of the parameters of nccl.h.
#include <array>

#include "sim/lowering/nccl.h"

namespace moesim::lowering {
namespace {

using profile::ParameterSpec;
using profile::Scope;

constexpr std::array kNvLink{
    ParameterSpec{"a", "us", 7, 1, 25, 0.4, Scope::System, "launch of a collective until its first flag is out"},
    ParameterSpec{"hop_ll", "us", 1, 0.3, 3, 0.3, Scope::Family, "LL: one step of the ring"},
    ParameterSpec{"many", "us", 0.6, 0.05, 5, 0.7, Scope::Family, "LL: starting more than one channel"},
    ParameterSpec{"ll", "GB/s", 14, 2, 60, 0.5, Scope::Family, "LL: what one channel's thread block forwards"},
    ParameterSpec{"a128", "us", 11, 2, 60, 0.3, Scope::Shared, "LL128: start-up beyond LL's"},
    ParameterSpec{"hop_128", "us", 0.8, 0.2, 3, 0.3, Scope::Shared, "LL128: one step of the ring"},
    ParameterSpec{"e128", "1", 0.65, 0.3, 0.93, 0.2, Scope::Family, "LL128: share of the links' raw rate"},
    ParameterSpec{"a_simple", "us", 10, 1, 40, 0.5, Scope::Family, "Simple: start-up beyond LL's"},
    ParameterSpec{"hop_simple", "us", 4.5, 0.5, 12, 0.3, Scope::Family, "Simple: one step of the ring"},
    ParameterSpec{"e", "1", 0.8, 0.5, 0.95, 0.1, Scope::Family, "share of the links' raw rate, Simple, LL and NVLS"},
    ParameterSpec{"copy", "GB/s", 900, 100, 4000, 0.5, Scope::Family, "what all channels' thread blocks copy"},
    ParameterSpec{"reduce", "1", 0.25, 0.01, 2, 0.7, Scope::Family, "more work of a copy that adds int8"},
    ParameterSpec{"a_nvls", "us", 5, 1, 40, 0.5, Scope::Shared, "NVLS: start-up beyond LL's"},
    ParameterSpec{"c0", "KiB", 19, 2, 60, 0.5, Scope::Shared, "NVLS: chunk that costs as much in latency as in time"},
    ParameterSpec{"fill", "1", 1.5, 0.2, 4, 0.5, Scope::Shared, "NVLS: rounds of chunks to fill the pipeline"},
};

constexpr std::array kAllToAll{
    ParameterSpec{"a", "us", 8.5, 1, 25, 0.4, Scope::System, "launch of the kernel until its first flag is out"},
    ParameterSpec{"hop", "us", 0.3, 0.02, 2, 0.5, Scope::Family, "each further peer"},
    ParameterSpec{"r_ll", "GB/s", 6.4, 1, 60, 0.3, Scope::Shared, "one channel with flags"},
    ParameterSpec{"a_simple", "us", 3, 0.1, 20, 0.5, Scope::Family, "start-up of messages without flags"},
    ParameterSpec{"r_part", "GB/s", 15, 2, 80, 0.5, Scope::Family, "one channel without flags"},
    ParameterSpec{"e", "1", 0.71, 0.4, 0.95, 0.05, Scope::Shared, "share of the links' raw rate"},
    ParameterSpec{"own", "GB/s", 1000, 200, 5000, 0.5, Scope::Family, "copy of the share that stays"},
    ParameterSpec{"drain", "GB/s", 1500, 200, 8000, 0.5, Scope::Family, "copy out of the channels' buffers"},
};

constexpr std::array kPcie{
    ParameterSpec{"a", "us", 5.5, 1, 20, 0.4, Scope::System, "launch of a collective until its first flag is out"},
    ParameterSpec{"hop_ll", "us", 1, 0.3, 3, 0.3, Scope::Family, "LL: one step of the ring"},
    ParameterSpec{"a_simple", "us", 10, 1, 40, 0.5, Scope::Family, "Simple: start-up beyond LL's"},
    ParameterSpec{"hop_simple", "us", 3, 0.5, 20, 0.5, Scope::Family, "Simple: one step of the ring"},
    ParameterSpec{"e", "1", 0.6, 0.2, 0.95, 0.3, Scope::Family, "share of the raw rate between GPUs below one switch"},
    ParameterSpec{"e_cpu", "1", 0.3, 0.03, 0.95, 0.7, Scope::System, "share of the raw rate of links at a CPU"},
    ParameterSpec{"stream", "1", 0.8, 0.3, 1, 0.2, Scope::Shared, "of that, what one stream of a ring gets"},
    ParameterSpec{"e_all", "1", 0.5, 0.2, 0.95, 0.3, Scope::Family, "all-to-all: share of the raw rate below a switch"},
    ParameterSpec{"a_all", "us", 4, 0.1, 20, 0.5, Scope::Family, "all-to-all: start-up of messages without flags"},
    ParameterSpec{"hop_all", "us", 1.3, 0.02, 5, 0.5, Scope::Family, "all-to-all: each further peer"},
};

const std::array<profile::KernelModel, 3> kModels{{
    {"nccl_nvlink",
     "Algorithm and protocol by NCCL's own estimate; a launch, a hop per ring step, bytes over the links' raw rate "
     "times "
     "a share, capped by the channels' thread blocks, whose number grows with the message; then the copy of the rank's "
     "own shard by the same thread blocks. NVLS: reads and writes of all GPUs at once, in chunks.",
     kNvLink},
    {"nccl_alltoall_nvlink",
     "A launch and a step per peer; messages to 16 KB with flags on one channel, larger ones in parts of 64 KB on a "
     "channel each, until the links are full; then the own share and the channels' buffers are copied out.",
     kAllToAll},
    {"nccl_pcie",
     "As over NVLink, with a share of the raw rate below a PCIe switch, another one on links at a CPU that all streams "
     "through it share, and the copies hidden behind the links.",
     kPcie},
}};

}  // namespace

std::span<const profile::KernelModel> nccl_kernels() { return kModels; }

std::string_view nccl_kernel(NcclOp op, const NcclFabric& fabric) {
  if (fabric.kind != topology::LinkKind::NvLink) return kModels[2].name;
  return kModels[op == NcclOp::AllToAll ? 1 : 0].name;
}

}  // namespace moesim::lowering
