// Which algorithm and protocol NCCL takes, by NCCL's own estimate (its graph/tuning.cc) rather than by what is fastest:
// the switches show as jumps in measured times.
//
//   ring   base + hop * steps + w / rate      steps = n - 1 (all-gather, reduce-scatter) or 2 (n - 1) (all-reduce)
//                                             w = steps * S / n, S the bytes of the whole result
//          LL      base 6.6 us,  rate min(llMax, B / 2)    half of what is sent are flags
//          LL128   base 14 us,   rate 0.92 B               NVLink only; 8 of 128 bytes are flags
//          Simple  base 8.4 us,  rate B
//          hop: NVLink 0.6 / 1.9 / 3.4 us, PCIe 1.0 / 2.5 / 5.7, network 2.7 / 4.0 / 14
//   tree   all-reduce over several nodes: base 6.8 / 14 / 8.4 us, 2 (intra hops + log2(nodes) network hops),
//          rate min(llMax, B / 3.8), 0.92 B, 0.92 B, each halved: every rank sends all of S up and down
//   NVLS   all-reduce of floating-point numbers in the switches of one NVLink domain, from 3 GPUs on:
//          25 us + S / (5/6 n/(n+1) B eff)     eff 0.85 on Hopper, 0.74 on Blackwell
//
// B: NCCL counts usable NVLink at 20.0 (Ampere), 20.6 (Hopper), 40.1 (Blackwell) GB/s per link and cuts it into
// channels of one of a few speeds; PCIe x16 at 12, 24, 48, 96 GB/s by generation.
#pragma once

#include <cstdint>
#include <string_view>

#include "topology/routing.h"

namespace moesim::lowering {

enum class NcclOp : std::uint8_t { AllGather, ReduceScatter, AllReduce, AllToAll };
enum class NcclAlgorithm : std::uint8_t { Ring, Tree, Nvls };
enum class NcclProtocol : std::uint8_t { LL, LL128, Simple };

std::string_view to_string(NcclAlgorithm algorithm);
std::string_view to_string(NcclProtocol protocol);

// What NCCL knows of the links between GPUs.
struct NcclFabric {
  topology::LinkKind kind = topology::LinkKind::NvLink;  // inside a node or NVLink domain: NvLink or Pcie
  std::int32_t gpus_per_node = 0;                        // that these links join
  double rate = 0;                                       // B, bytes/s
  double ll_rate = 0;                                    // llMax, bytes/s
  double multicast = 0;                                  // eff of NVLS; 0: no multicast
};
// Of the links at rank 0; `family` is that of its GPU's profile.
NcclFabric nccl_fabric(const topology::Router& router, std::string_view family, std::int32_t ranks);

struct NcclChoice {
  NcclAlgorithm algorithm = NcclAlgorithm::Ring;
  NcclProtocol protocol = NcclProtocol::Simple;
};
// op is not AllToAll, which has no algorithms. `floating`: the numbers reduced are floating point.
NcclChoice nccl_choose(NcclOp op, double bytes, std::int32_t ranks, bool floating, const NcclFabric& fabric);

// Ring steps of a collective among n ranks.
std::int32_t nccl_ring_steps(NcclOp op, std::int32_t ranks);

}  // namespace moesim::lowering
