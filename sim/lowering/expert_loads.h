// What the experts of one rank cost when each has its own number of tokens: the core of the grouped expert kernels.
//
// An expert with c > 0 tokens multiplies them by its matrices (gate, up and down projection) in ceil(c / tile) tiles of
// rows. Its weights come from HBM once; each further tile reads them again, from L2 for the most part, at the cost of a
// fraction rho. Experts follow one another, so that each is bound by memory or by arithmetic on its own:
//   sum over experts of smooth_max_p( weights (1 + rho (tiles - 1)) / (bw * HBM rate),
//                                     2 * 3 * hidden * inter * tiles * tile / (F * tensor rate) )
// so uneven experts cost more than even ones with the same totals, and experts without tokens cost nothing here.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/units.h"
#include "calibration/profile/profile.h"
#include "sim/lowering/kernel_cost.h"
#include "workloads/model.h"

namespace moesim::lowering {

// `experts` experts with `tokens` selections each; numbers of experts may be averages over draws of a routing.
struct ExpertLoad {
  double tokens = 0;
  double experts = 0;
};

// Loads with the same number of tiles become one, with the mean of their tokens: the cost stays the same.
std::vector<ExpertLoad> merge_loads(std::span<const ExpertLoad> loads, double tile);

struct ExpertMatrices {
  double hidden = 0;
  double inter = 0;         // of the part that this rank holds
  double weight_bytes = 0;  // per element, block scales included
  workloads::Dtype multiply = workloads::Dtype::Bf16;
};

struct ExpertRates {
  double memory_share = 0;  // bw: of the HBM rate, <= 1
  double tensor_share = 0;  // F: of the tensor rate, <= 1
  double reread = 0;        // rho
  double overlap = 0;       // p
};

struct ExpertsTime {
  double tensor = 0, memory = 0, total = 0;  // seconds
  double selections = 0;
};
ExpertsTime experts_time(const ExpertMatrices& matrices, std::span<const ExpertLoad> loads, double tile,
                         const ExpertRates& rates, const profile::Profile& profile);

// Bytes per second that the instructions of one SM move, on Hopper and Blackwell alike.
inline constexpr double kBytesPerSm = 20e9;

// Seconds of moving `bytes` by instructions of all SMs.
double sm_copy_time(double bytes, const profile::Profile& profile);

}  // namespace moesim::lowering
